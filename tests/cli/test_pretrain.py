"""`seqkit pretrain`: the same model whether a run was killed or not, alone or in two processes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors
from typer.testing import CliRunner, Result

from seqkit.cli import main

GENOME = Path(__file__).parents[2] / "examples" / "sarscov2.fa"
TINY = (
    "--size",
    "tiny",
    "--d-model",
    "32",
    "--heads",
    "2",
    "--layers",
    "2",
    "--context",
    "32",
    "--tokenizer",
    "6mer",
)
FEW = (
    *TINY,
    "--batch-tokens",
    "128",
    "--steps",
    "6",
    "--dtype",
    "float32",
    "--device",
    "cpu",
    "--threads",
    "1",
)


def pretrain(*arguments: object) -> Result:
    return CliRunner().invoke(main.app, ["pretrain", *map(str, arguments)])


def losses(folder: Path) -> list[float]:
    """Those of every step, from the checkpoint."""
    with safetensors.safe_open(folder / "training" / "checkpoint.safetensors", "pt") as file:
        return json.loads(file.metadata()["progress"])["losses"]


def recipe(path: Path, **values: object) -> Path:
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    return path


@pytest.mark.parametrize("arch", ["dnabert2", "metagene", "generator"])
def test_every_architecture_trains_into_a_model_that_scores(arch: str, tmp_path: Path) -> None:
    out = tmp_path / "model"
    result = pretrain(GENOME, "--arch", arch, "-o", out, *FEW)
    assert result.exit_code == 0, result.output
    assert len(losses(out)) == 6
    assert (out / "training" / "curves.png").stat().st_size > 1000
    card = (out / "README.md").read_text()
    assert "sarscov2.fa" in card
    assert str(tmp_path) not in card
    path = tmp_path / "seqs.fa"
    path.write_text(">one\nACGTACGTTGCAACGT\n")
    scored = CliRunner().invoke(main.app, ["score", str(path), "--model", str(out)])
    assert scored.exit_code == 0, scored.output
    assert scored.stdout.splitlines()[1].startswith("one\t16\t")


def test_it_learns(tmp_path: Path) -> None:
    path = tmp_path / "repeats.fa"
    path.write_text(">repeats\n" + "ACGTTGCA" * 2000 + "\n")
    arguments = (
        *TINY,
        "--batch-tokens",
        "256",
        "--learning-rate",
        "0.01",
        "--warmup",
        "5",
        "--dtype",
        "float32",
    )
    result = pretrain(path, "--arch", "generator", "-o", tmp_path / "m", *arguments, "--steps", "60")
    assert result.exit_code == 0, result.output
    found = losses(tmp_path / "m")
    assert found[-1] < 0.5 * found[0]


def test_a_stopped_run_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert pretrain(GENOME, "--arch", "metagene", "-o", whole, *FEW).exit_code == 0
    first = pretrain(GENOME, "--arch", "metagene", "-o", stopped, *FEW, "--minutes", "0")
    assert first.exit_code == 0
    assert "the same command goes on" in first.stderr
    assert pretrain(GENOME, "--arch", "metagene", "-o", stopped, *FEW).exit_code == 0
    assert losses(stopped) == losses(whole)


def test_a_killed_run_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    options = {
        "paths": [str(GENOME)],
        "arch": "generator",
        "size": "tiny",
        "d_model": 32,
        "heads": 2,
        "layers": 2,
        "context": 32,
        "batch_tokens": 128,
        "steps": 400,
        "dtype": "float32",
    }
    often = recipe(tmp_path / "often.toml", **options, checkpoint_seconds=0.01)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "seqkit.cli.main", "pretrain", "--recipe", str(often), "--device", "cpu"]
    process = subprocess.Popen([*command, "--threads", "1", "-o", str(killed)], stderr=subprocess.PIPE)
    checkpoint = killed / "training" / "checkpoint.safetensors"
    limit = time.monotonic() + 60
    while not (checkpoint.exists() and len(losses(killed)) > 3) and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(losses(killed))
    assert 3 < done < 400
    assert not (killed / "model.safetensors").exists()
    for folder in (killed, whole):
        result = pretrain("--recipe", often, "--device", "cpu", "--threads", "1", "-o", folder)
        assert result.exit_code == 0, result.output
    assert losses(killed) == losses(whole)


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them would train the whole model, and all would write to one folder."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = pretrain(GENOME, "--arch", "generator", *FEW, "-o", tmp_path / "model")
    assert result.exit_code == 2
    assert "2 processes" in result.stderr


def test_accumulation_is_one_large_batch(tmp_path: Path) -> None:
    for count in (1, 4):
        result = pretrain(
            GENOME, "--arch", "metagene", "-o", tmp_path / str(count), *FEW, "--accumulate", count
        )
        assert result.exit_code == 0, result.output
    assert losses(tmp_path / "4") == pytest.approx(losses(tmp_path / "1"), abs=1e-4)


def test_bfloat16_stays_near(tmp_path: Path) -> None:
    for dtype in ("float32", "bfloat16"):
        result = pretrain(GENOME, "--arch", "dnabert2", "-o", tmp_path / dtype, *FEW, "--dtype", dtype)
        assert result.exit_code == 0, result.output
    assert losses(tmp_path / "bfloat16") == pytest.approx(losses(tmp_path / "float32"), rel=0.02)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (">a\n" + "N" * 500 + "\n", "nothing is left to train on"),
        ("no sequences here\n", "file.fa"),
    ],
)
def test_files_without_anything_to_learn(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file.fa"
    path.write_text(text)
    result = pretrain(path, "-o", tmp_path / "m", *FEW)
    assert result.exit_code == 1
    assert words in result.stderr
    assert not (tmp_path / "m" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--arch", "nope"), "nope"),
        (("--tokenizer", "nope"), "nope"),
        (("--size", "huge"), "huge"),
        (("--dtype", "float8"), "--dtype"),
        (("--held-out", "1.5"), "held"),
        (("--recipe", "nosuch"), "nosuch"),
    ],
)
def test_wrong_usage_is_named(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    result = pretrain(GENOME, "-o", tmp_path / "m", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = recipe(tmp_path / "r.toml", paths=[str(GENOME)], arcitecture="generator")
    result = pretrain("--recipe", path, "-o", tmp_path / "m")
    assert result.exit_code != 0
    assert "arcitecture" in result.stderr


def test_a_damaged_checkpoint_and_that_of_another_run_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "m"
    assert pretrain(GENOME, "--arch", "generator", "-o", out, *FEW).exit_code == 0
    other = pretrain(GENOME, "--arch", "generator", "-o", out, *FEW, "--seed", "9")
    assert other.exit_code == 1
    assert "another run" in other.stderr
    checkpoint = out / "training" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    damaged = pretrain(GENOME, "--arch", "generator", "-o", out, *FEW)
    assert damaged.exit_code == 1
    assert "checkpoint" in damaged.stderr
