"""`seqkit predict` as a user meets it."""

import csv
import functools
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seqkit.cli import main

Run = Callable[..., Any]
QUICK = ("--epochs", "1", "-t", "1", "--device", "cpu")


ROWS = {
    "classification": ("ACACACAC,a", "GTGTGT,b"),
    "multilabel": ("ACACACAC,x;y", "GTGTGT,"),
    "regression": ("ACACACAC,1", "GTGTGT,2"),
    "tokens": ("ACACACAC,EEEEEEEE", "GTGTGT,IIIIII"),
}


@pytest.fixture(scope="module")
def made(
    tiny_genomic: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder of a model that was fine-tuned for a kind of task."""
    where, base = tmp_path_factory.mktemp("tuned"), tiny_genomic("encoder", "3mer")

    @functools.cache
    def fit(kind: str) -> Path:
        train, out = where / f"{kind}.csv", where / kind
        train.write_text("\n".join(["sequence,label", *ROWS[kind] * 6]) + "\n")
        given = ["--train", train, "--dev", train, "-m", base, "-o", out, "--task", kind, *QUICK]
        result = CliRunner().invoke(main.app, ["finetune", *map(str, given)])
        assert result.exit_code == 0, result.stderr
        return out

    return fit


FASTA = ">one x\nACGTNN\nAC\n>two\n\n>three\nacgu\n"


def table(text: str, delimiter: str = "\t") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def test_a_line_for_every_sequence_in_order(run: Run, made: Callable[[str], Path], tmp_path: Path) -> None:
    fasta = tmp_path / "a.fa"
    fasta.write_text(FASTA)
    result = run("predict", made("classification"), fasta)
    assert result.exit_code == 0
    rows = table(result.stdout)
    assert rows[0] == ["id", "label", "p_a", "p_b"]
    assert [row[0] for row in rows[1:]] == ["one", "two", "three"]
    for _, label, a, b in rows[1:]:
        assert float(a) + float(b) == pytest.approx(1, abs=1e-5)
        assert label == ("a" if float(a) >= float(b) else "b")
    assert "3 sequences by" in result.stderr


def test_the_input_may_be_anything(run: Run, made: Callable[[str], Path], tmp_path: Path) -> None:
    texts = {
        "a.fa": FASTA.encode(),
        "a.fa.gz": gzip.compress(FASTA.encode()),
        "a.fq": b"@one\nACGTNNAC\n+\nIIIIIIII\n@two\n\n+\n\n@three\nacgu\n+\nIIII\n",
        "a.csv": b"id,sequence\r\none,ACGTNNAC\r\ntwo,\r\nthree,ACGT\r\n",
        "a.tsv": b"label\tname\tsequence\n0\tone\tACGTNNAC\n0\ttwo\t\n0\tthree\tACGT\n",
    }
    found = set()
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
        result = run("predict", made("classification"), tmp_path / name)
        assert result.exit_code == 0, result.stderr
        found.add(result.stdout)
    (told,) = found
    command = [sys.executable, "-m", "seqkit.cli.main", "predict", str(made("classification")), "-"]
    piped = subprocess.run(command, input=FASTA.encode(), capture_output=True, check=True)
    assert piped.stdout.decode() == told


def test_what_is_beside_a_sequence_does_not_matter(
    run: Run, made: Callable[[str], Path], tmp_path: Path
) -> None:
    fasta = tmp_path / "a.fa"
    fasta.write_text(FASTA)
    together = table(run("predict", made("classification"), fasta).stdout)
    fasta.write_text(">three\nACGT\n")
    alone = table(run("predict", made("classification"), fasta).stdout)
    assert [float(x) for x in alone[1][2:]] == pytest.approx([float(x) for x in together[3][2:]], abs=1e-5)


def test_formats(run: Run, made: Callable[[str], Path], tmp_path: Path) -> None:
    fasta = tmp_path / "a.fa"
    fasta.write_text(FASTA)
    for name in ("o.tsv", "o.csv", "o.jsonl"):
        assert run("predict", made("classification"), fasta, "-o", tmp_path / name).exit_code == 0
    rows = table((tmp_path / "o.tsv").read_text())
    assert table((tmp_path / "o.csv").read_text(), ",") == rows
    objects = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [o["id"] for o in objects] == [row[0] for row in rows[1:]]
    assert [o["label"] for o in objects] == [row[1] for row in rows[1:]]
    assert objects[0]["probabilities"]["a"] == pytest.approx(float(rows[1][2]), abs=1e-5)


def test_kinds_of_tasks(run: Run, made: Callable[[str], Path], tmp_path: Path) -> None:
    fasta = tmp_path / "a.fa"
    fasta.write_text(FASTA)
    several = table(run("predict", made("multilabel"), fasta).stdout)
    assert several[0] == ["id", "label", "p_x", "p_y"]
    for row in several[1:]:
        told = {name for name, share in zip("xy", row[2:], strict=True) if float(share) >= 0.5}
        assert set(filter(None, row[1].split(";"))) == told
    numbers = table(run("predict", made("regression"), fasta).stdout)
    assert numbers[0] == ["id", "value"] and all(float(row[1]) < 100 for row in numbers[1:])
    bases = table(run("predict", made("tokens"), fasta).stdout)
    assert bases[0] == ["id", "labels"]
    assert [len(row[1]) for row in bases[1:]] == [8, 0, 4]
    assert set("".join(row[1] for row in bases[1:])) <= {"E", "I"}
    lines = run("predict", made("tokens"), fasta, "--format", "jsonl").stdout.splitlines()
    assert [len(json.loads(line)["probabilities"]) for line in lines] == [8, 0, 4]


@pytest.mark.parametrize(
    ("text", "arguments", "code", "words"),
    [
        (FASTA, ["-o", "o.xlsx"], 2, "none of tsv, csv, jsonl"),
        (FASTA, ["--format", "xml"], 2, "none of tsv, csv, jsonl"),
        (FASTA, ["-o", "no/such/o.tsv"], 1, "the folder does not exist"),
        (">one\nAC*GT\n", [], 1, "in.fa"),
        ("seq\nACGT\n", [], 1, "--sequence-column"),
        ("sequence\nACGT\n", ["--id-column", "key"], 1, "--id-column"),
        ("", [], 1, "is empty"),
        (">long\n" + "ACG" * 200 + "\n", [], 1, "--truncate"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    run: Run,
    made: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.fa").write_text(text)
    result = run("predict", made("classification"), "in.fa", *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["in.fa"]


def test_a_long_sequence_may_be_cut(run: Run, made: Callable[[str], Path], tmp_path: Path) -> None:
    fasta = tmp_path / "a.fa"
    fasta.write_text(">long\n" + "ACG" * 200 + "\n")
    assert run("predict", made("classification"), fasta, "--truncate").exit_code == 0


def test_a_model_that_is_not_fine_tuned(run: Run, tiny_genomic: Callable[..., Path], tmp_path: Path) -> None:
    fasta = tmp_path / "a.fa"
    fasta.write_text(FASTA)
    result = run("predict", tiny_genomic("encoder", "3mer"), fasta)
    assert result.exit_code == 2
    assert "not a fine-tuned model" in result.stderr
