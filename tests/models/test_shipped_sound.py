"""The models of sound and speech that come with the package: small, whole, and at work on real input."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seqkit.cli import main
from seqkit.models import catalogue

SHIPPED = Path(catalogue.__file__).with_name("shipped")
#: Set where the data beside the project lie; see tests/conftest.py.
DATA = Path(os.environ.get("SEQKIT_DEV_DATA", ""))


@pytest.mark.parametrize("name", ["sounds-small", "speech-small"])
def test_they_are_small_and_without_pickles(name: str) -> None:
    held = {path.name for path in (SHIPPED / name).iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "recipe.toml"} <= held
    assert not [file for file in held if Path(file).suffix in (".bin", ".pt", ".pkl", ".ckpt")]
    assert sum(path.stat().st_size for path in (SHIPPED / name).iterdir()) < 20_000_000
    assert "## Terms" in (SHIPPED / name / "README.md").read_text(encoding="utf-8")


def run(*arguments: object) -> list[dict[str, object]]:
    result = CliRunner().invoke(main.app, [*map(str, arguments), "--format", "jsonl"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.needs_dev_data
@pytest.mark.parametrize(("label", "word"), [("dog-bark", "dog"), ("sea-waves", "waves")])
def test_sources_are_mostly_named(label: str, word: str) -> None:
    clips = sorted((DATA / "caption" / "esc10").glob(f"4-*{label}.ogg"))
    if not clips:
        pytest.skip("the clips of ESC-10 are not there")
    named = [word in str(segment["text"]) for segment in run("caption", *clips)]
    assert len(named) == len(clips)
    assert sum(named) >= 0.6 * len(named)


@pytest.mark.needs_dev_data
@pytest.mark.parametrize("modality", ["audio", "video", "av"])
def test_a_sentence_is_read_that_was_never_trained_on(modality: str) -> None:
    folder = DATA / "avsr" / "grid_s1"
    if not folder.is_dir():
        pytest.skip("the clips of GRID are not there")
    (segment,) = run("transcribe", folder / "bbaszn.mp4", "--modality", modality)
    assert segment["text"] == "bin blue at s zero now"
