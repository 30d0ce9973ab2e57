"""`seqkit transcribe eval`: a table of error rates, or JSON, of clips that a list names."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.vision_speech import choosing
from seqkit.vision_speech.interface import Clip, Heard


class Transcriber:
    """Always hears the same."""

    uses = frozenset({"audio", "video"})

    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        return [Heard("Set red.", 0.0) for _ in clips]


@pytest.fixture
def manifest(film: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six sounds, a third of whose words are misheard."""
    monkeypatch.setattr(choosing, "transcriber", lambda *given, **more: Transcriber())
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        film(tmp_path / f"c{number}.wav", [], wave_S=rng.normal(0, 0.1, 8000).astype(np.float32))
        rows.append({"file": f"c{number}.wav", "text": "set red now"})
    path = tmp_path / "clips.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_a_table(run: Callable[..., Any], manifest: Path) -> None:
    result = run("transcribe", "eval", manifest, "--babble", "0,-5")
    header, *rows = result.stdout.splitlines()
    assert result.exit_code == 0 and "6 clips" in header
    assert [row.split()[:2] for row in rows] == [["audio", "clean"], ["audio", "0"], ["audio", "-5"]]
    assert "33.3  33.3 to 33.3" in rows[0]


def test_json_of_a_table_of_clips(run: Callable[..., Any], manifest: Path, tmp_path: Path) -> None:
    table = tmp_path / "clips.tsv"
    table.write_text("file\ttext\nc0.wav\tset red\nc1.wav\tset green\n")
    told = json.loads(run("transcribe", "eval", table, "--json").stdout)
    assert told["clips"] == 2
    (cell,) = told["cells"]
    assert cell["modality"] == "audio" and cell["decibels"] is None
    assert cell["words"]["value"] == 0.25
    assert cell["texts"] == {"c0": "set red", "c1": "set red"}


def test_a_list_on_standard_input(
    run: Callable[..., Any], manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = run("transcribe", "eval", manifest).stdout
    assert run("transcribe", "eval", "-", stdin=manifest.read_bytes()).stdout == wanted
    table = "file\ttext\nc0.wav\tset red\n"
    assert json.loads(run("transcribe", "eval", "-", "--json", stdin=table.encode()).stdout)["clips"] == 1
    result = run("transcribe", "eval", "-", stdin=b"")
    assert result.exit_code == 1 and "lists no clip" in result.stderr


def test_only_some_clips(run: Callable[..., Any], manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("c1  # a remark\nc4\n")
    told = json.loads(run("transcribe", "eval", manifest, "--only", tmp_path / "some.txt", "--json").stdout)
    assert list(told["cells"][0]["texts"]) == ["c1", "c4"]
    result = run("transcribe", "eval", manifest, "--only", "grid-test.txt")
    assert result.exit_code == 1 and "lists none of these clips" in result.stderr


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (["--babble", "loud"], 2, "no list of decibels"),
        (["--modalities", "smell"], 2, "'smell' is none of audio, video, av"),
        (["--modalities", "video"], 2, "have no video"),
        (["--only", "nowhere.txt"], 2, "no such list of clips"),
    ],
)
def test_wrong_options(
    run: Callable[..., Any], manifest: Path, given: list[str], code: int, told: str
) -> None:
    result = run("transcribe", "eval", manifest, *given)
    assert result.exit_code == code and told in result.stderr


def test_a_clip_that_cannot_be_read_is_named(run: Callable[..., Any], manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "c2.wav").write_bytes(b"no sound")
    result = run("transcribe", "eval", manifest)
    assert result.exit_code == 1 and "c2.wav" in result.stderr


@pytest.mark.needs_dev_data
def test_sound_and_lips_are_measured_apart_and_together(
    run: Callable[..., Any], manifest: Path, dev_data: Path
) -> None:
    folder = dev_data / "avsr" / "grid_s1"
    if not folder.is_dir():
        pytest.skip("no clips of GRID beside the project")
    row = {"file": str(folder / "bbaf2n.mp4"), "text": "set red"}
    manifest.write_text(json.dumps(row) + "\n")
    told = json.loads(run("transcribe", "eval", manifest, "--json").stdout)
    assert [cell["modality"] for cell in told["cells"]] == ["audio", "video", "av"]
