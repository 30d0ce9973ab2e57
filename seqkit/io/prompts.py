"""Prompts: lines of a text file, or the sequences of a FASTA or FASTQ file, told apart by content.

This file does not know what is done with prompts.
"""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

from seqkit import errors
from seqkit.io import compression, fasta, line_ends, reads

__all__ = ["Prompt", "read_prompts"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt.

    Attributes
    ----------
    text : what it says.
    name : of the record, or its number from 1.
    file, record : where it was found, for messages; None where it was not in a file.
    is_sequence : it came from FASTA or FASTQ.
    """

    text: str
    name: str
    file: str | None = None
    record: str | None = None
    is_sequence: bool = False


def read_prompts(path: str | Path) -> list[Prompt]:
    """Read all prompts of a file, plain or compressed.

    Parameters
    ----------
    path : the file, or "-" for standard input. Text has one prompt a line (blank lines at its end are none);
        sequences are upper-case, U as T.

    Raises
    ------
    DataError
        no prompt at all, one without content, text that is not UTF-8, a damaged record.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"A dog\\nRain\\n")
    ...     file.flush()
    ...     [prompt.text for prompt in read_prompts(file.name)]
    ['A dog', 'Rain']
    """
    file = str(path)
    with compression.open_input(path) as stream:
        content = stream.read().removeprefix(fasta.MARK)
    found = list(_sequences(content, file) if _holds_sequences(content) else _lines(content, file))
    if not found:
        raise errors.DataError("there is no prompt in it", file=file)
    for prompt in found:
        if not prompt.text.strip():
            raise errors.DataError("the prompt is empty", file=file, record=prompt.record)
    return found


def _holds_sequences(content: bytes) -> bool:
    """Whether it begins like FASTA, or like FASTQ, whose third line a text will hardly have."""
    lines = content.lstrip()[:1_000_000].split(b"\n", 3)
    return lines[0].startswith(b">") or (
        lines[0].startswith(b"@") and len(lines) > 2 and lines[2].startswith(b"+")
    )


def _sequences(content: bytes, file: str) -> Iterator[Prompt]:
    number = 0
    for block in reads.stream_blocks(io.BytesIO(content), file):
        for record in range(len(block)):
            number += 1
            name = block.name(record) or str(number)
            yield Prompt(
                text=block.sequence(record).tobytes().decode("ascii"),
                name=name,
                file=file,
                record=name,
                is_sequence=True,
            )


def _lines(content: bytes, file: str) -> Iterator[Prompt]:
    try:
        text = content.decode("utf-8").rstrip()
    except UnicodeDecodeError as error:
        place = content.count(b"\n", 0, error.start) + 1
        raise errors.DataError(
            "neither UTF-8 text nor sequences", file=file, record=f"line {place}"
        ) from error
    if "\r" in text and "\n" not in text:
        raise line_ends.bare_returns(file)
    for number, line in enumerate(text.split("\n"), 1) if text else ():
        yield Prompt(text=line.removesuffix("\r"), name=str(number), file=file, record=f"line {number}")
