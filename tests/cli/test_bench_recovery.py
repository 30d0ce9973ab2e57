"""`seqkit bench recovery` as a user meets it, on a random genome and a tiny model."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def bench(run: Run, tiny_genomic: Callable[..., Path], tmp_path: Path) -> Run:
    model = tiny_genomic("decoder", "6mer")
    genome = tmp_path / "genome.fa"
    genome.write_text(">g\n" + "".join(random.Random(0).choices("ACGT", k=8000)) + "\n")
    quick = ("--prompt-length", "48", "--prompt-length", "96", "--prompts", "6", "--order", "3")
    frames = ("--orfs", "5", "--orf-least", "72", "--orf-prompt", "48", "--orf-new", "24")
    decoders = ("--decoder-prompts", "2", "--rounds", "1", "--device", "cpu")

    def do(*arguments: str) -> Any:
        given = (
            "--model",
            model,
            "--ref",
            genome,
            "--held-out",
            "g:5001-8000",
            "--out",
            tmp_path / "recovery",
        )
        return run("bench", "recovery", *given, *quick, *frames, *decoders, *arguments)

    return do


def test_a_report_of_bases_frames_and_decoders(bench: Run, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "recovery"
    result = bench("--decoders", "copyspec,jacobi", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["kind"] == "recovery"
    rows = {(row["length"], row["method"]): row for row in report["rows"]}
    assert len(rows) == 2 * 4 and rows[96, "model"]["ahead"] is not None
    for row in rows.values():
        assert 0 <= row["score"]["low"] <= row["score"]["value"] <= row["score"]["high"] <= 1
    assert [each["prompt"] for each in report["frames"]][0] == "frame"
    outcomes = report["decoders"]["outcomes"]
    assert {each["name"] for each in outcomes} == {"plain", "copyspec", "jacobi"}
    assert all(each["different"] == 0 and each["same"] == 2 for each in outcomes)
    assert (out / "decoders" / "report.json").is_file()

    page = tmp_path / "page.md"
    page.write_text("# Recovery\n<!-- begin recovery -->\nold\n<!-- end recovery -->\nmore\n")
    assert run("bench", "page", out, "--into", page).exit_code == 0
    text = page.read_text()
    assert "old" not in text and "| 96 | markov |" in text and "(recovery-recovered.png)" in text
    assert "bases shuffled" in text and "identical" in text and "more" in text


def test_tables_are_printed_without_frames_and_decoders(bench: Run) -> None:
    result = bench("--decoders", "none", "--orfs", "0")
    assert result.exit_code == 0, result.stderr
    assert "recovered (%)" in result.stdout
    assert "Reading frames" not in result.stdout and "Decoders" not in result.stdout


def test_a_decoder_whose_output_differs_ends_with_code_1(bench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqkit.decoders.bench import measure

    answer = measure.EngineContestant.answer
    asked: list[Any] = []

    def wrong(self: Any, inputs: Any) -> Any:
        tokens, counts = answer(self, inputs)
        asked.append(self)
        return (tokens if self is asked[0] else [*tokens[:-1], (tokens[-1] + 1) % 4000], counts)

    monkeypatch.setattr(measure.EngineContestant, "answer", wrong)
    result = bench("--decoders", "copyspec", "--orfs", "0")
    assert result.exit_code == 1
    assert "copyspec on 48-bases" in result.stderr and "0 of 2 identical" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--ref", "gone.fa"], 1, "gone.fa"),
        (["--held-out", "x"], 2, "--held-out NAME:FROM-TO"),
        (["--decoders", "fast"], 2, "'fast'"),
        (["--decoders", "pearl"], 2, "pearl"),
        (["--prompts", "0"], 2, "--prompts"),
        (["--order", "99"], 2, "--order"),
        (["--prompt-length", "900"], 1, "tokens"),
        (["--model", "gone"], 2, "gone"),
    ],
)
def test_what_cannot_be_done_is_told(bench: Run, arguments: list[str], code: int, words: str) -> None:
    result = bench(*arguments)
    assert result.exit_code == code
    assert words in result.stderr


def test_a_model_that_fills_gaps_is_refused(bench: Run, tiny_genomic: Callable[..., Path]) -> None:
    result = bench("--model", str(tiny_genomic("encoder", "6mer")))
    assert result.exit_code == 1
    assert "does not continue prompts" in result.stderr
