"""Texts with times, written in the formats that players, tables and scripts read.

Knows segments and formats; not sounds or models. Every writer takes segments as they
come and gives pieces of text as they are complete, so a long recording needs no memory.
"""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from seqkit import errors

__all__ = ["FORMATS", "SUBTITLES", "Alternative", "Segment", "Word", "check_format", "write"]


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


def check_format(form: str) -> None:
    """Refuse what is none of `FORMATS`.

    Raises
    ------
    UsageError
        for another format.
    """
    if form not in FORMATS:
        raise errors.UsageError(f"{form!r} is none of {', '.join(FORMATS)}", hint="--format")


def write(segments: Iterable[Segment], form: str, *, several: bool = False) -> Iterator[str]:
    """The text of some segments in one of `FORMATS`, piece by piece.

    Parameters
    ----------
    segments : in the order they are written.
    form : name of the format.
    several : whether they are of several files; plain text names these then.

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
    check_format(form)
    if several and form == "txt":
        return _txt_of_several(segments)
    return FORMATS[form](segments)


def _txt(segments: Iterable[Segment]) -> Iterator[str]:
    """A text a line."""
    for segment in segments:
        yield f"{segment.text}\n"


def _txt_of_several(segments: Iterable[Segment]) -> Iterator[str]:
    """A text a line, after its file and a tab."""
    for segment in segments:
        yield f"{segment.file}\t{segment.text}\n"


def _dumped(segment: Segment) -> str:
    """One line of JSON that every reader takes."""
    told = dataclasses.asdict(segment)
    told.update(start=round(segment.start, 3), end=round(segment.end, 3))
    text = json.dumps(_finite(told), ensure_ascii=False, allow_nan=False)
    # Surrogates, which stand for bytes of file names that are not UTF-8, cannot be encoded; escapes can.
    return text if _SURROGATES.isdisjoint(text) else json.dumps(_finite(told), allow_nan=False)


def _finite(value: Any) -> Any:
    """Values with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _jsonl(segments: Iterable[Segment]) -> Iterator[str]:
    for segment in segments:
        yield _dumped(segment) + "\n"


def _json(segments: Iterable[Segment]) -> Iterator[str]:
    yield "["
    for number, segment in enumerate(segments):
        yield ("," if number else "") + "\n" + _dumped(segment)
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

SUBTITLES = frozenset({"srt", "vtt"})
"""Formats of times without files."""

_SURROGATES = frozenset(map(chr, range(0xD800, 0xE000)))
