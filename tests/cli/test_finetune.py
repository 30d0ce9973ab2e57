"""`seqkit finetune` as a user meets it."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
QUICK = ("--epochs", "2", "--batch-size", "16", "--learning-rate", "3e-3", "-t", "1", "--device", "cpu")


@pytest.fixture
def folder(tiny_genomic: Callable[..., Path]) -> Path:
    return tiny_genomic("encoder", "3mer")


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """`table("train.csv", 60)`: sequences of C and G, or of A and T, with a column for every kind of task."""

    def write(name: str, rows: int, seed: int = 0) -> Path:
        rng = random.Random(seed)
        lines = ["sequence,label,score,strong,long,bases,names"]
        for row in range(rows):
            letters = "".join(rng.choices("ATATATCG" if row % 2 else "CGCGCGAT", k=rng.randint(10, 40)))
            long = int(len(letters) > 25)
            names = ";".join(name for name, is_so in (("strong", not row % 2), ("long", long)) if is_so)
            bases = "SW"[row % 2] * len(letters)
            score = letters.count("C") / len(letters)
            lines.append(f"{letters},{'SW'[row % 2]},{score},{1 - row % 2},{long},{bases},{names}")
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_the_whole_way(run: Run, folder: Path, table: Callable[..., Path], tmp_path: Path) -> None:
    train, dev, test = (table(f"{name}.csv", size, size) for name, size in (("a", 80), ("b", 30), ("c", 31)))
    out = tmp_path / "tuned"
    result = run("finetune", "--train", train, "--dev", dev, "--test", test, "-m", folder, "-o", out, *QUICK)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[1] for row in rows[1:]] == ["mcc", "f1", "auroc", "accuracy"] * 2
    assert all(float(row[3]) <= float(row[2]) <= float(row[5]) for row in rows[1:])
    assert "steps in" in result.stderr
    kept = json.loads((out / "task.json").read_text())
    assert kept["task"]["labels"] == ["S", "W"]
    assert kept["report"]["scores"]["test"]["mcc"]["value"] == pytest.approx(float(rows[5][2]), abs=1e-4)
    card = (out / "README.md").read_text()
    assert "seqkit predict tuned" in card and "| test | mcc |" in card and str(tmp_path) not in card
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "head.safetensors"} <= names


@pytest.mark.parametrize(
    ("kind", "columns", "measure"),
    [
        ("multilabel", ("strong", "long"), "f1"),
        ("multilabel", ("names",), "f1"),
        ("regression", ("score",), "r2"),
        ("tokens", ("bases",), "mcc"),
    ],
)
def test_every_kind_of_task(
    run: Run,
    folder: Path,
    table: Callable[..., Path],
    tmp_path: Path,
    kind: str,
    columns: tuple[str, ...],
    measure: str,
) -> None:
    train, out = table("a.csv", 40), tmp_path / "tuned"
    flags = [word for column in columns for word in ("--label-column", column)]
    result = run(
        "finetune",
        "--train",
        train,
        "--dev",
        train,
        "-m",
        folder,
        "-o",
        out,
        "--task",
        kind,
        *flags,
        "--json",
        *QUICK,
    )
    assert result.exit_code == 0
    assert next(iter(json.loads(result.stdout)["scores"]["dev"])) == measure
    called = run("predict", out, train, "--device", "cpu")
    assert called.exit_code == 0
    assert len(called.stdout.splitlines()) == 41


def test_labelled_fasta_with_low_rank_updates(run: Run, folder: Path, tmp_path: Path) -> None:
    fasta, out = tmp_path / "a.fa", tmp_path / "tuned"
    fasta.write_text(
        "".join(f">r{n} {'at' if n % 2 else 'cg'}\n{('AT', 'cg')[n % 2 == 0] * 6}\n" for n in range(24))
    )
    result = run("finetune", "--train", fasta, "--dev", fasta, "-m", folder, "-o", out, "--lora", "2", *QUICK)
    assert result.exit_code == 0
    assert json.loads((out / "task.json").read_text())["task"]["labels"] == ["at", "cg"]


def test_a_folder_is_not_replaced_unasked(
    run: Run, folder: Path, table: Callable[..., Path], tmp_path: Path
) -> None:
    train, out = table("a.csv", 20), tmp_path / "tuned"
    arguments = ("finetune", "--train", train, "--dev", train, "-m", folder, "-o", out, *QUICK)
    assert run(*arguments).exit_code == 0
    before = (out / "task.json").read_bytes()
    again = run(*arguments)
    assert again.exit_code == 1 and "exists already" in again.stderr
    assert (out / "task.json").read_bytes() == before
    assert run(*arguments, "--force", "--seed", "1").exit_code == 0
    assert (out / "task.json").read_bytes() != before
    (tmp_path / "mine").mkdir()
    refused = run(
        "finetune", "--train", train, "--dev", train, "-m", folder, "-o", tmp_path / "mine", "--force"
    )
    assert refused.exit_code == 1 and "is not replaced" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--task", "ranking"], 2, "--task classification|multilabel|regression|tokens"),
        (["--label-column", "colour"], 1, "there is no column 'colour'"),
        (["--sequence-column", "seq"], 1, "there is no column 'seq'"),
        (["--label-column", "score", "--label-column", "long"], 2, "--label-column"),
        (["--task", "regression"], 1, "the label 'S' is not a finite number"),
        (["--task", "tokens"], 1, "line 2"),
        (["--pool", "max"], 2, "--pool"),
        (["--metric", "r2"], 2, "--metric mcc|f1|auroc|accuracy"),
        (["--minutes", "0"], 2, "--minutes"),
        (["--dtype", "float16"], 2, "--dtype"),
        (["--learning-rate", "0"], 2, "--learning-rate"),
        (["--device", "tpu"], 2, "tpu"),
        (["--dev", "gone.csv"], 1, "gone.csv"),
        (["--test", "gone.csv"], 1, "gone.csv"),
        (["--model", "./gone"], 2, "./gone"),
        (["-o", "no/such/folder"], 1, "no/such/folder"),
        (["--label-pattern", "("], 2, "regular expression"),
        (["--labels", "x", "--label-pattern", "y"], 2, "--labels"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    run: Run,
    folder: Path,
    table: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    train = table("a.csv", 20)
    base = ("finetune", "--train", train, "--dev", train, "-m", folder, "-o", tmp_path / "tuned", *QUICK)
    result = run(*base, *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert not (tmp_path / "tuned").exists()


def test_a_long_sequence_is_refused_or_cut(
    run: Run, folder: Path, table: Callable[..., Path], tmp_path: Path
) -> None:
    train, out = table("a.csv", 20), tmp_path / "tuned"
    with train.open("a") as file:
        file.write("ACG" * 200 + ",S,1,1,1,,\n")
    arguments = ("finetune", "--train", train, "--dev", train, "-m", folder, "-o", out, *QUICK)
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "a.csv" in refused.stderr and "line 22" in refused.stderr and "--truncate" in refused.stderr
    assert run(*arguments, "--truncate").exit_code == 0


def test_an_unknown_label_in_the_test_split_shows_before_the_training(
    run: Run, folder: Path, table: Callable[..., Path], tmp_path: Path
) -> None:
    train = table("a.csv", 20)
    other = tmp_path / "other.csv"
    other.write_text("sequence,label\nACGT,X\n")
    result = run(
        "finetune",
        "--train",
        train,
        "--dev",
        train,
        "--test",
        other,
        "-m",
        folder,
        "-o",
        tmp_path / "t",
        *QUICK,
    )
    assert result.exit_code == 1
    assert "other.csv" in result.stderr and "line 2" in result.stderr and "'X'" in result.stderr


@pytest.mark.needs_dev_data
def test_the_shipped_model_on_a_task_of_gue(run: Run, dev_data: Path, tmp_path: Path) -> None:
    task = dev_data / "genomics" / "benchmarks" / "GUE" / "mouse" / "2"
    files = []
    for name in ("train", "dev"):
        lines = (task / f"{name}.csv").read_text().splitlines()
        files.append(tmp_path / f"{name}.csv")
        files[-1].write_text("\n".join(lines[:161]) + "\n")
    given = ("--train", files[0], "--dev", files[1], "-o", tmp_path / "tuned")
    quick = ("--epochs", "2", "--learning-rate", "1e-3", "-t", "1", "--device", "cpu", "--json")
    result = run("finetune", *given, *quick)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["scores"]["dev"]["auroc"]["value"] > 0.55
