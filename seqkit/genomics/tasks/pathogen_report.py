"""Measurements of reads of pathogens as a table, a picture, JSON and Markdown.

The score of a method is the mean over seeds of Matthews' correlation; its interval
comes from resampling test lineages, not reads, the same ones for all methods. This file
does not know how anything was measured.

Shape suffixes: N test reads of all seeds.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from seqkit.genomics.finetune import metrics
from seqkit.genomics.tasks.pathogen import METHODS, WAYS, Run
from seqkit.genomics.tasks.sources import SOURCES

__all__ = ["COLUMNS", "KIND", "Row", "as_json", "cells", "rows", "save"]

matplotlib.use("Agg")

KIND = "pathogen"
COLUMNS = (
    "split by",
    "method",
    "MCC (%)",
    "95 % interval",
    "seeds",
    *(f"{name} (%)" for name in SOURCES),
    "seconds",
)
RESAMPLES = 1000
_COLOURS = {"model": "#0072B2", "cnn": "#E69F00", "k-mers": "#999999"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A method, learnt from one split.

    Attributes
    ----------
    score : mean MCC of the seeds, with its interval.
    spread : standard deviation over seeds.
    seeds : how many.
    recall : of every source, the share of its reads that were put in their class.
    leak : of a split by read, what it has more than the split by genome on the same test reads; or None.
    ahead : of the model, the gain over the better baseline of the same split; or None.
    seconds : mean of the seeds.
    """

    way: str
    method: str
    score: metrics.Score
    spread: float
    seeds: int
    recall: dict[str, metrics.Score]
    leak: metrics.Score | None
    ahead: metrics.Score | None
    seconds: float


class _Tested:
    """What the runs of a method guessed, over the test reads of all seeds laid end to end."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = sorted(runs, key=lambda run: run.seed)
        self.truth_N = np.concatenate([_numbers(run.truth) for run in self.runs])
        self.guess_N = np.concatenate([_numbers(run.guess) for run in self.runs])
        self.sources_N = np.concatenate([_numbers(run.sources) for run in self.runs])
        self._ends = np.cumsum([len(run.truth) for run in self.runs])[:-1]

    def groups(self) -> np.ndarray:
        """The test lineage (N,) of every read, numbered from 0; of each seed its own."""
        lineages_N = np.concatenate([np.array(run.lineages) for run in self.runs])
        seeds_N = np.repeat(np.arange(len(self.runs)), [len(run.truth) for run in self.runs])
        table = np.stack([seeds_N, self.sources_N, lineages_N], axis=1)
        return np.unique(table, axis=0, return_inverse=True)[1].ravel()

    def of_seeds(self, counts_N: np.ndarray) -> list[float]:
        """The MCC of every seed."""
        parts = (np.split(array, self._ends) for array in (self.truth_N, self.guess_N, counts_N))
        return [metrics.matthews(*part) for part in zip(*parts, strict=True)]

    def mean(self, counts_N: np.ndarray) -> float:
        """Mean MCC of the seeds, when each read counts so often (N,)."""
        return float(np.mean(self.of_seeds(counts_N)))

    def recall(self, source: int) -> Callable[[np.ndarray], float]:
        """The share of a source's reads that were put in their class."""
        is_of_N = self.sources_N == source
        return lambda counts_N: metrics.accuracy(self.truth_N, self.guess_N, counts_N * is_of_N)


def rows(runs: Sequence[Run], seed: int = 0) -> list[Row]:
    """A row for every split and method.

    Parameters
    ----------
    seed : draws the resamples.
    """
    tested = {
        (way, method): _Tested([run for run in runs if (run.way, run.method) == (way, method)])
        for way in WAYS
        for method in METHODS
        if any((run.way, run.method) == (way, method) for run in runs)
    }
    return [_row(way, method, tested, seed) for way, method in tested]


def _row(way: str, method: str, tested: dict[tuple[str, str], _Tested], seed: int) -> Row:
    own = tested[way, method]
    groups_N, ones_N = own.groups(), np.ones(own.truth_N.size)

    def score(measure: Callable[[np.ndarray], float]) -> metrics.Score:
        return metrics.with_interval(measure, groups_N, np.random.default_rng(seed), resamples=RESAMPLES)

    def gain(other: _Tested | None) -> metrics.Score | None:
        if other is None:
            return None
        return score(lambda counts_N: own.mean(counts_N) - other.mean(counts_N))

    baselines = [tested[way, other] for other in METHODS if other != "model" and (way, other) in tested]
    best = max(baselines, key=lambda other: other.mean(ones_N), default=None)
    return Row(
        way=way,
        method=method,
        score=score(own.mean),
        spread=float(np.std(own.of_seeds(ones_N))),
        seeds=len(own.runs),
        recall={name: score(own.recall(number)) for number, name in enumerate(SOURCES)},
        leak=gain(tested.get(("genome", method))) if way == "read" else None,
        ahead=gain(best) if method == "model" else None,
        seconds=float(np.mean([run.seconds for run in own.runs])),
    )


def cells(row: Row) -> list[str]:
    """A row of the table, as `COLUMNS`."""
    return [
        row.way,
        row.method,
        f"{100 * row.score.value:.1f}",
        f"{100 * row.score.low:.1f} to {100 * row.score.high:.1f}",
        f"{row.seeds} (sd {100 * row.spread:.1f})" if row.seeds > 1 else "1",
        *(f"{100 * recall.value:.1f}" for recall in row.recall.values()),
        f"{row.seconds:.0f}",
    ]


def as_json(found: Sequence[Row], runs: Sequence[Run], command: str) -> str:
    """All of it."""
    described = {
        "kind": KIND,
        "command": command,
        "rows": [dataclasses.asdict(row) for row in found],
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    return json.dumps(described)


def save(found: Sequence[Row], runs: Sequence[Run], folder: Path, command: str) -> None:
    """Write report.json, report.tsv, report.md and recall.png."""
    (folder / "report.json").write_text(as_json(found, runs, command) + "\n", encoding="utf-8")
    lines = ["\t".join(line) for line in (COLUMNS, *map(cells, found))]
    (folder / "report.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _draw(found, folder / "recall.png")
    (folder / "report.md").write_text(_markdown(found, runs, command), encoding="utf-8")


def _markdown(found: Sequence[Row], runs: Sequence[Run], command: str) -> str:
    rule = ["---", "---", "---:", "---:", "---", *["---:"] * (len(COLUMNS) - 5)]
    lines = [f"Measured by `{command}`.", ""]
    lines += [f"| {' | '.join(line)} |" for line in (COLUMNS, rule, *map(cells, found))]
    lines += ["", "![Recall by source](recall.png)", ""]
    for row in found:
        if row.ahead is not None:
            lines += [
                f"Split by {row.way}: the model against the better baseline, on the same test reads: "
                f"{_signed(row.ahead)}.",
                "",
            ]
    leaks = [f"{row.method} {_signed(row.leak)}" for row in found if row.leak is not None]
    if leaks:
        lines += [f"What the split by read adds on the same test reads (the leak): {', '.join(leaks)}.", ""]
    return "\n".join([*lines, *_facts(runs)]) + "\n"


def _facts(runs: Sequence[Run]) -> list[str]:
    """What was learnt from and tested on."""
    first = runs[0]
    held = "; ".join(f"{name} {', '.join(map(str, counts))}" for name, counts in first.held.items())
    told = [
        f"{first.train:,} training reads and {len(first.truth):,} test reads for each seed, as many of each "
        f"source. Lineages in training, dev and test split, with seed {first.seed}: {held}."
    ]
    for way in dict.fromkeys(run.way for run in runs):
        of_way = [run.shared for run in runs if run.way == way]
        means = ", ".join(
            f"{name} {100 * np.mean([shared[name] for shared in of_way]):.1f} %" for name in of_way[0]
        )
        told += ["", f"Split by {way}, test reads that share 32 letters with a training read: {means}."]
    shares = [run.seen / run.train for run in runs if run.method == "model"]
    if shares:
        told += ["", f"Within its time fine-tuning read the training split {np.mean(shares):.1f} times."]
    return told


def _draw(found: Sequence[Row], path: Path) -> None:
    ways = [way for way in WAYS if any(row.way == way for row in found)]
    figure = Figure(figsize=(5.5 * len(ways), 4), layout="constrained")
    for axes, way in zip(figure.subplots(1, len(ways), squeeze=False)[0], ways, strict=True):
        of_way = [row for row in found if row.way == way]
        width = 0.8 / len(of_way)
        for number, row in enumerate(of_way):
            places = np.arange(len(row.recall)) + (number - (len(of_way) - 1) / 2) * width
            values = [recall.value for recall in row.recall.values()]
            ends = [[recall.value - recall.low, recall.high - recall.value] for recall in row.recall.values()]
            axes.bar(places, 100 * np.array(values), width, label=row.method, color=_COLOURS[row.method])
            axes.errorbar(
                places, 100 * np.array(values), 100 * np.abs(ends).T, fmt="none", color="black", linewidth=1
            )
        axes.set(xticks=range(len(SOURCES)), ylabel="reads put in their class (%)", ylim=(0, 100))
        axes.set_title(f"split by {way}")
        axes.set_xticklabels(list(SOURCES))
        axes.grid(axis="y", alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=120)


def _signed(score: metrics.Score) -> str:
    return f"{100 * score.value:+.1f} ({100 * score.low:+.1f} to {100 * score.high:+.1f})"


def _numbers(digits: str) -> np.ndarray:
    return np.frombuffer(digits.encode(), dtype=np.uint8).astype(np.int64) - ord("0")
