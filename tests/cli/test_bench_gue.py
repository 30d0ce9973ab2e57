"""`seqkit bench gue` as a user meets it, on tiny tasks and a tiny model."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two tasks; two test sequences of one stand in its training split."""
    for task in ("mouse/2", "prom/prom_core_all"):
        folder = tmp_path / "GUE" / task
        folder.mkdir(parents=True)
        rng = random.Random(task)
        rows = [f"{''.join(rng.choices(('ATATACG', 'CGCGCAT')[n % 2], k=30))},{n % 2}" for n in range(120)]
        parts = {"train": rows[:80], "dev": rows[80:100], "test": rows[100:]}
        if task.startswith("prom"):
            parts["test"] = [*parts["test"], *rows[:2]]
        for name, part in parts.items():
            (folder / f"{name}.csv").write_text("\n".join(["sequence,label", *part]) + "\n")
    return tmp_path / "GUE"


@pytest.fixture
def bench(run: Run, data: Path, tiny_genomic: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    model = tiny_genomic("encoder", "3mer")
    quick = ("--tasks", "mouse/2,prom/prom_core_all", "--seeds", "2", "--epochs", "2", "--device", "cpu")

    def do(*arguments: str) -> Any:
        given = ("--data", data, "--model", model, "--out", tmp_path / "gue")
        return run("bench", "gue", *given, *quick, "--dtype", "float32", *arguments)

    return do


def test_a_report_that_goes_on_where_it_stopped(bench: Callable[..., Any], run: Run, tmp_path: Path) -> None:
    out = tmp_path / "gue"
    first = bench("--methods", "k-mers,cnn")
    assert first.exit_code == 0, first.stderr
    assert len(first.stderr.splitlines()) == 2 * (1 + 2)
    times = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    whole = bench("--json")
    assert whole.exit_code == 0
    assert len(whole.stderr.splitlines()) == 2 * 2  # the model alone; the rest was kept
    assert all((out / "runs" / name).stat().st_mtime_ns == time for name, time in times.items())
    report = json.loads(whole.stdout)
    assert report["kind"] == "gue" and len(report["runs"]) == 2 * 5
    rows = {(row["task"], row["method"]): row for row in report["rows"]}
    assert len(rows) == 6
    for row in rows.values():
        assert row["score"]["low"] <= row["score"]["value"] <= row["score"]["high"]
    assert rows["prom/prom_core_all", "k-mers"]["known"] == 2
    assert rows["prom/prom_core_all", "k-mers"]["without_known"] is not None
    assert rows["mouse/2", "k-mers"]["without_known"] is None
    assert rows["prom/prom_core_all", "model"]["published"] == pytest.approx(0.6937)
    assert {path.name for path in out.iterdir()} == {
        "runs",
        "report.json",
        "report.tsv",
        "report.md",
        "mcc.png",
    }

    page = tmp_path / "page.md"
    page.write_text("# GUE\n<!-- begin gue -->\nold\n<!-- end gue -->\nmore\n")
    assert run("bench", "page", out, "--into", page).exit_code == 0
    text = page.read_text()
    assert "old" not in text and "| mouse/2 | cnn |" in text and "(gue-mcc.png)" in text and "more" in text
    assert "2 test sequences of prom/prom_core_all stand in its training split" in text


def test_a_damaged_or_other_measurement_is_made_again(bench: Callable[..., Any], tmp_path: Path) -> None:
    quick = ("--methods", "k-mers", "--tasks", "mouse/2")
    kept = tmp_path / "gue" / "runs" / "mouse.2-k-mers-0.json"
    assert bench(*quick).exit_code == 0
    before = json.loads(kept.read_text())
    kept.write_text(kept.read_text()[:50])
    assert bench(*quick).exit_code == 0
    assert json.loads(kept.read_text())["guess"] == before["guess"]
    assert bench(*quick, "--max-train", "40").exit_code == 0
    assert json.loads(kept.read_text())["train"] == 40


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--tasks", "tf/9"], 2, "--tasks"),
        (["--methods", "guess"], 2, "--methods"),
        (["--seeds", "0"], 2, "above 0"),
        (["--data", "gone"], 1, "gone/mouse/2/train.csv"),
        (["--model", "./gone"], 2, "./gone"),
    ],
)
def test_what_cannot_be_done_is_told(
    bench: Callable[..., Any], arguments: list[str], code: int, words: str
) -> None:
    result = bench(*arguments)
    assert result.exit_code == code
    assert words in result.stderr
