"""Simple ways to continue a sequence, base by base: what a model has to beat.

The most frequent base; a Markov model, which falls back to shorter contexts where it
never saw the longer one; and a copy of what followed the longest repeated suffix of the
prompt. This file knows bases as numbers; it does not know files or models.

Shape suffixes: L bases, M new bases, K contexts.
"""

import dataclasses

import numpy as np

__all__ = ["MOST_ORDER", "MarkovModel", "constant", "copied"]

_BASES = 4
#: Longer contexts would not fit in memory.
MOST_ORDER = 11


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MarkovModel:
    """The most frequent base after each context of up to some number of bases.

    Attributes
    ----------
    best : for each order from 0 on int8 (K,), the most frequent base after a context, the first of equal
        ones, or -1 where the context was never seen; a context is a number to the base 4.
    """

    best: tuple[np.ndarray, ...]

    @property
    def order(self) -> int:
        """Bases of the longest context."""
        return len(self.best) - 1

    @classmethod
    def fit(cls, codes_L: np.ndarray, order: int) -> "MarkovModel":
        """Count both strands of a sequence.

        Parameters
        ----------
        codes_L : 0 to 3 for A, C, G, T, more for anything else, which no context reaches over.
        order : from 0 to `MOST_ORDER`.

        Examples
        --------
        >>> model = MarkovModel.fit(np.array([0, 1, 0, 1, 0, 1, 3]), 2)
        >>> model.continued(np.array([3, 0]), 4).tolist()
        [1, 0, 1, 0]
        """
        other_L = np.where(codes_L < _BASES, 3 - np.minimum(codes_L, 3), codes_L)[::-1]
        return cls(best=tuple(_best(codes_L, other_L, length) for length in range(order + 1)))

    def continued(self, codes_L: np.ndarray, count: int) -> np.ndarray:
        """So many new bases (M,), each the best after the longest context that was ever seen."""
        text = [int(code) for code in codes_L]
        for _ in range(count):
            text.append(self._next(text))
        return np.array(text[len(text) - count :], dtype=np.int64)

    def _next(self, text: list[int]) -> int:
        for length in range(min(self.order, len(text)), -1, -1):
            number = 0
            for code in text[len(text) - length :]:
                number = number * _BASES + code
            if self.best[length][number] >= 0:
                return int(self.best[length][number])
        return 0


def _best(codes_L: np.ndarray, other_L: np.ndarray, length: int) -> np.ndarray:
    """The most frequent base after every context of that length, on either strand."""
    counts = np.zeros(_BASES ** (length + 1), dtype=np.int64)
    for strand_L in (codes_L, other_L):
        count = max(0, strand_L.size - length)
        numbers = np.zeros(count, dtype=np.int64)
        is_whole = np.full(count, True)
        for step in range(length + 1):
            part = strand_L[step : step + count]
            numbers = numbers * _BASES + np.minimum(part, 3)
            is_whole &= part < _BASES
        counts += np.bincount(numbers[is_whole], minlength=counts.size)
    table = counts.reshape(-1, _BASES)
    return np.where(table.any(axis=1), table.argmax(axis=1), -1).astype(np.int8)


def constant(base: int, count: int) -> np.ndarray:
    """One base, so often."""
    return np.full(count, base, dtype=np.int64)


def copied(codes_L: np.ndarray, count: int, otherwise: int) -> np.ndarray:
    """New bases (M,), each what followed the latest of the longest earlier copies of all that came before.

    Parameters
    ----------
    otherwise : the base where not even the last one occurred before.

    Examples
    --------
    >>> copied(np.array([0, 1, 2, 3, 3, 0, 1]), 3, 0).tolist()
    [2, 3, 3]
    """
    text = np.concatenate([np.asarray(codes_L, dtype=np.int64), np.zeros(count, dtype=np.int64)])
    # How many bases before each place are the same as at the end of what is there so far.
    alike = np.zeros(text.size + 1, dtype=np.int64)
    for size in range(1, len(codes_L)):
        _extend(alike, text, size)
    for size in range(max(1, len(codes_L)), text.size) if len(codes_L) else range(text.size):
        _extend(alike, text, size)
        places = alike[:size]
        longest = int(places.max(initial=0))
        text[size] = text[int(np.flatnonzero(places == longest)[-1])] if longest else otherwise
    return text[len(codes_L) :]


def _extend(alike: np.ndarray, text: np.ndarray, size: int) -> None:
    """Let the copies of a text's end end in its last base as well."""
    if size:
        alike[1:size] = np.where(text[: size - 1] == text[size - 1], alike[: size - 1] + 1, 0)
        alike[0] = 0
