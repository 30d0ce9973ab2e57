"""Tokens of k bases side by side, in whatever order a vocabulary lists them, as GENERator's.

It is `KmerTokenizer` with other numbers. What a listing has no token for is refused,
not silently made an unknown token: a model was trained on whole k-mers, and what it makes of
anything else says nothing. This file does not know files.

Shape suffixes: L letters, T tokens.
"""

import collections
import dataclasses
import functools
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqkit import errors
from seqkit.tokenizers.kmer import LONGEST, KmerTokenizer
from seqkit.tokenizers.letters import LETTERS, SPECIALS, require_letters, special_ids

__all__ = ["ListedTokenizer"]

_BASES = "ACGT"
_KMER = re.compile(f"[{_BASES}]+")
_NONE = -1


@dataclasses.dataclass(frozen=True)
class ListedTokenizer:
    """A tokenizer of k-mers in the order of a listing.

    Attributes
    ----------
    texts : tokens; their ids are their places. All k-mers of one length k are among them; single letters,
        for what is no whole k-mer, may be.

    Raises
    ------
    DataError
        when k-mers are missing, or a token is listed twice.

    Examples
    --------
    >>> texts = ["<oov>", "<s>", *(a + b for a in "ATCG" for b in "ATCG")]
    >>> tokenizer = ListedTokenizer(tuple(texts))
    >>> ids = tokenizer.encode(np.frombuffer(b"ATGG", dtype=np.uint8))
    >>> ids.tolist(), tokenizer.decode(ids).tobytes()
    ([3, 17], b'ATGG')
    """

    texts: tuple[str, ...]

    kind = "listed"
    #: The tokens stand side by side, whatever the listing.
    overlapping = False

    def __post_init__(self) -> None:
        """Check that it is a vocabulary of k-mers."""
        again = [text for text, count in collections.Counter(self.texts).items() if count > 1]
        if again:
            raise errors.DataError(f"token {again[0]!r} is listed twice")
        if not 1 <= self.k <= LONGEST:
            raise errors.DataError(f"not a vocabulary of k-mers of 1 to {LONGEST} bases")
        missing = next((kmer for kmer in _kmers(self.k) if kmer not in self._ids), None)
        if missing is not None:
            raise errors.DataError(f"the vocabulary lists no {missing}, which is a {self.k}-mer")

    @classmethod
    def of(cls, vocabulary: Sequence[str]) -> "ListedTokenizer | KmerTokenizer":
        """The tokenizer of a listing; that of `KmerTokenizer` where it is its own.

        Raises
        ------
        DataError
            as the class.
        """
        listed = cls(tuple(vocabulary))
        own = KmerTokenizer(k=listed.k)
        same = len(listed.texts) == own.vocab_size and listed.texts == cls.listing(own)
        return own if same else listed

    @staticmethod
    def listing(tokenizer: KmerTokenizer) -> tuple[str, ...]:
        """All tokens of a tokenizer of k-mers, in the order of their ids."""
        # With k = 1 a base is a k-mer, and the letter of the same name never comes out.
        unused = _BASES if tokenizer.k == 1 else ""
        letters = (f"<letter {letter}>" if letter in unused else letter for letter in LETTERS)
        return (*SPECIALS, *letters, *_kmers(tokenizer.k))

    @functools.cached_property
    def k(self) -> int:
        """Bases of a token; 0 where there are none."""
        return max((len(text) for text in self.texts if _KMER.fullmatch(text)), default=0)

    @functools.cached_property
    def specials(self) -> dict[str, int]:
        """Ids of the special tokens by role (`letters.ROLES`)."""
        return special_ids(self._ids)

    @property
    def vocab_size(self) -> int:
        """The number of tokens, special ones included."""
        return len(self.texts)

    def encode(self, letters_L: np.ndarray) -> np.ndarray:
        """Token ids (int32) of upper-case letters (uint8).

        Raises
        ------
        DataError
            when there is no token for a letter, or for bases that are left over.
        """
        own_T = self._own.encode(letters_L)
        ids_T = self._tables[0][own_T]
        if (ids_T == _NONE).any():
            require_letters(letters_L, "".join(x for x in LETTERS if x in _BASES or x in self._ids))
            place = int(self._own.spans(own_T[: int((ids_T == _NONE).argmax())]).sum())
            raise errors.DataError(
                f"at place {place + 1:,} there is no whole {self.k}-mer, and no token for less",
                hint=f"cut sequences to a multiple of {self.k} bases",
            )
        return ids_T

    def decode(self, ids_T: np.ndarray) -> np.ndarray:
        """The letters (uint8) of tokens; special tokens have none.

        Raises
        ------
        DataError
            when an id is not in the vocabulary.
        """
        return self._own.decode(self._to_own(ids_T))

    def spans(self, ids_T: np.ndarray) -> np.ndarray:
        """How many letters each token stands for (int32), special tokens 0."""
        return self._own.spans(self._to_own(ids_T))

    def tokens(self, ids_T: np.ndarray) -> list[str]:
        """Tokens as text."""
        return [self.texts[number] for number in np.asarray(ids_T).tolist()]

    def settings(self) -> dict[str, Any]:
        """What tells it from others of its kind."""
        return {"sha256": hashlib.sha256("\n".join(self.texts).encode()).hexdigest()}

    @functools.cached_property
    def _own(self) -> KmerTokenizer:
        return KmerTokenizer(k=self.k)

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {text: number for number, text in enumerate(self.texts)}

    @functools.cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids here of ids of `KmerTokenizer` (int32), `_NONE` for none; and the other way round, 0 for
        special
        tokens."""
        own = self.listing(self._own)
        here = np.array([self._ids.get(text, _NONE) for text in own], dtype=np.int32)
        here[: len(SPECIALS)] = _NONE
        there = np.zeros(len(self.texts), dtype=np.int32)
        known = np.flatnonzero(here != _NONE)
        there[here[known]] = known
        return here, there

    def _to_own(self, ids_T: np.ndarray) -> np.ndarray:
        ids_T = np.asarray(ids_T, dtype=np.int64)
        if ids_T.size and not 0 <= int(ids_T.min()) <= int(ids_T.max()) < len(self.texts):
            raise errors.DataError(f"a token id is outside 0 to {len(self.texts) - 1}")
        return self._tables[1][ids_T]


def _kmers(k: int) -> Iterator[str]:
    """All k-mers in alphabetical order."""
    return ("".join(bases) for bases in itertools.product(_BASES, repeat=k))
