"""Texts with times, written in the formats that players, tables and scripts read.

Knows segments and formats; not sounds or models. Every writer takes segments as they
come and gives pieces of text as they are complete, so a long recording needs no memory.
"""

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from seqkit import errors

__all__ = ["FORMATS", "Alternative", "Segment", "Word", "write"]


@dataclasses.dataclass(frozen=True)
class Word:
    """A word and when it is said, in seconds from the file's start."""

    text: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Alternative:
    """Another text for the same stretch, and what it is worth."""

    text: str
    score: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment:
    """A text for a stretch of a file.

    Attributes
    ----------
    file : path as it was given.
    start, end : in seconds.
    text : one line.
    score : what it is worth, by the model's own measure.
    alternatives : other texts, best first.
    words : with times, where they are known.
    """

    file: str
    start: float
    end: float
    text: str
    score: float
    alternatives: tuple[Alternative, ...] = ()
    words: tuple[Word, ...] = ()


def write(segments: Iterable[Segment], form: str) -> Iterator[str]:
    """The text of some segments in one of `FORMATS`, piece by piece.

    Raises
    ------
    UsageError
        for another format.

    Examples
    --------
    >>> rain = Segment(file="a.wav", start=0.0, end=2.5, text="rain falls", score=0.5)
    >>> print("".join(write([rain], "srt")))
    1
    00:00:00,000 --> 00:00:02,500
    rain falls
    <BLANKLINE>
    <BLANKLINE>
    """
    if form not in FORMATS:
        raise errors.UsageError(f"{form!r} is none of {', '.join(FORMATS)}", hint="--format")
    return FORMATS[form](segments)


def _txt(segments: Iterable[Segment]) -> Iterator[str]:
    """A text a line; files and times only where there are several."""
    for segment in segments:
        yield f"{segment.text}\n"


def _as_dict(segment: Segment) -> dict[str, Any]:
    told = dataclasses.asdict(segment)
    return {**told, "start": round(segment.start, 3), "end": round(segment.end, 3)}


def _jsonl(segments: Iterable[Segment]) -> Iterator[str]:
    for segment in segments:
        yield json.dumps(_as_dict(segment), ensure_ascii=False) + "\n"


def _json(segments: Iterable[Segment]) -> Iterator[str]:
    yield "["
    for number, segment in enumerate(segments):
        yield ("," if number else "") + "\n" + json.dumps(_as_dict(segment), ensure_ascii=False)
    yield "\n]\n"


def _table(segments: Iterable[Segment], delimiter: str) -> Iterator[str]:
    yield _row(("file", "start", "end", "score", "text"), delimiter)
    for segment in segments:
        cells = (segment.file, f"{segment.start:.3f}", f"{segment.end:.3f}", f"{segment.score:.4f}")
        yield _row((*cells, segment.text), delimiter)


def _row(cells: Iterable[str], delimiter: str) -> str:
    held = io.StringIO()
    csv.writer(held, delimiter=delimiter, lineterminator="\n").writerow(cells)
    return held.getvalue()


def _tsv(segments: Iterable[Segment]) -> Iterator[str]:
    return _table(segments, "\t")


def _csv(segments: Iterable[Segment]) -> Iterator[str]:
    return _table(segments, ",")


def _clock(seconds: float, comma: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{comma}{milliseconds % 1000:03d}"


def _srt(segments: Iterable[Segment]) -> Iterator[str]:
    for number, segment in enumerate(_spoken(segments), start=1):
        times = f"{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}"
        yield f"{number}\n{times}\n{_cue(segment.text)}\n\n"


def _vtt(segments: Iterable[Segment]) -> Iterator[str]:
    yield "WEBVTT\n\n"
    for segment in _spoken(segments):
        times = f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}"
        text = _cue(segment.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield f"{times}\n{text}\n\n"


def _spoken(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Players show nothing for an empty text, and some stumble over it."""
    return (segment for segment in segments if segment.text.strip())


def _cue(text: str) -> str:
    """A text that cannot end a cue or look like its times."""
    return " ".join(text.split()).replace("-->", "->")


FORMATS: dict[str, Callable[[Iterable[Segment]], Iterator[str]]] = {
    "txt": _txt,
    "json": _json,
    "jsonl": _jsonl,
    "tsv": _tsv,
    "csv": _csv,
    "srt": _srt,
    "vtt": _vtt,
}
"""Writers by the name of their format."""
