"""`seqkit bench pathogen` as a user meets it, on random genomes and a tiny model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def bench(run: Run, pathogen_data: Path, tiny_genomic: Callable[..., Path], tmp_path: Path) -> Run:
    model = tiny_genomic("encoder", "6mer")
    quick = ("--seeds", "2", "--epochs", "1", "--device", "cpu", "--dtype", "float32")
    few = ("--max-train", "120", "--test-reads", "60")

    def do(*arguments: str) -> Any:
        given = ("--data", pathogen_data, "--model", model, "--out", tmp_path / "pathogen")
        return run("bench", "pathogen", *given, *quick, *few, *arguments)

    return do


def test_a_report_that_goes_on_where_it_stopped(bench: Run, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "pathogen"
    first = bench("--methods", "k-mers,cnn")
    assert first.exit_code == 0, first.stderr
    assert len(first.stderr.splitlines()) == 2 * 2 * 2
    times = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    whole = bench("--json")
    assert whole.exit_code == 0, whole.stderr
    assert len(whole.stderr.splitlines()) == 2 * 2  # the model alone; the rest was kept
    assert all((out / "runs" / name).stat().st_mtime_ns == time for name, time in times.items())
    report = json.loads(whole.stdout)
    assert report["kind"] == "pathogen" and len(report["runs"]) == 2 * 2 * 3
    rows = {(row["way"], row["method"]): row for row in report["rows"]}
    assert len(rows) == 6
    for (way, method), row in rows.items():
        assert row["score"]["low"] <= row["score"]["value"] <= row["score"]["high"]
        assert set(row["recall"]) == {"virus", "resistance", "bacteria", "human"}
        assert (row["leak"] is not None) == (way == "read")
        assert (row["ahead"] is not None) == (method == "model")
    for runs in ([each for each in report["runs"] if each["seed"] == seed] for seed in (0, 1)):
        # The same test reads for every method and both splits; recall is what was guessed of them.
        assert len({(each["truth"], each["sources"], tuple(each["lineages"])) for each in runs}) == 1
    own = [each for each in report["runs"] if (each["way"], each["method"]) == ("genome", "k-mers")]
    human = [
        true == guessed
        for each in own
        for true, guessed, source in zip(each["truth"], each["guess"], each["sources"], strict=True)
        if source == "3"
    ]
    assert len(human) == 2 * 15
    assert rows["genome", "k-mers"]["recall"]["human"]["value"] == pytest.approx(sum(human) / len(human))
    files = {"runs", "report.json", "report.tsv", "report.md", "recall.png"}
    assert {path.name for path in out.iterdir()} == files

    page = tmp_path / "page.md"
    page.write_text("# Reads\n<!-- begin pathogen -->\nold\n<!-- end pathogen -->\nmore\n")
    assert run("bench", "page", out, "--into", page).exit_code == 0
    text = page.read_text()
    assert "old" not in text and "| genome | cnn |" in text and "(pathogen-recall.png)" in text
    assert "(the leak)" in text and "share 32 letters with a training read: virus" in text and "more" in text


def test_another_setting_is_measured_again_and_a_table_is_printed(bench: Run, tmp_path: Path) -> None:
    quick = ("--methods", "k-mers", "--splits", "genome", "--seeds", "1")
    kept = tmp_path / "pathogen" / "runs" / "genome-k-mers-0.json"
    result = bench(*quick)
    assert result.exit_code == 0
    assert "Reads of pathogens" in result.stdout and "resistance (%)" in result.stdout
    before = json.loads(kept.read_text())
    kept.write_text(kept.read_text()[:50])
    assert bench(*quick).exit_code == 0
    assert json.loads(kept.read_text())["guess"] == before["guess"]
    assert bench(*quick, "--error", "0.05").exit_code == 0
    assert json.loads(kept.read_text())["settings"]["error"] == 0.05


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--splits", "gene"], 2, "--splits"),
        (["--methods", "guess"], 2, "--methods"),
        (["--seeds", "0"], 2, "above 0"),
        (["--max-train", "1"], 2, "--max-train"),
        (["--length", "151"], 2, "--length"),
        (["--data", "gone", "--methods", "k-mers"], 1, "gone/meta/nextclade_viruses.tar.gz"),
        (["--model", "./gone"], 2, "./gone"),
    ],
)
def test_what_cannot_be_done_is_told(bench: Run, arguments: list[str], code: int, words: str) -> None:
    result = bench(*arguments)
    assert result.exit_code == code
    assert words in result.stderr
