"""Reads sequencing reads from FASTA and FASTQ files, in blocks of whole records.

Knows records, pairs and how files of reads go wrong; does not know alignment.
A block is one byte buffer with offsets into it, because a Python object per
read would cost more than aligning it. How a file is cut into blocks depends on
its records alone, never on how the bytes arrive, and memory is bounded by a
block.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from seqkit import errors
from seqkit.io import compression, fasta, line_ends, scanning

__all__ = ["ReadBlock", "interleaved_blocks", "paired_blocks", "read_blocks", "stream_blocks"]

CHUNK_BYTES = 4 << 20
MAX_RECORDS = 1 << 16
MAX_BASES = 8 << 20


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReadBlock:
    """Consecutive records: a buffer, and where in it each part of each record lies.

    Sequences are upper-case ASCII, U as T; nothing else of the file is changed. Offsets are int64
    arrays of one entry per record; an end is one past the last byte. The buffer may hold bytes that
    belong to no record.
    """

    data: np.ndarray
    """uint8 buffer."""
    name_start: np.ndarray
    """Where the name, the first word of the header, begins."""
    name_end: np.ndarray
    """Where the name ends, as it is written."""
    pair_name_end: np.ndarray
    """Where the name ends without a trailing `/1` or `/2`: the name that both mates share."""
    seq_start: np.ndarray
    """Where the sequence begins."""
    seq_end: np.ndarray
    """Where the sequence ends; a record may be empty."""
    qual_start: np.ndarray
    """Where the quality begins; -1 in FASTA."""
    qual_end: np.ndarray
    """Where the quality ends; -1 in FASTA."""
    first_record: int
    """How many records of the file (of each mate, in pairs) come before this block."""

    def __len__(self) -> int:
        return len(self.seq_start)

    @property
    def lengths(self) -> np.ndarray:
        """The number of bases of each record, int64."""
        return self.seq_end - self.seq_start

    def name(self, index: int, *, paired: bool = False) -> str:
        """Return the name of a record; with `paired`, without a trailing `/1` or `/2`."""
        end = (self.pair_name_end if paired else self.name_end)[index]
        return self.data[self.name_start[index] : end].tobytes().decode("utf-8", errors="replace")

    def sequence(self, index: int) -> np.ndarray:
        """Return the letters of a record, a uint8 view into the buffer."""
        return self.data[self.seq_start[index] : self.seq_end[index]]

    def quality(self, index: int) -> np.ndarray | None:
        """Return the quality characters of a record, a uint8 view into the buffer, or None in FASTA."""
        if self.qual_start[index] < 0:
            return None
        return self.data[self.qual_start[index] : self.qual_end[index]]

    def _every_second(self, first: int) -> Self:
        columns = {name: getattr(self, name)[first::2] for name in scanning.COLUMNS}
        return dataclasses.replace(self, **columns, first_record=self.first_record // 2)


def read_blocks(
    path: str | Path, *, max_records: int = MAX_RECORDS, max_bases: int = MAX_BASES
) -> Iterator[ReadBlock]:
    """Read a FASTA or FASTQ file, plain or compressed, block by block.

    Parameters
    ----------
    path : the file, or "-" for standard input; the format is told by its content.
    max_records, max_bases : a block ends with the record that reaches either.

    Yields
    ------
    Blocks of at least one record.

    Raises
    ------
    DataError : an empty file, a format that is neither, a record that is cut short or malformed.
        Each names the file and the record.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"@r1 first\\nACGT\\n+\\nIIII\\n@r2\\nacg\\n+\\nIII\\n")
    ...     file.flush()
    ...     for block in read_blocks(file.name):
    ...         print(len(block), block.name(1), block.sequence(1).tobytes(), block.quality(1).tobytes())
    2 r2 b'ACG' b'III'
    """
    with compression.open_input(path) as stream:
        yield from stream_blocks(stream, str(path), max_records=max_records, max_bases=max_bases)


def stream_blocks(
    stream: BinaryIO, file: str, *, max_records: int = MAX_RECORDS, max_bases: int = MAX_BASES
) -> Iterator[ReadBlock]:
    """Read FASTA or FASTQ from a stream that is open; as `read_blocks`, `file` being its name in messages."""
    reader = _Reader(stream, file)
    while block := reader.take(max_records, max_bases):
        yield block


def paired_blocks(
    path1: str | Path, path2: str | Path, *, max_records: int = MAX_RECORDS, max_bases: int = MAX_BASES
) -> Iterator[tuple[ReadBlock, ReadBlock]]:
    """Read the two files of a paired run together.

    The limits hold for the first file; the second block has as many records as the first.

    Raises
    ------
    DataError : as `read_blocks`; also when names differ (apart from `/1`, `/2`) or one file is longer.
    """
    with compression.open_input(path1) as stream1, compression.open_input(path2) as stream2:
        reader1, reader2 = _Reader(stream1, str(path1)), _Reader(stream2, str(path2))
        while block1 := reader1.take(max_records, max_bases):
            block2 = reader2.take(len(block1))
            if block2 is None:
                raise _no_mate(block1, 0, file=str(path1), other=str(path2))
            _require_pairs(block1, block2, file=str(path2), other=str(path1))
            if len(block2) < len(block1):
                raise _no_mate(block1, len(block2), file=str(path1), other=str(path2))
            yield block1, block2
        extra = reader2.take(1)
        if extra:
            raise _no_mate(extra, 0, file=str(path2), other=str(path1))


def interleaved_blocks(
    path: str | Path, *, max_records: int = MAX_RECORDS, max_bases: int = MAX_BASES
) -> Iterator[tuple[ReadBlock, ReadBlock]]:
    """Read a file in which the two mates of a pair follow each other.

    The limits hold for both mates together. The two blocks share one buffer.

    Raises
    ------
    DataError : as `read_blocks`; also when neighbours differ in name, or the last record has no mate.
    """
    file = str(path)
    with compression.open_input(path) as stream:
        reader = _Reader(stream, file)
        while block := reader.take(max(max_records, 2), max_bases, step=2):
            if len(block) % 2:
                raise errors.DataError(
                    "the last record has no mate",
                    file=file,
                    record=_place(block, len(block) - 1),
                    hint="is the file interleaved?",
                )
            block1, block2 = block._every_second(0), block._every_second(1)
            _require_pairs(block1, block2, file=file, other=file)
            yield block1, block2


def _place(block: ReadBlock, index: int) -> str:
    return _name_place(block.name(index), block.first_record + index)


def _name_place(name: str, before: int) -> str:
    return f"{name} (record {before + 1})" if name else f"record {before + 1}"


def _no_mate(block: ReadBlock, index: int, *, file: str, other: str) -> errors.DataError:
    return errors.DataError(
        f"has no mate: {other} has fewer records",
        file=file,
        record=_place(block, index),
        hint="are both files whole and of the same run?",
    )


def _require_pairs(block1: ReadBlock, block2: ReadBlock, *, file: str, other: str) -> None:
    index = scanning.first_different_name(
        (block1.data, block1.name_start, block1.pair_name_end),
        (block2.data, block2.name_start, block2.pair_name_end),
    )
    if index < 0:
        return
    before = block2.first_record + index
    mate = repr(block1.name(index))
    raise errors.DataError(
        f"does not pair up with {mate if file == other else f'{mate} of {other}'}: the names differ",
        file=file,
        # In an interleaved file every pair is two records, of which this is the second.
        record=_name_place(block2.name(index), 2 * before + 1 if file == other else before),
        hint="mates must stand in the same order",
    )


class _Reader:
    """The bytes of one file not yet given out, and the scanner for its format."""

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self._stream, self._file = stream, file
        self._buffer = np.empty(0, dtype=np.uint8)
        self._position = 0
        self._at_end = False
        self._num_taken = 0
        self._fill(0)
        if self._buffer[: len(fasta.MARK)].tobytes() == fasta.MARK:
            self._position = len(fasta.MARK)
        self._is_fastq = self._detect_fastq()

    def take(self, max_records: int, max_bases: int = 1 << 62, *, step: int = 1) -> ReadBlock | None:
        """Return the next block, or None at the end. It ends only where its count is a multiple of `step`."""
        columns = np.empty((len(scanning.COLUMNS), max_records), dtype=np.int64)
        count, bases, start = 0, 0, self._position
        while True:
            status, count, bases, self._position = scanning.scan(
                self._buffer,
                columns,
                is_fastq=self._is_fastq,
                position=self._position,
                origin=start,
                at_end=self._at_end,
                count=count,
                bases=bases,
                max_bases=max_bases,
                step=step,
            )
            if status == scanning.MORE and not self._at_end:
                # What this block has so far stays in front, at offset 0, so that its offsets hold.
                self._fill(start)
                start = 0
            elif status > scanning.MORE:
                raise self._explain(status, self._num_taken + count)
            else:
                break
        return self._block(columns[:, :count], start) if count else None

    def _block(self, columns: np.ndarray, start: int) -> ReadBlock:
        first, self._num_taken = self._num_taken, self._num_taken + columns.shape[1]
        data = self._buffer[start : self._position]
        return ReadBlock(data=data, first_record=first, **dict(zip(scanning.COLUMNS, columns, strict=True)))

    def _fill(self, start: int) -> None:
        """Drop the bytes before `start` and read more behind the rest; blocks share the old buffer."""
        kept = self._buffer[start:]
        # As much again as is kept: a long block or record is copied a few times, not once per chunk.
        buffer = np.empty(len(kept) + max(CHUNK_BYTES, len(kept)) + 1, dtype=np.uint8)
        buffer[: len(kept)] = kept
        room = buffer.data[len(kept) : -1]
        size = len(kept) + self._read_fully(room)
        self._at_end = size < len(buffer) - 1
        if self._at_end and size and buffer[size - 1] != ord("\n"):
            buffer[size] = ord("\n")
            size += 1
        self._position -= start
        self._buffer = buffer[:size]

    def _read_fully(self, room: memoryview) -> int:
        size = 0
        while size < len(room):
            count = self._stream.readinto(room[size:])  # type: ignore[attr-defined]
            if not count:
                break
            size += count
        return size

    def _detect_fastq(self) -> bool:
        start = self._buffer[self._position : 4096].tobytes().lstrip()
        if start.startswith((b"@HD\t", b"@SQ\t")):
            raise errors.DataError(
                "is a SAM file", file=self._file, hint="samtools fastq turns it into FASTQ"
            )
        if start.startswith((b"@", b">")):
            if b"\r" in start.split(b"\n", 1)[0].rstrip(b"\r"):
                raise line_ends.bare_returns(self._file)
            return start.startswith(b"@")
        if start.startswith((b"BAM\1", b"CRAM")):
            raise errors.DataError(
                "is a BAM or CRAM file", file=self._file, hint="samtools fastq turns it into FASTQ"
            )
        if not start:
            raise errors.DataError("is empty: there are no reads in it", file=self._file)
        raise errors.DataError("is neither FASTA ('>name') nor FASTQ ('@name')", file=self._file)

    def _explain(self, status: int, before: int) -> errors.DataError:
        """Turn a scanner's verdict on the record at the current position into an error."""
        record = self._buffer[self._position :]
        is_last = self._at_end and np.count_nonzero(record[: scanning.MAX_SHOWN] == scanning.NEWLINE) <= 4
        message, hint = scanning.describe(status, record, is_last=bool(is_last))
        name = b"" if status == scanning.NO_HEADER else record[1:1024].tobytes().split(b"\n")[0]
        shown = name.decode("utf-8", errors="replace").split(maxsplit=1)[:1]
        return errors.DataError(
            message, file=self._file, record=_name_place("".join(shown), before), hint=hint
        )
