"""Which sequences are nearly the same, and splits that never part them.

Two sequences are of one lineage when the shorter shares at least a twentieth of its
16-mers, of either strand, with the other: 83 % of the letters equal, if differences fall
evenly. Lineages are what such pairs join together. Of long sequences a sketch is
compared, the k-mers with small hashes (FracMinHash, Irber et al. 2022). This file knows
letters and hashes; it does not know what the sequences are.

Shape suffixes: L letters, W words, U sequences, C clusters.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse
from scipy.sparse import csgraph

from seqkit import errors
from seqkit.genomics.language.contamination import words_of

__all__ = ["SPLITS", "THRESHOLD", "assign", "canonical", "cluster", "sketch"]

#: Letters of a word.
WORD = 16
#: Share of the shorter sequence's words that makes two sequences one lineage.
THRESHOLD = 0.05
#: Splits and their shares of the weight.
SPLITS = {"train": 0.7, "dev": 0.1, "test": 0.2}
_ROWS_AT_ONCE = 256


def canonical(codes_L: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The word at every place (W,), uint64, the smaller of both strands', and whether it has bases only.

    Parameters
    ----------
    codes_L : 0 to 3 for A, C, G, T, more for anything else.
    length : letters of a word, a power of two, at most 32.

    Examples
    --------
    >>> canonical(np.array([0, 1, 3, 3]), 4)[0] == canonical(np.array([0, 0, 2, 3]), 4)[0]
    array([ True])
    """
    words_W, is_whole_W = words_of(codes_L, length)
    other_L = np.where(codes_L < 4, 3 - np.minimum(codes_L, 3), codes_L)[::-1]
    return np.minimum(words_W, words_of(other_L, length)[0][::-1]), is_whole_W


def sketch(codes_L: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Hashes (uint64), sorted, each once, of that share of a sequence's words which hashes least.

    The same words are in the sketches of all sequences, so that sketches of one share can be compared.

    Examples
    --------
    >>> codes = np.random.default_rng(0).integers(0, 4, 4000, dtype=np.uint8)
    >>> len(sketch(codes)), 800 < len(sketch(codes, 0.25)) < 1200
    (3985, True)
    """
    words_W, is_whole_W = canonical(codes_L, WORD)
    hashes = np.unique(_mixed(words_W[is_whole_W]))
    return hashes if share >= 1 else hashes[hashes < np.uint64(share * 2.0**64)]


def cluster(sketches: Sequence[np.ndarray], threshold: float = THRESHOLD) -> np.ndarray:
    """The lineage (int64) of every sequence (U,), numbered from 0 by first occurrence.

    Parameters
    ----------
    sketches : as `sketch` makes them; a sequence without words is a lineage of its own.
    threshold : share of the smaller sketch that two of one lineage share.

    Examples
    --------
    >>> cluster([np.array([1, 2, 3]), np.array([7, 8]), np.array([3, 4, 5]), np.array([5, 6])], 0.3).tolist()
    [0, 1, 0, 0]
    """
    sizes_U = np.array([one.size for one in sketches], dtype=np.int64)
    ends = np.concatenate([[0], np.cumsum(sizes_U)])
    if not ends[-1]:
        return np.arange(len(sketches))
    _, columns = np.unique(np.concatenate(sketches), return_inverse=True)
    ones = np.ones(columns.size, dtype=np.int32)
    table = scipy.sparse.csr_matrix((ones, columns, ends), shape=(len(sketches), int(columns.max()) + 1))
    links = []
    for first in range(0, len(sketches), _ROWS_AT_ONCE):
        shared = (table[first : first + _ROWS_AT_ONCE] @ table.T).tocoo()
        near = shared.data >= threshold * np.minimum(sizes_U[shared.row + first], sizes_U[shared.col])
        links.append(np.stack([shared.row[near] + first, shared.col[near]]))
    row, column = np.concatenate(links, axis=1)
    graph = scipy.sparse.coo_matrix(
        (np.ones(row.size, dtype=np.int8), (row, column)), shape=(len(sizes_U),) * 2
    )
    return _numbered(csgraph.connected_components(graph, directed=False)[1])


def assign(weights_C: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The split (int64, the place in `SPLITS`) of every cluster (C,), about as `SPLITS` shares their weight.

    In an order drawn at random each cluster goes where most is missing; the first three go to the three
    splits, so that none is empty.

    Raises
    ------
    DataError
        when there are fewer clusters than splits.

    Examples
    --------
    >>> np.bincount(assign(np.ones(100), np.random.default_rng(0))).tolist()
    [70, 10, 20]
    """
    wanted = np.array(list(SPLITS.values())) * weights_C.sum()
    if len(weights_C) < len(wanted):
        raise errors.DataError(f"{len(weights_C)} lineages are too few for {len(wanted)} splits")
    splits_C = np.zeros(len(weights_C), dtype=np.int64)
    held = np.zeros(len(wanted))
    for place, at in enumerate(rng.permutation(len(weights_C))):
        splits_C[at] = place if place < len(wanted) else int((wanted - held).argmax())
        held[splits_C[at]] += weights_C[at]
    return splits_C


def _mixed(words: np.ndarray) -> np.ndarray:
    """Numbers spread evenly (the finalizer of splitmix64, Steele et al. 2014)."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _numbered(labels_U: np.ndarray) -> np.ndarray:
    """The same clusters, numbered by first occurrence."""
    _, first, which_U = np.unique(labels_U, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[which_U].astype(np.int64)
