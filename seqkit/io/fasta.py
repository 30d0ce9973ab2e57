"""Reads reference sequences, with their names, from FASTA or GenBank files.

Knows what a sequence file may hold and how to say what is wrong with it; does
not know what the sequences are used for. One record is held in memory at a time.
"""

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from seqkit import errors
from seqkit.io import compression, line_ends

__all__ = ["IUPAC", "read_sequences"]

IUPAC = b"ACGTRYSWKMBDHVN"
"""The letters a sequence may hold, after upper-casing and U -> T."""

CHUNK_BYTES = 4 << 20
LAYOUT = b"\r\n\t "
MARK = b"\xef\xbb\xbf"
"""UTF-8's byte order mark, which some editors put before everything; it says nothing here."""


def _upper_case_table() -> bytes:
    """Map every accepted byte to its upper-case letter, and every other byte to 0."""
    table = bytearray(256)
    for letter in IUPAC:
        table[letter] = table[ord(chr(letter).lower())] = letter
    table[ord("U")] = table[ord("u")] = ord("T")
    return bytes(table)


UPPER_CASE = _upper_case_table()


def read_sequences(path: str | Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Read the sequences of a FASTA or GenBank file, plain or compressed.

    Parameters
    ----------
    path : the file, or "-" for standard input; the format is told by its content. A byte order mark is
        skipped; lines end in a newline, with or without a carriage return.

    Yields
    ------
    Name (the header's first word), description (the rest of the header) and the sequence as a
    uint8 array of upper-case ASCII letters, shape (L,). U is read as T; all IUPAC codes are kept.

    Raises
    ------
    DataError : no sequence, an empty file or record, a name given twice or missing, letters that are
        no nucleotide code, a damaged file. Each names the file and the record.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".fa") as file:
    ...     _ = file.write(b">chr1 the first\\nacgt\\nNN\\n")
    ...     file.flush()
    ...     for name, description, sequence in read_sequences(file.name):
    ...         print(name, description, sequence.tobytes())
    chr1 the first b'ACGTNN'
    """
    file = str(path)
    with compression.open_input(path) as stream:
        start = stream.peek(64)[:64]  # type: ignore[attr-defined]
        if start.startswith(MARK):
            stream.read(len(MARK))
        start = start.removeprefix(MARK).lstrip()
        records = _read_genbank(stream, file) if start.startswith(b"LOCUS") else _read_fasta(stream, file)
        seen: set[str] = set()
        for name, description, sequence in records:
            if name in seen:
                raise errors.DataError("the name is used by two records", file=file, record=name)
            if not sequence:
                raise errors.DataError("the record has no sequence", file=file, record=name)
            seen.add(name)
            yield name, description, np.frombuffer(sequence, dtype=np.uint8)
    if not seen:
        raise errors.DataError("there is no sequence in it", file=file)


def _read_fasta(stream: BinaryIO, file: str) -> Iterator[tuple[str, str, bytearray]]:
    """Split the stream at headers, a chunk of whole lines at a time."""
    header: tuple[str, str] | None = None
    sequence = bytearray()
    number = 0
    while chunk := stream.read(CHUNK_BYTES):
        chunk += stream.readline()
        position = 0
        while (mark := chunk.find(b">", position)) >= 0:
            _append(sequence, chunk[position:mark], header, file)
            if mark > 0 and chunk[mark - 1] not in b"\r\n":
                raise errors.DataError("'>' inside a sequence line", file=file, record=header and header[0])
            if header:
                yield *header, sequence
            sequence = bytearray()
            number += 1
            end = chunk.find(b"\n", mark)
            end = end if end >= 0 else len(chunk)
            header = _split_header(chunk[mark + 1 : end], file, number)
            position = end + 1
        _append(sequence, chunk[position:], header, file)
    if header:
        yield *header, sequence


def _split_header(line: bytes, file: str, number: int) -> tuple[str, str]:
    """Return name and description; refuse what would break a line of SAM."""
    text = line.strip()
    if b"\r" in text:
        raise line_ends.bare_returns(file)
    words = text.split(maxsplit=1)
    if not words or line[:1].isspace():
        raise errors.DataError("the header has no name", file=file, record=f"record {number}")
    if b"\0" in text:
        raise errors.DataError("there is a NUL byte in the header", file=file, record=f"record {number}")
    name, description = (word.decode("utf-8", errors="replace") for word in (*words, b"")[:2])
    return name, description


def _append(sequence: bytearray, lines: bytes, header: tuple[str, str] | None, file: str) -> None:
    """Add the letters of some sequence lines, upper-case and without layout."""
    letters = lines.translate(UPPER_CASE, LAYOUT)
    if letters and header is None:
        raise errors.DataError(_describe_start(lines), file=file)
    wrong = letters.find(0)
    if wrong >= 0 and header is not None:
        letter = lines.translate(None, LAYOUT)[wrong : wrong + 1]
        place = len(sequence) + wrong + 1
        raise errors.DataError(
            f"{_show(letter)} at position {place} is no nucleotide code", file=file, record=header[0]
        )
    sequence += letters


def _show(letter: bytes) -> str:
    return "a NUL byte" if letter == b"\0" else repr(letter.decode("latin-1"))


def _describe_start(lines: bytes) -> str:
    """Say what a file is that does not begin with a FASTA header."""
    if lines.lstrip().startswith(b"@"):
        return "looks like FASTQ or SAM, where a FASTA or GenBank file is needed"
    if b"\0" in lines[:1024]:
        return "is a binary file, where a FASTA or GenBank file is needed"
    return "does not begin with a FASTA header ('>name')"


def _read_genbank(stream: BinaryIO, file: str) -> Iterator[tuple[str, str, bytearray]]:
    from Bio import BiopythonWarning, Seq, SeqIO

    text = io.TextIOWrapper(stream, encoding="utf-8", errors="replace")
    with warnings.catch_warnings():
        # Biopython warns of unusual annotation; only the sequence matters here.
        warnings.simplefilter("ignore", BiopythonWarning)
        try:
            for record in SeqIO.parse(text, "genbank"):
                sequence = bytearray()
                _append(sequence, bytes(record.seq), (record.id, ""), file)
                yield record.id, record.description, sequence
        except Seq.UndefinedSequenceError as error:
            raise errors.DataError(
                "the GenBank record has no sequence",
                file=file,
                record=record.id,
                hint="download it with ORIGIN",
            ) from error
        except ValueError as error:
            raise errors.DataError(f"not valid GenBank: {error}", file=file) from error
        finally:
            # The stream is the caller's to close.
            text.detach()
