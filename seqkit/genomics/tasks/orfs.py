"""Open reading frames, found by their codons alone, and stops in frames.

No annotation is read: a frame from a start codon to the next stop is an open reading
frame, whether it is a gene or not. This file knows the bacterial code (table 11, its
three commonest starts); it does not know models.

Shape suffixes: L bases, C codons.
"""

import dataclasses

import numpy as np

__all__ = ["Frame", "find", "has_stop"]

_CODON = 3
_STOPS = ("TAA", "TAG", "TGA")
_STARTS = ("ATG", "GTG", "TTG")


def _numbers(codons: tuple[str, ...]) -> np.ndarray:
    return np.array(
        [sum("ACGT".index(base) * 4 ** (2 - at) for at, base in enumerate(codon)) for codon in codons]
    )


@dataclasses.dataclass(frozen=True, order=True)
class Frame:
    """An open reading frame.

    Attributes
    ----------
    start, end : of its bases on its strand, from 0, the end one past the stop codon.
    """

    start: int
    end: int


def find(codes_L: np.ndarray, least: int) -> list[Frame]:
    """Open reading frames of one strand, by start.

    Each begins with the first start codon after a stop of its frame, or after a letter that is no base.

    Parameters
    ----------
    codes_L : 0 to 3 for A, C, G, T, more for anything else.
    least : bases, start and stop codon included.

    Examples
    --------
    >>> codes = np.array(["ACGT".index(base) for base in "CCATGAAAGTGTAACC"])
    >>> find(codes, 9)
    [Frame(start=2, end=14)]
    """
    found = [frame for offset in range(_CODON) for frame in _of_frame(codes_L, offset, least)]
    return sorted(found)


def has_stop(codes_L: np.ndarray, offset: int = 0) -> bool:
    """Whether a stop codon is in the frame that begins at an offset.

    Examples
    --------
    >>> codes = np.array(["ACGT".index(base) for base in "CTAAC"])
    >>> has_stop(codes), has_stop(codes, 1)
    (False, True)
    """
    return bool(np.isin(_codons(codes_L, offset), _numbers(_STOPS)).any())


def _of_frame(codes_L: np.ndarray, offset: int, least: int) -> list[Frame]:
    """Those of one of the three frames."""
    codons_C = _codons(codes_L, offset)
    breaks = np.flatnonzero(np.isin(codons_C, _numbers(_STOPS)) | (codons_C < 0))
    starts = np.flatnonzero(np.isin(codons_C, _numbers(_STARTS)))
    before = np.concatenate([[-1], breaks[:-1]]) if breaks.size else breaks
    at = np.searchsorted(starts, before + 1)
    first = np.append(starts, codons_C.size)[at]
    is_open = (first < breaks) & (codons_C[breaks] >= 0) & (_CODON * (breaks + 1 - first) >= least)
    return [
        Frame(int(offset + _CODON * start), int(offset + _CODON * (stop + 1)))
        for start, stop in zip(first[is_open], breaks[is_open], strict=True)
    ]


def _codons(codes_L: np.ndarray, offset: int) -> np.ndarray:
    """Codons (C,) of a frame as numbers, -1 where not all are bases."""
    count = max(0, (codes_L.size - offset) // _CODON)
    table = np.asarray(codes_L[offset : offset + _CODON * count], dtype=np.int64).reshape(count, _CODON)
    return np.where((table < 4).all(axis=1), table @ np.array([16, 4, 1]), -1)
