"""What was recovered of continuations as tables, a picture, JSON and Markdown.

Intervals come from resampling prompts, the same ones for all methods. This file does not
know how anything was measured.

Shape suffixes: N prompts.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from seqkit.decoders.bench import report as decoder_report
from seqkit.genomics.finetune import metrics
from seqkit.genomics.tasks.recovery import METHODS, Recovery

__all__ = ["KIND", "Row", "as_json", "rows", "save", "tables"]

matplotlib.use("Agg")

KIND = "recovery"
COLUMNS = ("prompt (bases)", "method", "recovered (%)", "95 % interval", "ms per prompt", "cut short")
FRAME_COLUMNS = ("after", "no stop in frame (%)", "95 % interval", "one on (%)", "two on (%)", "complete")
DECODER_COLUMNS = ("prompt (bases)", "decoder", "ms per token", "times plain", "output as plain")
RESAMPLES = 1000
_COLOURS = {"model": "#0072B2", "markov": "#E69F00", "copy": "#009E73", "frequent": "#999999"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A method on prompts of one length.

    Attributes
    ----------
    score : mean share of bases that are the true ones, with its interval.
    ahead : of the model, what it has more than the best baseline; otherwise None.
    milliseconds : for each prompt.
    short : prompts after which too few bases came.
    """

    length: int
    method: str
    score: metrics.Score
    ahead: metrics.Score | None
    milliseconds: float
    short: int


def rows(found: Recovery, seed: int = 0) -> list[Row]:
    """A row for every length and method.

    Parameters
    ----------
    seed : draws the resamples.
    """
    made = []
    for length in dict.fromkeys(one.length for one in found.recovered):
        shares = {one.method: np.array(one.shares) for one in found.recovered if one.length == length}
        best = max((shares[method] for method in METHODS if method != "model"), key=np.mean)
        made += [
            Row(
                length=length,
                method=one.method,
                score=_mean(shares[one.method], seed),
                ahead=_mean(shares["model"] - best, seed) if one.method == "model" else None,
                milliseconds=1000 * one.seconds / len(one.shares),
                short=one.short,
            )
            for one in found.recovered
            if one.length == length
        ]
    return made


def _mean(values_N: np.ndarray, seed: int) -> metrics.Score:
    rng = np.random.default_rng(seed)
    return metrics.with_interval(
        lambda counts_N: float(counts_N @ values_N / counts_N.sum()),
        np.arange(values_N.size),
        rng,
        resamples=RESAMPLES,
    )


def cells(row: Row) -> list[str]:
    """A row of the table, as `COLUMNS`."""
    return [
        f"{row.length:,}",
        row.method,
        f"{100 * row.score.value:.1f}",
        f"{100 * row.score.low:.1f} to {100 * row.score.high:.1f}",
        f"{row.milliseconds:.1f}",
        str(row.short or ""),
    ]


def frame_cells(found: Recovery) -> list[list[str]]:
    """Rows about reading frames, as `FRAME_COLUMNS`."""
    table = []
    for one in found.frames:
        scores = [_mean(np.array(is_open, dtype=np.float64), 0) for is_open in one.open]
        own, *others = (f"{100 * score.value:.1f}" for score in scores)
        interval = f"{100 * scores[0].low:.1f} to {100 * scores[0].high:.1f}"
        table.append([one.prompt, own, interval, *others, f"{one.complete:,} of {len(one.open[0]):,}"])
    return table


def decoder_cells(found: Recovery) -> list[list[str]]:
    """Rows about decoders, as `DECODER_COLUMNS`."""
    if found.decoders is None:
        return []
    table = []
    of_length = decoder_report.sets(found.decoders)
    for name in sorted(of_length, key=lambda name: int(name.partition("-")[0])):
        for one in of_length[name]:
            compared = one.same + one.ties + one.different
            same = "identical" if one.same == compared else f"{one.same} of {compared} identical"
            if one.ties:
                same += f", {one.ties} differ where two tokens are equally good"
            times = [f"{one.milliseconds_per_token:.2f}", f"{one.speedup:.2f}"]
            table.append([name.partition("-")[0], one.name, *times, same])
    return table


def tables(found: Recovery) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Title, head and rows of each table that there is."""
    made = [
        ("Bases recovered", COLUMNS, [cells(row) for row in rows(found)]),
        ("Reading frames", FRAME_COLUMNS, frame_cells(found)),
        ("Decoders", DECODER_COLUMNS, decoder_cells(found)),
    ]
    return [table for table in made if table[2]]


def as_json(found: Recovery, command: str) -> str:
    """All of it."""
    decoders: dict[str, Any] | None = None
    if found.decoders is not None:
        decoders = json.loads(decoder_report.as_json(found.decoders))
    described = {
        "kind": KIND,
        "command": command,
        "facts": found.facts,
        "rows": [dataclasses.asdict(row) for row in rows(found)],
        "recovered": [dataclasses.asdict(one) for one in found.recovered],
        "frames": [dataclasses.asdict(one) for one in found.frames],
        "decoders": decoders,
    }
    return json.dumps(described)


def save(found: Recovery, folder: Path, command: str) -> None:
    """Write report.json, report.tsv, report.md and recovered.png."""
    made = rows(found)
    (folder / "report.json").write_text(as_json(found, command) + "\n", encoding="utf-8")
    lines = ["\t".join(line) for line in (COLUMNS, *map(cells, made))]
    (folder / "report.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _draw(made, folder / "recovered.png")
    (folder / "report.md").write_text(_markdown(found, made, command), encoding="utf-8")


def _markdown(found: Recovery, made: Sequence[Row], command: str) -> str:
    lines = [f"Measured by `{command}`.", "", *found.facts, "", "### Bases recovered", ""]
    lines += [*_table(COLUMNS, [cells(row) for row in made]), "", "![Bases recovered](recovered.png)", ""]
    ahead = [(row.length, row.ahead) for row in made if row.ahead is not None]
    told = ", ".join(
        f"after {length:,} bases {100 * score.value:+.1f} ({100 * score.low:+.1f} to {100 * score.high:+.1f})"
        for length, score in ahead
    )
    lines += [f"The model against the best baseline, on the same prompts: {told}.", ""]
    if found.frames:
        lines += ["### Reading frames", "", *_table(FRAME_COLUMNS, frame_cells(found)), ""]
    if found.decoders is not None:
        lines += ["### Decoders", "", *found.decoders.facts, ""]
        lines += [*_table(DECODER_COLUMNS, decoder_cells(found)), ""]
        lines += [f"{name} took no part: {why}." for name, why in found.decoders.skipped.items()]
    return "\n".join(lines).rstrip() + "\n"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---"] * 2 + ["---:"] * (len(head) - 2)
    return [f"| {' | '.join(line)} |" for line in (head, rule, *body)]


def _draw(made: Sequence[Row], path: Path) -> None:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for method in METHODS:
        chosen = [row for row in made if row.method == method]
        lengths = [row.length for row in chosen]
        values = 100 * np.array([row.score.value for row in chosen])
        ends = 100 * np.array([[row.score.low, row.score.high] for row in chosen]).T
        axes.plot(lengths, values, marker="o", label=method, color=_COLOURS[method])
        axes.fill_between(lengths, *ends, color=_COLOURS[method], alpha=0.15)
    axes.axhline(25, color="black", linestyle=":", linewidth=1, label="one base of four")
    axes.set(xlabel="bases of the prompt", ylabel="bases recovered (%)", title="Next-segment recovery")
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
