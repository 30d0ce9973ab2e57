"""Captions of a program beside captions of people: files in, scores with intervals out.

Knows tables of captions and the metrics; not how captions were made. SPICE, and so SPIDEr,
is never part of it: it needs a Java program that this package does not run.
"""

import csv
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.audio.captioning.ranking import faults
from seqkit.audio.evaluation.bleu import bleu
from seqkit.audio.evaluation.cider import cider_d
from seqkit.audio.evaluation.rouge import rouge_l
from seqkit.audio.evaluation.similarity import similarity

__all__ = ["Score", "evaluate", "matched", "read_predictions", "read_references", "shuffled"]

RESAMPLES = 1000
Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Score:
    """A metric's value and what 95 % of resamples of the clips lie within."""

    value: float
    low: float
    high: float


def read_predictions(path: str | Path) -> dict[str, str]:
    """Captions by the name of their file (no folder, no suffix), from TSV, CSV, JSON or JSON lines.

    Windows of one file are joined in their order.

    Raises
    ------
    DataError
        if the file cannot be read, or has no `file` and `text`.
    """
    found: dict[str, list[str]] = {}
    for place, row in _rows(Path(path)):
        if not isinstance(row.get("file"), str) or not isinstance(row.get("text"), str):
            raise errors.DataError("has no file and text", file=str(path), record=place)
        found.setdefault(Path(row["file"]).stem, []).append(row["text"])
    return {name: " ".join(texts) for name, texts in found.items()}


def read_references(path: str | Path) -> dict[str, list[str]]:
    """Captions of people by the name of their file: columns `file` (or `file_name`), `caption_1`, ...

    Raises
    ------
    DataError
        if the file cannot be read, a row has no caption, or a file is there twice.
    """
    found: dict[str, list[str]] = {}
    for place, row in _rows(Path(path)):
        file = row.get("file") or row.get("file_name")
        texts = [value for name, value in row.items() if str(name).startswith("caption") and value]
        if len(texts) == 1 and isinstance(texts[0], list):
            texts = texts[0]
        if not isinstance(file, str) or not texts or not all(isinstance(text, str) for text in texts):
            raise errors.DataError("has no file and captions", file=str(path), record=place)
        name = Path(file).stem
        if name in found:
            raise errors.DataError(f"names {name} twice", file=str(path), record=place)
        found[name] = texts
    return found


def matched(
    predictions: dict[str, str], references: dict[str, list[str]]
) -> tuple[list[str], list[list[str]]]:
    """Captions and references of the same clips, in the references' order.

    Raises
    ------
    DataError
        if a clip has references and no caption, by name.
    """
    missing = [name for name in references if name not in predictions]
    if missing:
        shown = ", ".join(missing[:3])
        raise errors.DataError(f"{len(missing)} clips have no caption, such as {shown}")
    return [predictions[name] for name in references], list(references.values())


def evaluate(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    encode: Encode | None = None,
    *,
    seed: int = 0,
) -> dict[str, Score]:
    """All metrics of a set of clips.

    Parameters
    ----------
    encode : texts to unit vectors, for the score by sentence vectors; None leaves it out.
    seed : draws the resamples of clips.
    """
    rng = np.random.default_rng(seed)
    draws_RN = rng.integers(0, len(candidates), size=(RESAMPLES, len(candidates)))
    # Rarity of words is that of all clips; what a resample changes is which clips count.
    found = {"CIDEr-D": _of_clips(cider_d(candidates, references), draws_RN)}
    for n, whole in enumerate(bleu(candidates, references), start=1):
        if n in (1, 4):
            found[f"BLEU-{n}"] = _of_corpus(candidates, references, n, whole, draws_RN)
    found["ROUGE-L"] = _of_clips(rouge_l(candidates, references), draws_RN)
    if encode is not None:
        scores = similarity(candidates, references, encode, lambda text: bool(faults(text)))
        found["sentence vectors"] = _of_clips(scores, draws_RN)
    found["faulty language"] = _of_clips([float(bool(faults(text))) for text in candidates], draws_RN)
    return found


def shuffled(candidates: Sequence[str], seed: int) -> list[str]:
    """Captions given to other clips than their own: what is said without listening."""
    order = np.random.default_rng(seed).permutation(len(candidates))
    # A rotation of a random order leaves no caption where it was.
    return [candidates[order[(list(order).index(place) + 1) % len(order)]] for place in range(len(order))]


def _of_clips(values: Sequence[float], draws_RN: npt.NDArray[np.int64]) -> Score:
    values_N = np.asarray(values)
    low, high = np.quantile(values_N[draws_RN].mean(axis=1), [0.025, 0.975])
    return Score(float(values_N.mean()), float(low), float(high))


def _of_corpus(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    n: int,
    whole: float,
    draws_RN: npt.NDArray[np.int64],
) -> Score:
    """BLEU counts over all clips together, so it is computed anew for (a fifth of the) resamples."""
    drawn = [
        bleu([candidates[place] for place in row], [references[place] for place in row])[n - 1]
        for row in draws_RN[: RESAMPLES // 5]
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Score(whole, float(low), float(high))


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Rows of a table or of JSON with their places."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.DataError("cannot be read as text in UTF-8", file=str(path)) from error
    begins = text.lstrip()[:1]
    try:
        if begins == "[":
            rows: list[Any] = json.loads(text)
        elif begins == "{":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
            rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    except (ValueError, csv.Error) as error:
        raise errors.DataError(f"is neither a table nor JSON: {error}", file=str(path)) from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise errors.DataError("holds no rows", file=str(path))
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]
