"""Where a corpus holds sequences that it must not hold, those of a test above all, on either strand.

A sequence is found by any of its stretches of 32 letters, taken side by side, so that it
is found as well where some of its letters differ. This file knows letters; it does not
know what the sequences are for.

Shape suffixes: L letters, W stretches of 32 letters, one at every place.
"""

import csv
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from seqkit import errors
from seqkit.io import sequences
from seqkit.tokenizers.letters import LETTERS, codes_of, require_letters

__all__ = ["WORD", "Forbidden", "words_of"]

#: Letters of a word, of which two bits each fill 64.
WORD = 32
_SIEVE_BITS = 22
_CHUNK = 1 << 22
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Forbidden:
    """Words of forbidden sequences, and how far each sequence reaches to either side of them.

    Attributes
    ----------
    words : codes (uint64), sorted, each once.
    left, right : letters (int64) of the longest sequence before a word's start, and from there on.
    """

    words: np.ndarray
    left: np.ndarray
    right: np.ndarray

    @classmethod
    def read(cls, paths: Iterable[str]) -> "Forbidden":
        """From FASTA or FASTQ files, and from CSV or TSV files with a column "sequence".

        Raises
        ------
        DataError
            when a file has no such column, or a sequence is none.
        """
        return cls.of(letters_L for path in paths for letters_L in _sequences(path))

    @classmethod
    def of(cls, found: Iterable[np.ndarray]) -> "Forbidden":
        """From letters; sequences of less than `WORD` letters are not looked for.

        Examples
        --------
        >>> letters = np.frombuffer(b"ACGTTGCATTAGGCTAACGATTACAGGATTACAT", dtype=np.uint8)
        >>> allowed = np.ones(letters.size + 10, dtype=bool)
        >>> text = np.concatenate([letters[:5], letters, letters[:5]])
        >>> Forbidden.of([letters]).clear(text, allowed)
        >>> int(allowed.sum())
        10
        """
        words: list[np.ndarray] = []
        left: list[np.ndarray] = []
        sizes: list[np.ndarray] = []
        for letters_L in found:
            codes_L = codes_of(letters_L)
            for strand_L in (codes_L, np.where(codes_L < 4, 3 - codes_L, codes_L)[::-1]):
                coded_W, is_whole_W = words_of(strand_L)
                places = np.union1d(np.arange(0, coded_W.size, WORD), max(0, coded_W.size - 1))
                places = places[: coded_W.size]
                places = places[is_whole_W[places]]
                words.append(coded_W[places])
                left.append(places)
                sizes.append(np.full(places.size, strand_L.size))
        if not words:
            return cls(words=np.empty(0, np.uint64), left=np.empty(0, int), right=np.empty(0, int))
        all_left, all_sizes = np.concatenate(left), np.concatenate(sizes)
        unique, which = np.unique(np.concatenate(words), return_inverse=True)
        furthest = np.zeros((2, unique.size), dtype=np.int64)
        np.maximum.at(furthest[0], which, all_left)
        np.maximum.at(furthest[1], which, all_sizes - all_left)
        return cls(words=unique, left=furthest[0], right=furthest[1])

    def clear(self, letters_L: np.ndarray, allowed_L: np.ndarray) -> None:
        """Set to False where a forbidden sequence may lie; `allowed_L` (bool) is as long as the letters."""
        if not self.words.size:
            return
        sieve = np.zeros(1 << _SIEVE_BITS, dtype=np.bool_)
        sieve[_hash(self.words)] = True
        for chunk in range(0, letters_L.size, _CHUNK):
            coded_W, is_whole_W = words_of(codes_of(letters_L[chunk : chunk + _CHUNK + WORD - 1]))
            likely = np.flatnonzero(is_whole_W & sieve[_hash(coded_W)])
            which = np.minimum(np.searchsorted(self.words, coded_W[likely]), self.words.size - 1)
            is_hit = self.words[which] == coded_W[likely]
            for place, word in zip(likely[is_hit].tolist(), which[is_hit].tolist(), strict=True):
                start = max(0, chunk + place - int(self.left[word]))
                allowed_L[start : chunk + place + int(self.right[word])] = False


def words_of(codes_L: np.ndarray, length: int = WORD) -> tuple[np.ndarray, np.ndarray]:
    """The word at every place (W,), uint64, and whether it has bases only.

    Parameters
    ----------
    codes_L : 0 to 3 for bases, more for anything else.
    length : letters of a word, a power of two, at most 32.

    Examples
    --------
    >>> [part.tolist() for part in words_of(np.array([0, 1, 2, 4]), 2)]
    [[1, 6, 11], [True, True, False]]
    """
    count = max(0, codes_L.size - length + 1)
    coded = np.minimum(codes_L, 3).astype(np.uint64)
    is_base = codes_L < 4
    span = 1
    while span < length:
        coded = (coded[:-span] << np.uint64(2 * span)) | coded[span:]
        is_base = is_base[:-span] & is_base[span:]
        span *= 2
    return coded[:count], is_base[:count]


def _hash(words: np.ndarray) -> np.ndarray:
    return (words * _MIX) >> np.uint64(64 - _SIEVE_BITS)


def _sequences(path: str) -> Iterator[np.ndarray]:
    if not path.lower().endswith((".csv", ".tsv")):
        yield from (letters_L for _, letters_L in sequences.read_records(path))
        return
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            yield from _column(file, path)
    except OSError as error:
        raise errors.DataError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise errors.DataError("not a text file", file=path) from error


def _column(file: Iterable[str], path: str) -> Iterator[np.ndarray]:
    rows = csv.DictReader(file, delimiter="\t" if path.lower().endswith(".tsv") else ",")
    if "sequence" not in (rows.fieldnames or ()):
        raise errors.DataError("there is no column 'sequence'", file=path)
    for number, row in enumerate(rows, start=2):
        text = (row["sequence"] or "").strip().upper().replace("U", "T")
        try:
            letters_L = np.frombuffer(text.encode(), dtype=np.uint8)
            require_letters(letters_L, LETTERS)
        except errors.DataError as error:
            raise errors.DataError(error.message, file=path, record=f"line {number}") from error
        yield letters_L
