"""`seqkit score` as a user meets it."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nchr1\t7\trs1\tG\tC,<DEL>\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.fa").write_text(">one\nACGTACGTTGC\n>none\n\n")
    Path("ref.fa").write_text(">chr1\nACGTACGTTGCACGTTGACCA\n")
    Path("v.vcf").write_text(VCF)
    return tmp_path


def test_sequences(run: Run, place: Path, tiny_genomic: Callable[..., Path]) -> None:
    model = tiny_genomic("decoder", "6mer")
    result = run("score", "a.fa", "--model", model, "--both-strands", "--all-frames")
    assert result.exit_code == 0
    head, one, none = (line.split("\t") for line in result.stdout.splitlines())
    assert head == ["id", "length", "tokens", "log_likelihood", "per_base", "perplexity"]
    assert one[:3] == ["one", "11", "6"]
    assert float(one[3]) < 0
    assert none == ["none", "0", "0", "0.000000", "NA", "NA"]
    assert "1 sequences are empty" in result.stderr
    assert "ambiguous" not in result.stderr
    records = [json.loads(line) for line in run("score", "a.fa", "-m", model, "--json").stdout.splitlines()]
    assert records[0]["id"] == "one"
    assert records[1]["per_base"] is None


def test_ambiguous_letters_are_told(run: Run, place: Path) -> None:
    Path("n.fa").write_text(">n\nACGTACGTTGCANRACGTTGACCA\n>all\nNNNN\n")
    result = run("score", "n.fa", "--json")
    some, none = (json.loads(line) for line in result.stdout.splitlines())
    assert some["perplexity"] < 10
    assert (none["pseudo_log_likelihood"], none["per_base"]) == (0, None)
    assert "6 ambiguous letters" in result.stderr


def test_an_encoder_says_that_it_has_no_likelihood(
    run: Run, place: Path, tiny_genomic: Callable[..., Path]
) -> None:
    result = run("score", "a.fa", "--model", tiny_genomic("encoder", "6mer"))
    assert result.exit_code == 0
    assert "pseudo_log_likelihood" in result.stdout.splitlines()[0]
    assert "pseudo-log-likelihoods, each token masked in turn" in result.stderr
    result = run("score", "a.fa", "--model", tiny_genomic("encoder", "6mer"), "--hide", "0.5")
    assert "50% of the tokens masked at once" in result.stderr


def test_variants(run: Run, place: Path, tiny_genomic: Callable[..., Path]) -> None:
    result = run("score", "v.vcf", "--ref", "ref.fa", "-m", tiny_genomic("decoder", "6mer"), "-o", "o.tsv")
    assert (result.exit_code, result.stdout) == (0, "")
    lines = [line.split("\t") for line in Path("o.tsv").read_text().splitlines()]
    found = dict(zip(*lines, strict=True))
    assert (found["chrom"], found["pos"], found["id"], found["alt"]) == ("chr1", "7", "rs1", "C")
    assert float(found["effect"]) == pytest.approx(
        float(found["alt_score"]) - float(found["ref_score"]), abs=1e-5
    )
    assert "1 alleles are not spelled out" in result.stderr


def test_a_vcf_without_records_is_a_table_without_rows(
    run: Run, place: Path, tiny_genomic: Callable[..., Path]
) -> None:
    model = tiny_genomic("decoder", "6mer")
    head = run("score", "v.vcf", "--ref", "ref.fa", "-m", model).stdout.splitlines()[0]
    Path("none.vcf").write_text("".join(VCF.splitlines(keepends=True)[:2]))
    result = run("score", "none.vcf", "--ref", "ref.fa", "-m", model)
    assert (result.exit_code, result.stdout) == (0, head + "\n")
    assert run("score", "none.vcf", "--ref", "ref.fa", "-m", model, "--json").stdout == ""


def test_a_vcf_from_standard_input(place: Path, tiny_genomic: Callable[..., Path], run: Run) -> None:
    arguments = ["--ref", "ref.fa", "-m", str(tiny_genomic("decoder", "6mer"))]
    code = "from seqkit.cli import main\nmain.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "score", "-", *arguments], input=VCF.encode(), capture_output=True
    )
    assert done.stdout.decode() == run("score", "v.vcf", *arguments).stdout
    wrong = VCF.replace("\tG\t", "\tA\t").encode()
    done = subprocess.run(
        [sys.executable, "-c", code, "score", "-", *arguments], input=wrong, capture_output=True
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"standard input: line 3 (chr1:7): REF is A, but ref.fa has G there" in done.stderr


def test_the_model_that_comes_with_seqkit_is_about_chance_on_random_bases(run: Run, place: Path) -> None:
    """Perplexity is per base: 6-mers that overlap tell every base six times."""
    draw = random.Random(5)
    Path("random.fa").write_text(f">r\n{''.join(draw.choices('ACGT', k=200))}\n")
    result = run("score", "random.fa", "--json")
    assert 3.5 < json.loads(result.stdout)["perplexity"] < 4.6


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["v.vcf"], 2, "--ref genome.fa"),
        (["v.vcf", "v.vcf", "--ref", "ref.fa"], 2, "one VCF"),
        (["v.vcf", "--ref", "ref.fa", "--window", "2"], 2, "--window 2"),
        (["a.fa", "--overlap", "-1"], 2, "--overlap"),
        (["a.fa", "--batch-tokens", "0"], 2, "--batch-tokens"),
        (["a.fa", "--hide", "0.7"], 2, "--hide 0.7"),
        (["a.fa", "--hide", "0.3"], 2, "from left to right"),
        (["no.fa"], 1, "no.fa"),
        (["v.vcf", "--ref", "a.fa"], 1, "a.fa"),
    ],
)
def test_what_cannot_be_done_is_told(
    run: Run, place: Path, tiny_genomic: Callable[..., Path], arguments: list[str], code: int, words: str
) -> None:
    result = run("score", *arguments, "-m", tiny_genomic("decoder", "6mer"), "-o", "o.tsv")
    assert (result.exit_code, words in result.stderr) == (code, True), result.stderr
    assert not Path("o.tsv").exists()
