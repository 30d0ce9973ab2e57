"""`seqkit caption`: files of all kinds, one failing alone, outputs whole or not at all."""

import csv
import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from seqkit.audio.captioning import folder
from seqkit.audio.captioning.model import CaptionConfig, CaptionModel
from seqkit.audio.captioning.sentences import SentenceConfig, SentenceEncoder
from seqkit.audio.encoders.conv import ConvConfig, ConvEncoder
from seqkit.cli import main
from seqkit.io import audio
from seqkit.tokenizers.subword import SubwordTokenizer


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioning model of random weights."""
    torch.manual_seed(0)
    tokenizer = SubwordTokenizer.train(["a dog barks", "rain falls"] * 9, vocab_size=280)
    size = tokenizer.vocab_size
    encoder = ConvEncoder(ConvConfig(multiplier=0.25, width=16)).eval()
    caption = CaptionModel(
        CaptionConfig(
            vocab_size=size,
            d_model=16,
            heads=2,
            decoder_layers=1,
            frame_width=encoder.width,
            sentence_width=8,
        )
    ).eval()
    sentences = SentenceEncoder(
        SentenceConfig(vocab_size=size, d_model=16, heads=2, layers=1, width=8)
    ).eval()
    path = tmp_path_factory.mktemp("caption") / "model"
    parts = folder.Parts(encoder=encoder, model=caption, sentences=sentences, tokenizer=tokenizer)
    folder.save(path, parts, card="# tiny\n")
    return path


def sound(path: Path, seconds: float = 1.0, loud: float = 0.3, rate: int = 8000) -> Path:
    samples = loud * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def caption(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main.app, ["caption", *map(str, arguments)], input=stdin)


def rows(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_windows_have_times_scores_and_alternatives(model: Path, tmp_path: Path) -> None:
    clip = sound(tmp_path / "a.wav", seconds=5.0)
    result = caption(
        clip, "--model", model, "--window", 2, "--n-best", 3, "--format", "jsonl", "--candidates", 5
    )
    assert result.exit_code == 0, result.output
    found = rows(result)
    assert [(row["start"], row["end"]) for row in found] == [(0.0, 2.0), (2.0, 4.0), (4.0, 5.0)]
    for row in found:
        assert row["file"] == str(clip)
        assert 0 < float(str(row["score"])) < 1
        assert len(row["alternatives"]) <= 2  # type: ignore[arg-type]


def test_silence_is_called_silence(model: Path, tmp_path: Path) -> None:
    result = caption(sound(tmp_path / "s.wav", loud=0.0), "--model", model, "--format", "txt")
    assert result.stdout == "silence\n"
    quiet = sound(tmp_path / "q.wav", loud=0.01)
    assert caption(quiet, "--model", model, "--silence-db", -20, "--format", "txt").stdout == "silence\n"


def test_one_that_cannot_be_read_fails_alone(model: Path, tmp_path: Path) -> None:
    good, bad = sound(tmp_path / "good.wav"), tmp_path / "bad.wav"
    bad.write_bytes(b"no sound at all")
    result = caption(bad, good, tmp_path / "nowhere.wav", "--model", model, "--format", "jsonl")
    assert result.exit_code == 1
    assert [row["file"] for row in rows(result)] == [str(good)]
    assert "bad.wav" in result.stderr and "nowhere.wav" in result.stderr
    assert "2 of 3" in result.stderr
    alone = caption(bad, "--model", model)
    assert alone.exit_code == 1 and alone.stderr.count("\n") == 1


def test_folders_patterns_and_standard_input(model: Path, tmp_path: Path) -> None:
    inner = tmp_path / "d" / "e"
    inner.mkdir(parents=True)
    first, second = sound(tmp_path / "d" / "1.wav"), sound(inner / "2.wav")
    (tmp_path / "d" / "notes.txt").write_text("no sound")

    def named(*arguments: object, stdin: bytes | None = None) -> list[object]:
        result = caption(*arguments, "--model", model, "--format", "jsonl", stdin=stdin)
        assert result.exit_code == 0, result.output
        return [row["file"] for row in rows(result)]

    assert named(tmp_path / "d") == [str(first)]
    assert named(tmp_path / "d", "--recursive") == [str(first), str(second)]
    assert named(str(tmp_path / "d" / "*.wav")) == [str(first)]
    assert named("-", stdin=first.read_bytes()) == ["-"]
    empty = tmp_path / "empty"
    empty.mkdir()
    for nothing in (empty, tmp_path / "*.flac"):
        result = caption(nothing, "--model", model)
        assert result.exit_code == 2 and str(nothing) in result.stderr


def test_outputs_are_whole_and_may_be_kept(model: Path, tmp_path: Path) -> None:
    clip, out = sound(tmp_path / "a.wav"), tmp_path / "out"
    assert caption(clip, "--model", model, "--format", "srt", "--output-dir", out).exit_code == 0
    assert (out / "a.srt").read_text().startswith("1\n00:00:00,000 --> ")
    (out / "a.srt").write_text("kept")
    caption(clip, "--model", model, "--format", "srt", "--output-dir", out, "--skip-existing")
    assert (out / "a.srt").read_text() == "kept"
    bad = tmp_path / "b.wav"
    bad.write_bytes(b"x")
    target = tmp_path / "all.tsv"
    assert caption(bad, "--model", model, "-o", target).exit_code == 1
    assert not target.exists()
    assert caption(clip, bad, "--model", model, "-o", target).exit_code == 1
    assert target.read_text().count("\n") == 2


def test_a_recording_is_not_overwritten(model: Path, tmp_path: Path) -> None:
    clip = sound(tmp_path / "victim.wav")
    before = clip.read_bytes()
    result = caption(clip, "--model", model, "-o", clip)
    assert result.exit_code == 2 and "victim.wav: is an input" in result.stderr
    assert clip.read_bytes() == before


def test_standard_input_goes_through_the_disk(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = []
    whole = audio.read_blocks

    def read_blocks(source: Any, *rest: Any, **more: Any) -> Any:
        sources.append(source)
        return whole(source, *rest, **more)

    monkeypatch.setattr(audio, "read_blocks", read_blocks)
    result = caption("-", "--model", model, stdin=sound(tmp_path / "a.wav").read_bytes())
    assert result.exit_code == 0 and result.stdout.splitlines()[1].startswith("-\t0.000\t1.000")
    assert isinstance(sources[0], str) and not Path(sources[0]).exists()
    for nothing in (b"", b"no sound at all"):
        result = caption("-", "--model", model, stdin=nothing)
        assert (result.exit_code, result.stdout) == (1, "") and "standard input: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "docx"), "--format"),
        (("--decoder", "magic"), "--decoder"),
        (("--window", "0"), "--window"),
        (("--window", "nan"), "--window"),
        (("--silence-db", "nan"), "--silence-db"),
        (("--silence-db", "-inf"), "--silence-db"),
        (("--model", "nowhere"), "nowhere"),
        (("--device", "tpu"), "--device"),
        (("--temperature", "0"), "--temperature"),
        (("--temperature", "nan"), "--temperature"),
        (("--top-p", "1.1"), "--top-p"),
        (("--likelihood-weight", "nan"), "--likelihood-weight"),
        (("--likelihood-weight", "0", "--similarity-weight", "0"), "--similarity-weight"),
        (("--decoder", "beam", "--temperature", "1"), "--temperature has no effect on --decoder beam"),
        (("--decoder", "diverse", "--seed", "1"), "--seed has no effect on --decoder diverse"),
        (("--classifier", "c"), "--classifier has no effect on --decoder sample"),
        (("--n-best", "21"), "--candidates"),
        (("--n-best", "2", "--format", "srt"), "srt has room for one caption of a window"),
        (("--n-best", "2", "--format", "vtt"), "--n-best"),
    ],
)
def test_wrong_usage_is_named(model: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = caption(sound(tmp_path / "a.wav"), "--model", model, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_tables_and_lines_hold_every_caption_of_a_window(model: Path, tmp_path: Path) -> None:
    def said(form: str) -> list[str]:
        # Random weights say all kinds of things, and any of it in disorder.
        options = ("--n-best", 4, "--candidates", 6, "--temperature", 2, "--no-fluency-filter")
        result = caption(clip, "--model", model, *options, "--format", form)
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    clip = sound(tmp_path / "a.wav")
    [row] = map(json.loads, said("jsonl"))
    each = [row, *row["alternatives"]]
    assert len(each) == 4
    assert said("txt") == [one["text"] for one in each]
    for form, comma in (("tsv", "\t"), ("csv", ",")):
        table = list(csv.reader(said(form)[1:], delimiter=comma))
        assert [cells[4] for cells in table] == [one["text"] for one in each]
        assert [float(cells[3]) for cells in table] == pytest.approx([one["score"] for one in each], abs=1e-4)
        assert [cells[3] for cells in table] == sorted((cells[3] for cells in table), reverse=True)


def test_files_are_described_together_and_as_each_alone(model: Path, tmp_path: Path) -> None:
    first, bad = sound(tmp_path / "1.wav", seconds=0.5, loud=0.1), tmp_path / "3.wav"
    silent, last = sound(tmp_path / "2.wav", loud=0.0), sound(tmp_path / "4.wav", seconds=2.0)
    bad.write_bytes(b"no sound at all")
    files = (first, silent, bad, last)
    options = ("--model", model, "--format", "jsonl", "--candidates", 2, "--window", 1, "--batch-size")

    def said(result: Result) -> list[tuple[object, ...]]:
        return [(row["file"], row["start"], row["text"]) for row in rows(result)]

    alone = [row for file in files for row in said(caption(file, *options, 1))]
    assert [row[0] for row in alone] == [str(file) for file in (first, silent, last, last)]
    for size in (3, 64):
        result = caption(*files, *options, size)
        assert result.exit_code == 1 and "1 of 4" in result.stderr
        assert said(result) == alone
    out = tmp_path / "out"
    out.mkdir()
    (out / "1.jsonl").write_text("kept")
    assert caption(*files, *options, 64, "--output-dir", out, "--skip-existing").exit_code == 1
    assert (out / "1.jsonl").read_text() == "kept"
    assert len((out / "4.jsonl").read_text().splitlines()) == 2


def test_windows_longer_than_a_checkpoint_reads_are_cut_shorter_and_told(tmp_path: Path) -> None:
    whisper = checkpoints.whisper(tmp_path / "m")
    clip = sound(tmp_path / "a.wav", seconds=4.5, rate=16_000)
    result = caption(clip, "--model", whisper, "--window", 60, "--format", "jsonl")
    assert result.exit_code == 0, result.output
    assert result.stderr == "seqkit: windows are at most 2 s long: the model reads no more at once\n"
    assert [(row["start"], row["end"]) for row in rows(result)] == [(0.0, 2.0), (2.0, 4.0), (4.0, 4.5)]


def test_a_file_named_like_a_command_and_help_without_torch(tmp_path: Path) -> None:
    shown = caption("--help")
    assert shown.exit_code == 0 and "PATH" in shown.stdout
    assert "RECIPE" in caption("train", "--help").stdout
    code = "import sys; from seqkit.cli import main; main.app(['caption', '--help'], standalone_mode=False); "
    code += "assert 'torch' not in sys.modules and 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
