"""`seqkit caption`: files of all kinds, one failing alone, outputs whole or not at all."""

import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from seqkit.audio.captioning import describe, folder
from seqkit.audio.captioning.model import CaptionConfig, CaptionModel
from seqkit.audio.captioning.sentences import SentenceConfig, SentenceEncoder
from seqkit.audio.encoders.conv import ConvConfig, ConvEncoder
from seqkit.cli import main
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
    whole = describe.describe_file

    def describe_file(source: Any, *rest: Any, **more: Any) -> Any:
        sources.append(source)
        return whole(source, *rest, **more)

    monkeypatch.setattr(describe, "describe_file", describe_file)
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
    ],
)
def test_wrong_usage_is_named(model: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = caption(sound(tmp_path / "a.wav"), "--model", model, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_named_like_a_command_and_help_without_torch(tmp_path: Path) -> None:
    shown = caption("--help")
    assert shown.exit_code == 0 and "PATH" in shown.stdout
    assert "RECIPE" in caption("train", "--help").stdout
    code = "import sys; from seqkit.cli import main; main.app(['caption', '--help'], standalone_mode=False); "
    code += "assert 'torch' not in sys.modules and 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
