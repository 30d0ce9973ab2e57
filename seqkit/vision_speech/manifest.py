"""Lists of clips with what is said in them.

Knows three forms: JSON lines with `file`, `text` and, where known, `words` (each
[word, start, end] in seconds); a table (TSV) with columns `file` and `text`; and the folder
of a GRID speaker with its `align.tsv`. Does not read the clips.
"""

import csv
import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seqkit import errors
from seqkit.vision_speech.texts import normalised

__all__ = ["Line", "Spoken", "read", "read_names"]

STDIN = Path("-")
#: GRID's alignments count in 25,000ths of a second.
GRID_UNITS = 25_000
#: What GRID calls pauses.
GRID_PAUSES = ("sil", "sp")


@dataclasses.dataclass(frozen=True)
class Spoken:
    """A word and when it is said, in seconds."""

    text: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Line:
    """A clip: its file, its text, and its words where their times are known."""

    file: Path
    text: str
    words: tuple[Spoken, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without folder and suffix."""
        return self.file.stem


def read(path: str | Path, *, texts: bool = True) -> list[Line]:
    """Clips of a manifest (a table if its name ends in .tsv), or of a GRID speaker's folder, by name.

    Parameters
    ----------
    path : "-" is standard input: JSON lines or a table, with files relative to the working folder.
    texts : whether every clip must have one.

    Raises
    ------
    DataError
        if the file cannot be read, or a line is not as it should be; named by its number.
    """
    path = Path(path)
    if path.is_dir():
        return _grid(path)
    if path != STDIN and not path.is_file():
        raise errors.DataError("no such file", file=str(path))
    rows = [row for row in enumerate(_lines(path), start=1) if row[1].strip()]
    if not rows:
        raise errors.DataError("lists no clip", file=str(path))
    if path.suffix.lower() == ".tsv" or (path == STDIN and not rows[0][1].lstrip().startswith("{")):
        return _table(rows, path, texts)
    return [_line(text, path, number, texts) for number, text in rows]


def read_names(path: str | Path) -> frozenset[str]:
    """Names of clips, one to a line; what follows a # is a remark.

    Raises
    ------
    DataError
        if the file cannot be read.
    """
    return frozenset(line.split("#")[0].strip() for line in _lines(Path(path))) - {""}


def _lines(path: Path) -> list[str]:
    try:
        told = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
        return told.decode("utf-8").splitlines()
    except FileNotFoundError as error:
        raise errors.DataError("no such file", file=str(path)) from error
    except OSError as error:
        raise errors.DataError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise errors.DataError("cannot be read as text in UTF-8", file=str(path)) from error


def _line(text: str, path: Path, number: int, texts: bool) -> Line:
    place = f"line {number}"
    try:
        row: Any = json.loads(text)
        file, said = row["file"], row["text"] if texts else row.get("text", "")
        words = tuple(Spoken(str(w), float(start), float(end)) for w, start, end in row.get("words", ()))
    except (ValueError, TypeError, KeyError) as error:
        raise errors.DataError(
            "is not JSON with file, text and perhaps words", file=str(path), record=place
        ) from error
    if not isinstance(file, str) or not isinstance(said, str):
        raise errors.DataError("file and text must be strings", file=str(path), record=place)
    return Line(path.parent / file, normalised(said), words)


def _table(rows: list[tuple[int, str]], path: Path, texts: bool) -> list[Line]:
    columns = rows[0][1].split("\t")
    needed = ["file", "text"] if texts else ["file"]
    if not set(needed) <= set(columns) or len(rows) == 1:
        raise errors.DataError(f"has no columns {' and '.join(needed)}, or no clip", file=str(path))
    lines = []
    for number, row in rows[1:]:
        cells = dict(zip(columns, row.split("\t"), strict=False))
        if not cells.get("file") or not set(needed) <= set(cells):
            raise errors.DataError(f"has no {' and '.join(needed)}", file=str(path), record=f"line {number}")
        lines.append(Line(path.parent / cells["file"], normalised(cells.get("text", ""))))
    return lines


def _grid(folder: Path) -> list[Line]:
    """Clips of one GRID speaker: pictures beside `align.tsv` with id, start, end, word."""
    table = folder / "align.tsv"
    if not table.is_file():
        raise errors.DataError("is a folder without align.tsv, so no GRID speaker's", file=str(folder))
    spoken: dict[str, list[Spoken]] = {}
    with table.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream, delimiter="\t")
        next(rows, None)
        for number, row in enumerate(rows, start=2):
            try:
                name, start, end, word = row
                times = int(start) / GRID_UNITS, int(end) / GRID_UNITS
            except ValueError as error:
                raise errors.DataError(
                    "is not id, start, end, word", file=str(table), record=f"line {number}"
                ) from error
            spoken.setdefault(name, []).append(Spoken(word, *times))
    return _with_files(folder, spoken.items())


def _with_files(folder: Path, spoken: Iterable[tuple[str, list[Spoken]]]) -> list[Line]:
    files = {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in (".mp4", ".mpg")}
    lines = []
    for name, words in sorted(spoken):
        said = tuple(word for word in words if word.text not in GRID_PAUSES)
        if name in files and said:
            lines.append(Line(files[name], " ".join(word.text for word in said), said))
    if not lines:
        raise errors.DataError("holds no clip that align.tsv names", file=str(folder))
    return lines
