"""Sequences with what is said of them, from tables (CSV, TSV), FASTA and FASTQ; told apart by content.

A table has a header; a label is a column's text. In FASTA a label is the header's
second word, or what a pattern finds in the header, or stands in a table beside it.
Every problem names file and row. This file knows texts; it does not know what labels
mean, nor models.

Shape suffixes: L letters.
"""

import csv
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from seqkit import errors
from seqkit.io import compression, fasta, reads

__all__ = ["Columns", "Example", "read"]

#: Columns that name a row, where none is asked for; without one a row is named by its number.
_NAMES = ("id", "name")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Where sequences, labels and names are.

    Attributes
    ----------
    sequence : column of a table.
    labels : columns of a table, in order; none: only sequences are read.
    name : column of names; empty: "id" or "name" where the table has one.
    pattern : regular expression whose first group, or else whole match, in a FASTA header is the label;
        empty: the header's second word.
    beside : table with the labels of a FASTA file's records by name; empty: they are in the headers.

    Raises
    ------
    UsageError
        when the pattern is no regular expression, or labels are asked for in two places.
    """

    sequence: str = "sequence"
    labels: tuple[str, ...] = ("label",)
    name: str = ""
    pattern: str = ""
    beside: str = ""

    def __post_init__(self) -> None:
        """Check the pattern."""
        if self.pattern and self.beside:
            raise errors.UsageError("labels are either in headers or in a table", hint="--labels")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise errors.UsageError(f"{self.pattern!r} is no regular expression: {error}") from error


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A sequence and what is said of it.

    Attributes
    ----------
    name : of the row or record.
    letters_L : upper-case letters (uint8), U as T; there may be none.
    texts : the labels as they are written, one for each label column.
    file, place : where it was found, for messages.
    """

    name: str
    letters_L: np.ndarray
    texts: tuple[str, ...]
    file: str
    place: str


def read(path: str | Path, columns: Columns) -> Iterator[Example]:
    """Read the examples of a file.

    Parameters
    ----------
    path : table, FASTA or FASTQ, plain or compressed; "-" is standard input.
    columns : where labels are; without label columns sequences alone are read.

    Raises
    ------
    DataError
        a missing or damaged file, a column that is not there, a row with too few or too many fields, a
        letter that is no nucleotide code, a record without label; names file and row.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"sequence,label\\r\\nacgu,yes\\r\\n,no\\r\\n")
    ...     file.flush()
    ...     for example in read(file.name, Columns()):
    ...         print(example.name, example.letters_L.tobytes(), example.texts)
    1 b'ACGT' ('yes',)
    2 b'' ('no',)
    """
    file = str(path)
    with compression.open_input(path) as stream:
        start = stream.peek(64)[:64].lstrip()  # type: ignore[attr-defined]
        if start[:1] not in (b">", b"@"):
            yield from _table(stream, file, columns)
            return
        if not columns.labels:
            yield from _records(stream, file)
            return
    yield from _labelled_records(path, file, columns)


def letters_of(text: str, file: str, place: str) -> np.ndarray:
    """Upper-case letters (uint8) of a sequence's text.

    Raises
    ------
    DataError
        when a letter is no nucleotide code.
    """
    written = text.strip().encode("ascii", errors="replace")
    letters = written.translate(fasta.UPPER_CASE)
    wrong = letters.find(0)
    if wrong >= 0:
        raise errors.DataError(
            f"{text.strip()[wrong]!r} at position {wrong + 1} is no nucleotide code", file=file, record=place
        )
    return np.frombuffer(letters, dtype=np.uint8)


def _table(stream: BinaryIO, file: str, columns: Columns) -> Iterator[Example]:
    rows = _rows(stream, file)
    head = next(rows, None)
    if head is None:
        raise errors.DataError("the file is empty", file=file)
    names = [name.strip() for name in head[1]]
    at_sequence = _column(names, columns.sequence, file, "--sequence-column")
    at_labels = [_column(names, name, file, "--label-column") for name in columns.labels]
    at_name = _name_column(names, columns.name, file)
    number = 0
    for place, fields in rows:
        number += 1
        if len(fields) != len(names):
            raise errors.DataError(f"has {len(fields)} fields, not {len(names)}", file=file, record=place)
        yield Example(
            name=str(number) if at_name is None else fields[at_name],
            letters_L=letters_of(fields[at_sequence], file, place),
            texts=tuple(fields[at].strip() for at in at_labels),
            file=file,
            place=place,
        )
    if not number:
        raise errors.DataError("there is no row below the header", file=file)


def _rows(stream: BinaryIO, file: str) -> Iterator[tuple[str, list[str]]]:
    """The place and fields of every line that is not blank; the header says what separates fields."""
    separator = ""
    for number, raw in enumerate(stream, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise errors.DataError("is neither a table in UTF-8 nor FASTA or FASTQ", file=file) from error
        if not line.strip():
            continue
        separator = separator or ("\t" if "\t" in line else ",")
        yield f"line {number}", _fields(line, separator, file, number)


def _fields(line: str, separator: str, file: str, number: int) -> list[str]:
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise errors.DataError(
            f"not a row of a table: {error}", file=file, record=f"line {number}"
        ) from error


def _column(names: list[str], wanted: str, file: str, flag: str) -> int:
    if names.count(wanted) == 1:
        return names.index(wanted)
    shown = ", ".join(name[:30] for name in names[:8])
    what = f"two columns are called {wanted!r}" if wanted in names else f"there is no column {wanted!r}"
    raise errors.DataError(f"{what}; the header is: {shown}", file=file, hint=flag)


def _name_column(names: list[str], wanted: str, file: str) -> int | None:
    if wanted:
        return _column(names, wanted, file, "--id-column")
    return next((names.index(name) for name in _NAMES if names.count(name) == 1), None)


def _records(stream: BinaryIO, file: str) -> Iterator[Example]:
    """Records of FASTA or FASTQ without labels."""
    for block in reads.stream_blocks(stream, file):
        for record in range(len(block)):
            name = block.name(record)
            yield Example(name=name, letters_L=block.sequence(record), texts=(), file=file, place=name)


def _labelled_records(path: str | Path, file: str, columns: Columns) -> Iterator[Example]:
    if file == "-":
        raise errors.UsageError("labelled FASTA has to be a file, not standard input")
    table = _labels_beside(columns) if columns.beside else None
    for name, description, letters_L in fasta.read_sequences(path):
        if table is not None:
            texts = table.get(name)
        else:
            texts = _labels_in(f"{name} {description}".rstrip(), columns)
        if texts is None:
            where = columns.beside or "its header"
            raise errors.DataError(f"has no label in {where}", file=file, record=name, hint="--label-pattern")
        yield Example(name=name, letters_L=letters_L, texts=texts, file=file, place=name)


def _labels_in(header: str, columns: Columns) -> tuple[str, ...] | None:
    if not columns.pattern:
        words = header.split(maxsplit=2)
        return (words[1],) if len(words) > 1 else None
    found = re.search(columns.pattern, header)
    if found is None:
        return None
    return (found[1] if found.re.groups else found[0],)


def _labels_beside(columns: Columns) -> dict[str, tuple[str, ...]]:
    """Labels by name, from a table that need have no sequences."""
    file = columns.beside
    with compression.open_input(file) as stream:
        rows = _rows(stream, file)
        names = [name.strip() for name in next(rows, ("", []))[1]]
        at_name = _name_column(names, columns.name, file)
        if at_name is None:
            raise errors.DataError("there is no column 'id' or 'name'", file=file, hint="--id-column")
        at_labels = [_column(names, name, file, "--label-column") for name in columns.labels]
        found: dict[str, tuple[str, ...]] = {}
        for place, fields in rows:
            if len(fields) != len(names):
                raise errors.DataError(f"has {len(fields)} fields, not {len(names)}", file=file, record=place)
            if fields[at_name] in found:
                raise errors.DataError(f"names {fields[at_name]!r} again", file=file, record=place)
            found[fields[at_name]] = tuple(fields[at].strip() for at in at_labels)
    return found
