"""Measurements of GUE as a table, a picture, JSON and Markdown.

The score of a method is the mean over seeds of Matthews' correlation; its interval
comes from resampling the test sequences, the same ones for all seeds and methods. This
file does not know how anything was measured.

Shape suffixes: N test sequences, R resamples.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from seqkit.genomics.finetune import metrics
from seqkit.genomics.tasks.gue import METHODS, PUBLISHED, Run

__all__ = ["COLUMNS", "KIND", "Row", "as_json", "cells", "rows", "save"]

matplotlib.use("Agg")

KIND = "gue"
COLUMNS = ("task", "method", "MCC (%)", "95 % interval", "seeds", "without known", "seconds", "published")
RESAMPLES = 1000
_COLOURS = {"model": "#0072B2", "cnn": "#E69F00", "k-mers": "#999999"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A method on a task.

    Attributes
    ----------
    score : mean MCC of the seeds, with its interval.
    spread : standard deviation over seeds.
    seeds : how many.
    without_known : the same without test sequences that stand in the training split; None if there are none.
    known : how many those are.
    ahead : of the model, the gain over the better baseline, with its interval; otherwise None.
    seconds : mean of the seeds.
    published : MCC of DNABERT-2 (0 to 1), or None.
    """

    task: str
    method: str
    score: metrics.Score
    spread: float
    seeds: int
    without_known: metrics.Score | None
    known: int
    ahead: metrics.Score | None
    seconds: float
    published: float | None


def rows(runs: Sequence[Run], seed: int = 0) -> list[Row]:
    """A row for every task and method.

    Parameters
    ----------
    seed : draws the resamples.
    """
    rng = np.random.default_rng(seed)
    found = []
    for name in dict.fromkeys(run.task for run in runs):
        of_task = [run for run in runs if run.task == name]
        found += _rows_of(of_task, rng)
    return found


def _rows_of(runs: Sequence[Run], rng: np.random.Generator) -> list[Row]:
    """The rows of one task."""
    by_method = {
        method: [run for run in runs if run.method == method]
        for method in METHODS
        if any(run.method == method for run in runs)
    }
    groups_N = np.arange(len(runs[0].truth))
    known_N = np.isin(groups_N, runs[0].known)

    def score(measure: Callable[[np.ndarray], float], leave_out: bool = False) -> metrics.Score:
        weights_N = np.where(known_N & leave_out, 0.0, 1.0)
        return metrics.with_interval(
            lambda counts_N: measure(counts_N * weights_N), groups_N, rng, resamples=RESAMPLES
        )

    means = {method: _Mean(of_method) for method, of_method in by_method.items()}
    others = [means[method] for method in means if method != "model"]
    best = max(others, key=lambda mean: mean(np.ones(len(groups_N))), default=None)
    return [
        Row(
            task=runs[0].task,
            method=method,
            score=score(means[method]),
            spread=float(np.std([_Mean([run])(np.ones(len(groups_N))) for run in of_method])),
            seeds=len(of_method),
            without_known=score(means[method], leave_out=True) if known_N.any() else None,
            known=int(known_N.sum()),
            ahead=score(_Gain(means[method], best)) if method == "model" and best is not None else None,
            seconds=float(np.mean([run.seconds for run in of_method])),
            published=PUBLISHED[runs[0].task] / 100 if runs[0].task in PUBLISHED else None,
        )
        for method, of_method in by_method.items()
    ]


class _Mean:
    """The mean MCC of runs, as a function of how often each test sequence counts."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._pairs = [(_classes(run.truth), _classes(run.guess)) for run in runs]

    def __call__(self, counts_N: np.ndarray) -> float:
        """Value at counts (N,)."""
        return float(np.mean([metrics.matthews(truth, guess, counts_N) for truth, guess in self._pairs]))


class _Gain:
    """What one has more than another, on the same test sequences."""

    def __init__(self, one: _Mean, other: _Mean) -> None:
        self._one, self._other = one, other

    def __call__(self, counts_N: np.ndarray) -> float:
        """Value at counts (N,)."""
        return self._one(counts_N) - self._other(counts_N)


def cells(row: Row) -> list[str]:
    """A row of the table, as `COLUMNS`."""
    return [
        row.task,
        row.method,
        f"{100 * row.score.value:.1f}",
        f"{100 * row.score.low:.1f} to {100 * row.score.high:.1f}",
        f"{row.seeds} (sd {100 * row.spread:.1f})" if row.seeds > 1 else "1",
        f"{100 * row.without_known.value:.1f}" if row.without_known else "",
        f"{row.seconds:.0f}",
        f"{100 * row.published:.1f}" if row.published is not None and row.method == "model" else "",
    ]


def as_json(found: Sequence[Row], runs: Sequence[Run], command: str) -> str:
    """All of it."""
    described = {
        "kind": KIND,
        "command": command,
        "rows": [dataclasses.asdict(row) for row in found],
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    return json.dumps(described, indent=1)


def save(found: Sequence[Row], runs: Sequence[Run], folder: Path, command: str) -> None:
    """Write report.json, report.tsv, report.md and mcc.png."""
    (folder / "report.json").write_text(as_json(found, runs, command) + "\n", encoding="utf-8")
    lines = ["\t".join(line) for line in (COLUMNS, *map(cells, found))]
    (folder / "report.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _draw(found, folder / "mcc.png")
    (folder / "report.md").write_text(_markdown(found, runs, command), encoding="utf-8")


def _markdown(found: Sequence[Row], runs: Sequence[Run], command: str) -> str:
    table = [COLUMNS, ["---", "---", "---:", "---:", "---", "---:", "---:", "---:"], *map(cells, found)]
    ahead = [row for row in found if row.ahead is not None]
    lines = [f"Measured by `{command}`.", ""]
    lines += [f"| {' | '.join(line)} |" for line in table]
    lines += ["", "![MCC by task and method](mcc.png)", ""]
    if ahead:
        told = ", ".join(
            f"{row.task} {100 * row.ahead.value:+.1f} ({100 * row.ahead.low:+.1f} to "
            f"{100 * row.ahead.high:+.1f})"
            for row in ahead
            if row.ahead is not None
        )
        lines += [f"The model against the better baseline, on the same test sequences: {told}.", ""]
    lines += [_reading(runs), *_about_known(found)]
    return "\n".join(lines) + "\n"


def _reading(runs: Sequence[Run]) -> str:
    """How much of the training split fine-tuning read."""
    shares = {run.task: run.seen / run.train for run in runs if run.method == "model"}
    if not shares:
        return ""
    told = ", ".join(f"{name} {share:.1f}" for name, share in shares.items())
    return f"Within its time fine-tuning read the training split so many times: {told}."


def _about_known(found: Sequence[Row]) -> list[str]:
    known = {row.task: row.known for row in found if row.known}
    return (
        [
            "",
            *(
                f"{number} test sequences of {name} stand in its training split as well; the column *without "
                "known* leaves them out."
                for name, number in known.items()
            ),
        ]
        if known
        else []
    )


def _draw(found: Sequence[Row], path: Path) -> None:
    names = list(dict.fromkeys(row.task for row in found))
    methods = [method for method in METHODS if any(row.method == method for row in found)]
    figure = Figure(figsize=(max(5.0, 1.5 * len(names)), 4), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(methods)
    for number, method in enumerate(methods):
        chosen = [row for row in found if row.method == method]
        places = [names.index(row.task) + (number - (len(methods) - 1) / 2) * width for row in chosen]
        values = np.array([row.score.value for row in chosen])
        ends = np.array(
            [[row.score.value - row.score.low, row.score.high - row.score.value] for row in chosen]
        )
        axes.bar(places, 100 * values, width, label=method, color=_COLOURS[method])
        axes.errorbar(places, 100 * values, 100 * np.abs(ends).T, fmt="none", color="black", linewidth=1)
    published = [(place, PUBLISHED[name]) for place, name in enumerate(names) if name in PUBLISHED]
    if published:
        places, values = np.array(published).T
        axes.hlines(
            values, places - 0.45, places + 0.45, color="black", linestyle=":", label="DNABERT-2, published"
        )
    axes.set(xticks=range(len(names)), ylabel="MCC (%)", title="GUE: test split, mean of seeds")
    axes.set_xticklabels(names, rotation=20)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=120)


def _classes(digits: str) -> np.ndarray:
    return np.frombuffer(digits.encode(), dtype=np.uint8).astype(np.int64) - ord("0")
