"""`seqkit pretrain`: the same model whether a run was killed or not, alone or in two processes."""

import gzip
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from typer.testing import CliRunner, Result

from seqkit.cli import main
from seqkit.models import genomic

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

OFTEN: dict[str, object] = {
    "paths": [str(GENOME)],
    "arch": "generator",
    "size": "tiny",
    "d_model": 32,
    "heads": 2,
    "layers": 2,
    "context": 32,
    "batch_tokens": 128,
    "steps": 150,
    "dtype": "float32",
    "checkpoint_seconds": 0.01,
}


def pretrain(*arguments: object) -> Result:
    return CliRunner().invoke(main.app, ["pretrain", *map(str, arguments)])


def losses(folder: Path) -> list[float]:
    """Those of every step, from the checkpoint."""
    with safetensors.safe_open(folder / "training" / "checkpoint.safetensors", "pt") as file:
        return json.loads(file.metadata()["progress"])["losses"]


def wait_for_steps(folder: Path) -> None:
    """Until a checkpoint tells of a few."""
    checkpoint = folder / "training" / "checkpoint.safetensors"
    limit = time.monotonic() + 120
    while not (checkpoint.exists() and len(losses(folder)) > 3) and time.monotonic() < limit:
        time.sleep(0.02)


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
    often = recipe(tmp_path / "often.toml", **OFTEN)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "seqkit.cli.main", "pretrain", "--recipe", str(often), "--device", "cpu"]
    process = subprocess.Popen([*command, "--threads", "1", "-o", str(killed)], stderr=subprocess.PIPE)
    wait_for_steps(killed)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(losses(killed))
    assert 3 < done < 150
    assert not (killed / "model.safetensors").exists()
    for folder in (killed, whole):
        result = pretrain("--recipe", often, "--device", "cpu", "--threads", "1", "-o", folder)
        assert result.exit_code == 0, result.output
    assert losses(killed) == losses(whole)


def in_two_processes(*arguments: object) -> list[str]:
    """The command line of `seqkit pretrain` under torchrun."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return [*torchrun, "-m", "seqkit.cli.main", "pretrain", *map(str, arguments)]


def test_two_processes_hold_half_of_the_model_each_and_train_the_same(tmp_path: Path) -> None:
    alone, divided = tmp_path / "alone", tmp_path / "divided"
    options = (GENOME, "--arch", "dnabert2", *FEW, "--evaluate-every", 3)
    assert pretrain(*options, "-o", alone).exit_code == 0
    done = subprocess.run(
        in_two_processes(*options, "-o", divided), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert losses(divided) == pytest.approx(losses(alone), rel=1e-5)
    told = re.search(
        r"([\d,]+) parameters, (?:.|\n)*2 processes, ([\d,]+) parameters in the first", done.stderr
    )
    assert told is not None, done.stderr
    whole, share = (int(text.replace(",", "")) for text in told.groups())
    assert 0.5 * whole <= share < 0.55 * whole
    assert done.stderr.count("held out") == 1  # only one process tells, and writes
    found, expected = (safetensors.numpy.load_file(f / "model.safetensors") for f in (divided, alone))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4)


def test_what_two_processes_began_one_goes_on_with(tmp_path: Path) -> None:
    """SIGTERM, as schedulers send, lets the step end; parameters and what the optimiser knows are whole."""
    often = recipe(tmp_path / "often.toml", **OFTEN | {"steps": 60})
    whole, begun = tmp_path / "whole", tmp_path / "begun"
    options = ("--recipe", often, "--device", "cpu", "--threads", 1, "-o")
    process = subprocess.Popen(in_two_processes(*options, begun), stderr=subprocess.PIPE)
    wait_for_steps(begun)
    process.terminate()
    process.communicate(timeout=60)
    assert 3 < len(losses(begun)) < 60
    for folder in (begun, whole):
        result = pretrain(*options, folder)
        assert result.exit_code == 0, result.output
    assert losses(begun) == pytest.approx(losses(whole), rel=1e-4)


def test_half_an_environment_of_torchrun_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    result = pretrain(GENOME, "--arch", "generator", *FEW, "-o", tmp_path / "model")
    assert result.exit_code == 2
    assert "RANK is not set" in result.stderr


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
        (("--learning-rate", "0"), "learning_rate"),
        (("--recipe", "nosuch"), "nosuch"),
    ],
)
def test_wrong_usage_is_named(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    result = pretrain(GENOME, "-o", tmp_path / "m", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_with_another_model_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    shutil.copytree(Path(genomic.find_folder(genomic.DEFAULT)), out)
    before = (out / "model.safetensors").read_bytes()
    result = pretrain(GENOME, "-o", out, *FEW)
    assert result.exit_code == 2
    assert str(out) in result.stderr and "not pretrained here" in result.stderr
    assert (out / "model.safetensors").read_bytes() == before


def test_a_compressed_bed_file_keeps_regions_out(tmp_path: Path) -> None:
    path = tmp_path / "out.bed.gz"
    path.write_bytes(gzip.compress(b"MN908947.3\t0\t20000\n"))
    counts = []
    for number, options in enumerate(((), ("--exclude", path))):
        out = tmp_path / str(number)
        assert pretrain(GENOME, "--arch", "generator", "-o", out, *FEW, *options).exit_code == 0
        counts.append(
            int(re.search(r"([\d,]+) left out", (out / "README.md").read_text())[1].replace(",", ""))
        )  # type: ignore[index]
    assert counts[1] - counts[0] == 20_000


@pytest.mark.parametrize("command", ["score", "generate"])
def test_a_tokenizer_that_the_model_was_not_trained_with_is_refused(command: str, tmp_path: Path) -> None:
    """Of the same size, so that nothing but what it was trained with tells."""
    out, other = tmp_path / "model", tmp_path / "other"
    runner = CliRunner()
    for folder, genome in ((out, GENOME), (other, tmp_path / "turned.fa")):
        if genome != GENOME:
            lines = GENOME.read_text().splitlines()
            genome.write_text("\n".join([lines[0], *(line[::-1] for line in lines[1:])]) + "\n")
        options = ("--arch", "generator", *FEW, "--tokenizer", "bpe:64", "--steps", "1")
        assert pretrain(genome, "-o", folder, *options).exit_code == 0
    shutil.copy(other / "tokenizer.json", out / "tokenizer.json")
    prompt = tmp_path / "prompt.fa"
    prompt.write_text(">one\nACGTACGTTGCAACGT\n")
    result = runner.invoke(main.app, [command, str(prompt), "--model", str(out)])
    assert result.exit_code == 1
    assert "not the tokenizer that the model was trained with" in result.stderr
    assert str(out / "tokenizer.json") in result.stderr


def test_weights_can_be_read_by_whom_other_files_can(tmp_path: Path) -> None:
    assert pretrain(GENOME, "--arch", "generator", "-o", tmp_path / "m", *FEW).exit_code == 0
    modes = {path.name: path.stat().st_mode for path in (tmp_path / "m").iterdir() if path.is_file()}
    assert modes["model.safetensors"] == modes["README.md"] == modes["config.json"]


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
