"""Captions of a program beside captions of people: files in, scores with intervals out.

Knows tables of captions and the metrics; not how captions were made. SPICE, and so SPIDEr,
is never part of it: it needs a Java program that this package does not run.

Shape suffixes: R resamples, N clips.
"""

import collections
import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.audio.evaluation.bleu import bleu
from seqkit.audio.evaluation.cider import cider_d
from seqkit.audio.evaluation.fluency import faults
from seqkit.audio.evaluation.rouge import rouge_l
from seqkit.audio.evaluation.similarity import Encode, similarity

__all__ = [
    "NOT_RUN",
    "Matched",
    "Score",
    "clip_name",
    "difference",
    "evaluate",
    "matched",
    "per_clip",
    "read_predictions",
    "read_references",
    "shuffled",
]

NOT_RUN = {"SPICE": "needs a Java program", "SPIDEr": "needs SPICE"}
"""Metrics that a reader of such tables looks for, and why they are not there."""
RESAMPLES = 1000
#: BLEU is computed anew for every resample, so there are fewer.
_CORPUS_RESAMPLES = 200
_NAMED = 5
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")


@dataclasses.dataclass(frozen=True)
class Score:
    """A metric's value and what 95 % of resamples of the clips lie within."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matched:
    """Captions beside references of the same clips, in the references' order.

    Attributes
    ----------
    names : of the clips.
    captions : one for each.
    references : at least one for each.
    unasked : captioned clips without references, which are left out.
    """

    names: list[str]
    captions: list[str]
    references: list[list[str]]
    unasked: list[str]


def clip_name(file: str) -> str:
    """By what a clip is known whatever folder and format it lies in.

    Examples
    --------
    >>> clip_name("clips/Rain 2.5 min.wav"), clip_name("Rain 2.5 min"), clip_name(r"C:\\\\a\\\\b.flac")
    ('Rain 2.5 min', 'Rain 2.5 min', 'b')
    """
    name = re.split(r"[/\\]", file)[-1]
    suffix = Path(name).suffix
    return name[: -len(suffix)] if _SUFFIX.fullmatch(suffix) else name


def read_predictions(path: str | Path) -> dict[str, str]:
    """Captions by the name of their clip, from TSV, CSV, JSON or JSON lines with `file` and `text`.

    Clips of one name in several folders have as many of their folders in it as tell them apart.
    Windows of one file, told apart by their `start`, are joined in time; what neighbours repeat is said once.

    Raises
    ------
    DataError
        if the file cannot be read, a row has no `file` and `text`, or a clip is captioned twice.
    """
    found: dict[str, dict[float, str]] = {}
    places: dict[str, str] = {}
    for place, row in _rows(Path(path)):
        file, text = row.get("file", row.get("file_name")), row.get("text")
        if not isinstance(file, str) or not file or not isinstance(text, str):
            raise errors.DataError("has no file and text", file=str(path), record=place)
        windows = found.setdefault(file, {})
        start = _number(row.get("start") or 0, path, place)
        if start in windows:
            raise errors.DataError(
                f"captions {clip_name(file)!r} twice",
                file=str(path),
                record=place,
                hint="of several captions of a window (--n-best), json and jsonl keep the others apart",
            )
        windows[start] = text
        places.setdefault(file, place)
    names = _names(places, path, "captions")
    return {
        names[file]: _joined([windows[start] for start in sorted(windows)]) for file, windows in found.items()
    }


def read_references(path: str | Path) -> dict[str, list[str]]:
    """Captions of people by the name of their clip.

    Parameters
    ----------
    path : a table with columns `file_name` (or `file`), `caption_1`, `caption_2`, ..., as Clotho has it; or
        JSON or JSON lines with `file` and `captions`, a list.

    Raises
    ------
    DataError
        if the file cannot be read, a row has no caption, or a clip is there twice.
    """
    found: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    for place, row in _rows(Path(path)):
        file = row.get("file") or row.get("file_name")
        texts = [value for name, value in row.items() if str(name).startswith("caption") and value]
        if len(texts) == 1 and isinstance(texts[0], list):
            texts = texts[0]
        if (
            not isinstance(file, str)
            or not file
            or not texts
            or not all(isinstance(text, str) for text in texts)
        ):
            raise errors.DataError("has no file and captions", file=str(path), record=place)
        if file in found:
            raise errors.DataError(f"names {clip_name(file)!r} twice", file=str(path), record=place)
        found[file], places[file] = texts, place
    names = _names(places, path, "names")
    return {names[file]: texts for file, texts in found.items()}


def matched(predictions: dict[str, str], references: dict[str, list[str]]) -> Matched:
    """Captions and references of the same clips.

    Raises
    ------
    DataError
        if a clip has references and no caption; the first few are named.
    """
    found = {name: _alike(name, predictions) for name in references}
    missing = [name for name, alike in found.items() if len(alike) != 1]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        unclear = [f"{name} ({' or '.join(found[name][:2])}?)" if found[name] else name for name in missing]
        raise errors.DataError(
            f"no caption for {', '.join(unclear[:_NAMED])}{more}",
            hint="clips are matched by name, without suffix, and by folder where names are not enough",
        )
    taken = {name: alike[0] for name, alike in found.items()}
    used = set(taken.values())
    if len(used) < len(taken):
        twice = next(name for name, own in taken.items() if list(taken.values()).count(own) > 1)
        raise errors.DataError(f"no caption of its own for {twice}", hint="name its folder in both files")
    return Matched(
        names=list(references),
        captions=[predictions[taken[name]] for name in references],
        references=list(references.values()),
        unasked=[name for name in predictions if name not in used],
    )


def _alike(name: str, others: Mapping[str, Any]) -> list[str]:
    """The one of some names that is this, or those of which one ends with the other, folder by folder."""
    if name in others:
        return [name]
    return [other for other in others if f"/{name}".endswith(f"/{other}") or f"/{other}".endswith(f"/{name}")]


def _names(places: Mapping[str, str], path: str | Path, what: str) -> dict[str, str]:
    """Names of files by their rows: without folder and suffix, or with as many folders as tell them apart."""
    parts = {file: [*re.split(r"[/\\]+", file)[:-1], clip_name(file)] for file in places}
    names, depth = {file: told[-1] for file, told in parts.items()}, 1
    while len(set(names.values())) < len(names):
        counts = collections.Counter(names.values())
        doubled = [file for file, name in names.items() if counts[name] > 1]
        depth += 1
        if all(len(parts[file]) < depth for file in doubled):
            name = names[doubled[0]]
            again = next(file for file in doubled[1:] if names[file] == name)
            raise errors.DataError(f"{what} {name!r} twice", file=str(path), record=places[again])
        names.update({file: "/".join(parts[file][-depth:]) for file in doubled})
    return names


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

    Raises
    ------
    UsageError
        if there are fewer than two clips, or one has no reference.
    """
    found = {
        name: _of_clips(values, seed) for name, values in per_clip(candidates, references, encode).items()
    }
    found.update(_bleu_scores(candidates, references, seed))
    order = (
        "CIDEr-D",
        "BLEU-1",
        "BLEU-2",
        "BLEU-3",
        "BLEU-4",
        "ROUGE-L",
        "sentence vectors",
        "faulty language",
    )
    return {name: found[name] for name in order if name in found}


def per_clip(
    candidates: Sequence[str], references: Sequence[Sequence[str]], encode: Encode | None = None
) -> dict[str, list[float]]:
    """The metrics that every clip has its own value of. How rare words are is counted over all clips."""
    found = {"CIDEr-D": cider_d(candidates, references), "ROUGE-L": rouge_l(candidates, references)}
    if encode is not None:
        found["sentence vectors"] = similarity(
            candidates, references, encode, lambda text: bool(faults(text))
        )
    found["faulty language"] = [float(bool(faults(text))) for text in candidates]
    return found


def difference(one: Sequence[float], other: Sequence[float], *, seed: int = 0) -> Score:
    """How much better the first is on the same clips, with the interval of the paired difference.

    Examples
    --------
    >>> difference([1.0, 2.0], [0.5, 1.5])
    Score(value=0.5, low=0.5, high=0.5)
    """
    return _of_clips(np.subtract(one, other), seed)


def shuffled(candidates: Sequence[str], seed: int) -> list[str]:
    """Captions given to other clips than their own: what is said without listening.

    Examples
    --------
    >>> shuffled(["rain", "a dog"], seed=1)
    ['a dog', 'rain']
    """
    order = np.random.default_rng(seed).permutation(len(candidates))
    # Each clip gets the caption of the next one in a random round, so none keeps its own.
    given = dict(zip(order.tolist(), np.roll(order, -1).tolist(), strict=True))
    return [candidates[given[place]] for place in range(len(candidates))]


def _draws(clips: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, clips, size=(count, clips))


def _of_clips(values: Sequence[float] | npt.NDArray[np.float64], seed: int) -> Score:
    values_N = np.asarray(values, dtype=np.float64)
    means_R = values_N[_draws(len(values_N), RESAMPLES, seed)].mean(axis=1)
    low, high = np.quantile(means_R, [0.025, 0.975])
    return Score(float(values_N.mean()), float(low), float(high))


def _bleu_scores(
    candidates: Sequence[str], references: Sequence[Sequence[str]], seed: int
) -> dict[str, Score]:
    """BLEU counts over all clips together, so a resample's is computed from its clips."""
    drawn = [
        bleu([candidates[place] for place in row], [references[place] for place in row])
        for row in _draws(len(candidates), _CORPUS_RESAMPLES, seed).tolist()
    ]
    found = {}
    for n, value in enumerate(bleu(candidates, references), start=1):
        low, high = np.quantile([row[n - 1] for row in drawn], [0.025, 0.975])
        found[f"BLEU-{n}"] = Score(value, float(low), float(high))
    return found


def _joined(texts: Sequence[str]) -> str:
    said = [text for place, text in enumerate(texts) if not place or text != texts[place - 1]]
    return said[0] if len(said) == 1 else "; ".join(text.rstrip(" .") for text in said)


def _number(told: Any, path: str | Path, place: str) -> float:
    try:
        return float(told)
    except (TypeError, ValueError):
        raise errors.DataError(f"{told!r} is no start in seconds", file=str(path), record=place) from None


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Rows of a table or of JSON with their places."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise errors.DataError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise errors.DataError("is no text in UTF-8", file=str(path)) from error
    begins = text.lstrip()[:1]
    parse: Callable[[str], list[Any]] = _table
    if begins in ("[", "{"):
        parse = _json if begins == "[" else _json_lines
    try:
        rows = parse(text)
    except (ValueError, RecursionError, csv.Error) as error:
        raise errors.DataError(f"is neither a table nor JSON: {error}", file=str(path)) from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise errors.DataError("holds no rows", file=str(path))
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _table(text: str) -> list[Any]:
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def _json(text: str) -> list[Any]:
    return list(json.loads(text))


def _json_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]
