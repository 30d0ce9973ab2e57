"""Sequences of files as tokens of a model, record by record.

This file knows files and how a record that cannot be read is told; it does not know
what is done with the tokens.

Shape suffixes: L letters, T tokens.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from seqkit import errors
from seqkit.io import sequences
from seqkit.models.genomic import GenomicModel

__all__ = ["Record", "read", "tokenize"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """A sequence in tokens, special ones not included.

    Attributes
    ----------
    name : of the record.
    letters_L : its upper-case letters (uint8).
    ids_T : its tokens (int32).
    file : where it was found, for messages; None where it was not in a file.
    """

    name: str
    letters_L: np.ndarray
    ids_T: np.ndarray
    file: str | None = None


def tokenize(
    model: GenomicModel, name: str, letters_L: np.ndarray, *, file: str | None = None, head: int = 0
) -> Record:
    """One sequence as tokens of a model.

    Parameters
    ----------
    letters_L : upper-case letters (uint8).
    head : so many letters at the beginning are read by themselves, one by one, so that k-mers side by side
        stand in another frame.

    Raises
    ------
    DataError
        when a letter is not in the tokenizer's alphabet; names file and record.
    """
    try:
        parts = [letters_L[at : at + 1] for at in range(min(head, letters_L.size))] + [letters_L[head:]]
        ids_T = np.concatenate([model.tokenizer.encode(part) for part in parts])
    except errors.DataError as error:
        raise errors.DataError(
            error.message, file=file, record=name, hint=error.hint or "cut the sequence there"
        ) from error
    return Record(name=name, letters_L=letters_L, ids_T=ids_T.astype(np.int32), file=file)


def read(model: GenomicModel, paths: Iterable[str | Path]) -> Iterator[Record]:
    """Read the records of FASTA and FASTQ files, one after the other, as tokens of a model.

    Raises
    ------
    DataError
        as `seqkit.io.sequences.read_records`, and when a letter is not in the tokenizer's alphabet.
    """
    for path in paths:
        for name, letters_L in sequences.read_records(path):
            yield tokenize(model, name, letters_L, file=str(path))
