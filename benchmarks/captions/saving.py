"""Reports of benchmarks on captions: saved as JSON and Markdown, shown, and put into their page."""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqkit.audio.evaluation.report import Score
from seqkit.io import pages

__all__ = ["parser", "save", "shown", "spread", "table"]


def parser(doc: str | None, out: str) -> argparse.ArgumentParser:
    """What all of them are asked."""
    parsed = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parsed.add_argument(
        "--out", type=Path, default=Path(out), help="its name is that of the markers in the page"
    )
    parsed.add_argument("--page", type=Path, help="docs/benchmarks/captions.md, to put the report in")
    parsed.add_argument("--threads", type=int, default=2)
    return parsed


def save(arguments: argparse.Namespace, report: dict[str, Any], text: str) -> None:
    """Write `report.json` and `report.md`, print the latter, and fill the page if one is given."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "report.md").write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    print(text)
    if arguments.page:
        pages.paste(arguments.out, arguments.page)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def shown(score: Score, scale: float = 1.0, digits: int = 3) -> str:
    """A value with its interval."""
    value, low, high = (round(scale * x, digits) for x in (score.value, score.low, score.high))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 2) -> str:
    """Mean and standard deviation over seeds."""
    mean = scale * statistics.fmean(values)
    deviation = scale * statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"
