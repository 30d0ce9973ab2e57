"""`seqkit transcribe`: files of every kind and fault, one failing alone, in every format."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.cli import progress
from seqkit.vision_speech import choosing
from seqkit.vision_speech.interface import Clip, Heard, Word


class Transcriber:
    """Says what it is given."""

    def __init__(self, *uses: str) -> None:
        self.uses = frozenset(uses)

    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        heard = []
        for clip in clips:
            text = " ".join(
                name
                for name, given in (("sound", clip.wave_S), ("lips", clip.mouths_THW))
                if given is not None
            )
            heard.append(Heard(text, -0.25, (Word(text.split()[0], 0.1, 0.3),)))
        return heard


@pytest.fixture(autouse=True)
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A transcriber without weights; what it is asked for is kept."""
    asked: dict[str, Any] = {}

    def transcriber(model: str, audio_model: str | None = None, **more: Any) -> Transcriber:
        asked.update(more, model=model, audio_model=audio_model)
        return Transcriber("audio") if audio_model else Transcriber("audio", "video")

    monkeypatch.setattr(choosing, "transcriber", transcriber)
    return asked


@pytest.fixture
def speech() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


@pytest.fixture
def frames() -> list[np.ndarray]:
    """A second in which nobody is seen."""
    return [np.full((48, 64), 100, np.uint8)] * 25


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi", "a.mpg"])
def test_a_film_without_a_face_is_read_by_its_sound(
    run: Callable[..., Any],
    film: Callable[..., Path],
    tmp_path: Path,
    speech: np.ndarray,
    frames: list[np.ndarray],
    name: str,
) -> None:
    codec = "mpeg1video" if name == "a.mpg" else "mpeg4"
    path = film(tmp_path / name, frames, wave_S=speech, codec=codec)
    result = run("transcribe", path)
    assert (result.exit_code, result.stdout) == (0, "sound\n")
    assert f"{path}: no face in 2" in result.stderr


def test_every_format(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, speech: np.ndarray
) -> None:
    path = film(tmp_path / "a.wav", [], wave_S=speech)
    told = {
        form: run("transcribe", path, "--format", form).stdout for form in "txt json jsonl srt vtt".split()
    }
    assert told["txt"] == "sound\n"
    assert told["srt"] == "1\n00:00:00,100 --> 00:00:00,300\nsound\n\n"
    assert told["vtt"].startswith("WEBVTT\n\n00:00:00.100 --> 00:00:00.300\nsound\n")
    (segment,) = json.loads(told["json"])
    assert segment == json.loads(told["jsonl"])
    assert segment["words"] == [{"text": "sound", "start": 0.1, "end": 0.3}]
    for form, delimiter in (("tsv", "\t"), ("csv", ",")):
        text = run("transcribe", path, "-f", form).stdout
        (row,) = csv.DictReader(io.StringIO(text), delimiter=delimiter)
        assert (row["file"], row["text"], row["score"]) == (str(path), "sound", "-0.2500")
    result = run("transcribe", path, "--format", "doc")
    assert result.exit_code == 2 and "'doc' is none of txt" in result.stderr


def test_a_failing_file_fails_alone(
    run: Callable[..., Any],
    film: Callable[..., Path],
    tmp_path: Path,
    speech: np.ndarray,
    frames: list[np.ndarray],
) -> None:
    film(tmp_path / "a.wav", [], wave_S=speech)
    (tmp_path / "b.mp4").write_bytes(b"no film at all")
    whole = film(tmp_path / "c.mp4", frames).read_bytes()
    (tmp_path / "c.mp4").write_bytes(whole[: len(whole) // 2])
    film(tmp_path / "d.wav", [], wave_S=speech)
    (tmp_path / "notes.txt").write_text("not looked at")
    result = run("transcribe", tmp_path)
    # With several files, plain text says which.
    told = "".join(f"{tmp_path / name}\tsound\n" for name in ("a.wav", "d.wav"))
    assert (result.exit_code, result.stdout) == (1, told)
    for name in ("b.mp4", "c.mp4"):
        assert f"error: {tmp_path / name}: " in result.stderr
    assert "2 of 4 files failed" in result.stderr
    alone = run("transcribe", tmp_path / "b.mp4")
    assert alone.exit_code == 1 and alone.stderr.count("b.mp4") == 1


def test_patterns_folders_and_output_files(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, speech: np.ndarray
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    film(tmp_path / "in" / "a.wav", [], wave_S=speech)
    film(tmp_path / "in" / "deep" / "b.wav", [], wave_S=speech)
    out = tmp_path / "out"
    assert run("transcribe", tmp_path / "in", "--recursive", "--output-dir", out, "-f", "srt").exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.srt", "b.srt"]
    (out / "a.srt").write_text("mine")
    assert (
        run(
            "transcribe", tmp_path / "in" / "*.wav", "--output-dir", out, "-f", "srt", "--skip-existing"
        ).exit_code
        == 0
    )
    assert (out / "a.srt").read_text() == "mine"
    assert run("transcribe", tmp_path / "in", "-o", tmp_path / "all.txt").stdout == ""
    assert (tmp_path / "all.txt").read_text() == "sound\n"


@pytest.mark.parametrize("form", ["json", "tsv", "vtt"])
def test_nothing_is_printed_where_every_file_fails(
    run: Callable[..., Any], tmp_path: Path, form: str
) -> None:
    bad = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path in bad:
        path.write_bytes(b"no sound at all")
    result = run("transcribe", bad[0], "-f", form)
    assert (result.exit_code, result.stdout) == (1, "")
    if form != "vtt":
        result = run("transcribe", *bad, "-f", form)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "2 of 2 files failed" in result.stderr
        assert run("transcribe", *bad, "-f", form, "-o", tmp_path / "out").exit_code == 1
        assert not (tmp_path / "out").exists()


def test_an_input_is_never_overwritten(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, speech: np.ndarray
) -> None:
    path = film(tmp_path / "a.wav", [], wave_S=speech)
    link, named = tmp_path / "link.wav", tmp_path / "a.txt"
    link.symlink_to(path)
    named.write_bytes(path.read_bytes())
    before = path.read_bytes()
    for arguments in ([path, "-o", path], [path, "-o", link], [named, "--output-dir", tmp_path]):
        result = run("transcribe", *arguments)
        assert result.exit_code == 2 and "would be overwritten" in result.stderr
    assert path.read_bytes() == named.read_bytes() == before
    assert run("transcribe", path, "-o", "/dev/null").exit_code == 0


def test_standard_input_is_not_overwritten_either(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"precious")
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda file, **more: stat(path if file == 0 else file, **more))
    assert run("transcribe", "-", "-o", path, stdin=b"precious").exit_code == 2
    assert path.read_bytes() == b"precious"


def test_hidden_files_are_read_only_where_they_are_named(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, speech: np.ndarray
) -> None:
    (tmp_path / ".in" / ".cache").mkdir(parents=True)
    (tmp_path / ".in" / "._a.wav").write_bytes(b"what macOS leaves")
    film(tmp_path / ".in" / ".cache" / "b.wav", [], wave_S=speech)
    hidden = film(tmp_path / ".in" / ".hidden.wav", [], wave_S=speech)
    film(tmp_path / ".in" / "a.wav", [], wave_S=speech)
    for more in ((), ("--recursive",)):
        result = run("transcribe", tmp_path / ".in", *more)
        assert (result.exit_code, result.stdout) == (0, "sound\n")
    assert run("transcribe", hidden).stdout == "sound\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-f", "srt"), "--output-dir"),
        (("-f", "vtt", "-o", "all.vtt"), "--output-dir"),
        (("-o", "all.txt", "--output-dir", "out"), "exclude each other"),
        (("--skip-existing",), "--output-dir"),
        (("-f", "docx", "--output-dir", "out"), "--format"),
    ],
)
def test_wrong_usage_is_told_before_any_work(
    run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"would fail if it was read")
    result = run("transcribe", "a.wav", "b.wav", *arguments)
    assert result.exit_code == 2 and words in result.stderr and "a.wav" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


def test_outputs_of_equal_stems_have_longer_names(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, speech: np.ndarray
) -> None:
    def written(*names: str) -> list[str]:
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            film(tmp_path / name, [], wave_S=speech)
        result = run("transcribe", *(tmp_path / name for name in names), "--output-dir", out)
        assert result.exit_code == 0, result.stderr
        return sorted(str(path.relative_to(out)) for path in out.rglob("*.txt"))

    assert written("A/x.wav", "A/y.wav") == ["x.txt", "y.txt"]
    assert written("A/x.wav", "A/x.mp4", "A/y.wav") == ["x.mp4.txt", "x.wav.txt", "y.txt"]
    assert written("A/x.wav", "B/x.wav") == ["A/x.txt", "B/x.txt"]
    assert written("A/x.wav", "A/x.mp4", "B/x.wav", "B/x.mp4") == [
        f"{folder}/x.{suffix}.txt" for folder in "AB" for suffix in ("mp4", "wav")
    ]
    result = run("transcribe", tmp_path / "A/x.wav", f"{tmp_path}/B/../A/x.wav", "--output-dir", "out")
    assert result.exit_code == 2 and "another --output-dir" in result.stderr


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "txt"])
def test_names_that_are_not_utf_8_are_written(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, speech: np.ndarray, form: str
) -> None:
    named = tmp_path / os.fsdecode(b"caf\xe9.wav")
    try:
        named.write_bytes(film(tmp_path / "a.wav", [], wave_S=speech).read_bytes())
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    out = tmp_path / "out"
    assert run("transcribe", named, tmp_path / "a.wav", "-f", form, "-o", out).exit_code == 0
    assert run("transcribe", named, "-f", form).exit_code == 0
    if form.startswith("json"):
        text = out.read_text(encoding="utf-8")
        first = json.loads(text)[0] if form == "json" else json.loads(text.splitlines()[0])
        assert first["file"] == str(named)
    else:
        assert os.fsencode(named) in out.read_bytes()


def test_standard_input(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, speech: np.ndarray
) -> None:
    path = film(tmp_path / "a.mp4", [], wave_S=speech)
    result = run("transcribe", "-", "-f", "tsv", stdin=path.read_bytes())
    assert result.exit_code == 0 and result.stdout.splitlines()[1].startswith("-\t0.100\t0.300")
    result = run("transcribe", "-", stdin=b"nothing of use")
    assert result.exit_code == 1 and "standard input: " in result.stderr


def test_modalities_that_are_missing(
    run: Callable[..., Any],
    film: Callable[..., Path],
    tmp_path: Path,
    speech: np.ndarray,
    frames: list[np.ndarray],
) -> None:
    sound = film(tmp_path / "a.wav", [], wave_S=speech)
    silent = film(tmp_path / "b.mp4", frames)
    result = run("transcribe", sound)
    assert "a.wav: has no video track; audio alone is used" in result.stderr
    result = run("transcribe", silent)
    # Nobody is seen and nothing is heard, so nothing is invented.
    assert (result.exit_code, result.stdout) == (0, "\n")
    assert "has no audio track; video alone is used" in result.stderr
    assert "no face in 25 of 25 frames" in result.stderr
    for modality, path, told in (("video", sound, "no video track"), ("audio", silent, "no audio track")):
        result = run("transcribe", path, "--modality", modality)
        assert result.exit_code == 1 and f"{path}: has {told}" in result.stderr
    result = run("transcribe", sound, "--modality", "smell")
    assert result.exit_code == 2 and "--modality" in result.stderr


def test_what_many_files_lack_is_told_once(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, speech: np.ndarray
) -> None:
    for name in "abc":
        film(tmp_path / f"{name}.wav", [], wave_S=speech)
    result = run("transcribe", tmp_path)
    assert result.stderr == (
        f"seqkit: {tmp_path / 'a.wav'}: has no video track; audio alone is used\n"
        "seqkit: the same of 2 other files: has no video track; audio alone is used\n"
    )
    # Who asks for both is told which.
    assert run("transcribe", tmp_path, "--modality", "av").stderr.count("has no video track") == 3
    result = run("transcribe", tmp_path, "--modality", "video")
    assert result.exit_code == 1 and result.stderr.count("has no video track") == 3
    assert result.stderr.endswith("3 of 3 files failed\n")


def test_a_name_that_looks_like_an_option(
    run: Callable[..., Any],
    film: Callable[..., Path],
    tmp_path: Path,
    speech: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "-dash.wav", [], wave_S=speech)
    result = run("transcribe", "-dash.wav")
    assert result.exit_code == 2 and "-dash.wav: a file of such a name" in result.stderr
    assert "(./-dash.wav)" in result.stderr
    for given in (["./-dash.wav"], ["--", "-dash.wav"]):
        assert run("transcribe", *given).stdout == "sound\n"
    for _ in range(2):  # the second time the output is there
        assert run("transcribe", "./-dash.wav", "-o", "-dash.txt").exit_code == 0
    assert run("transcribe", "./-dash.wav", "--output-dir", "out").exit_code == 0
    assert (tmp_path / "out" / "-dash.txt").read_text() == Path("-dash.txt").read_text() == "sound\n"


def test_progress_within_a_file_that_is_alone(
    run: Callable[..., Any],
    film: Callable[..., Path],
    tmp_path: Path,
    speech: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bars: list[tuple[float | None, str, list[float]]] = []

    @contextlib.contextmanager
    def bar(what: str, total: float | None = None, *, unit: str = "") -> Iterator[Callable[[float], None]]:
        bars.append((total, unit, []))
        yield bars[-1][2].append

    monkeypatch.setattr(progress, "progress_bar", bar)
    paths = [film(tmp_path / f"{name}.wav", [], wave_S=np.tile(speech, 3)) for name in "ab"]
    run("transcribe", paths[0], "--window", "1")
    run("transcribe", *paths)
    (total, unit, within), (count, _, files) = bars
    assert total == pytest.approx(3) and unit == "of 3 s" and sum(within) == pytest.approx(3)
    assert (count, files) == (2, [1, 1])


def test_options_reach_the_model(
    run: Callable[..., Any],
    film: Callable[..., Path],
    tmp_path: Path,
    speech: np.ndarray,
    options: dict[str, Any],
) -> None:
    path = film(tmp_path / "a.wav", [], wave_S=speech)
    given = ["--model", "m", "--decoder", "ctc", "--beams", "3", "--ctc-weight", "0.5", "--threads", "1"]
    given += ["--device", "cpu"]
    assert run("transcribe", path, *given, "--language-model", "l.txt", "--offline").exit_code == 0
    assert options["model"] == "m" and options["method"] == "ctc" and options["beams"] == 3
    assert options["ctc_weight"] == 0.5 and options["language_file"] == "l.txt" and options["threads"] == 1
    assert options["device"] == "cpu"
    result = run("transcribe", path, "--audio-model", "w", "--modality", "video")
    assert result.exit_code == 2 and "the model can use audio only" in result.stderr


def test_inspect_writes_a_picture(
    run: Callable[..., Any], film: Callable[..., Path], tmp_path: Path, frames: list[np.ndarray]
) -> None:
    path = film(tmp_path / "a.mp4", frames)
    result = run("transcribe", "inspect", path, "-o", tmp_path / "a.png")
    assert result.exit_code == 0 and "0 faces" in result.stderr and "25 of 25" not in result.stderr
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert run("transcribe", "inspect", path, "-o", tmp_path / "a.JPG").exit_code == 0
    assert (tmp_path / "a.JPG").read_bytes()[:3] == b"\xff\xd8\xff"
    result = run("transcribe", "inspect", "-", "-o", tmp_path / "b.png", stdin=path.read_bytes())
    assert result.exit_code == 0 and "standard input: 0 faces" in result.stderr
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    result = run("transcribe", "inspect", "-", "-o", tmp_path / "c.png", stdin=b"no film")
    assert result.exit_code == 1 and "standard input: is not" in result.stderr
    before = path.read_bytes()
    for out, told in ((tmp_path / "a.gif", "no name of a picture"), (path, "would be overwritten")):
        result = run("transcribe", "inspect", path, "-o", out)
        assert result.exit_code == 2 and told in result.stderr
    assert path.read_bytes() == before and not (tmp_path / "a.gif").exists()
    assert run("transcribe", "inspect", tmp_path / "none.mp4", "-o", tmp_path / "b.png").exit_code == 1


@pytest.mark.needs_dev_data
def test_a_real_clip_has_sound_and_lips(run: Callable[..., Any], dev_data: Path) -> None:
    path = dev_data / "avsr" / "grid_s1" / "bbaf2n.mp4"
    if not path.is_file():
        pytest.skip("no clips of GRID beside the project")
    result = run("transcribe", path)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "sound lips\n", "")
