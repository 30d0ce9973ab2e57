"""Zero-shot effects of variants: log-likelihood with the alternative allele minus that with the reference's.

Both are scored in the same window of the reference: from the same base on, and with
the same number of bases, so that an insertion is not punished for making the sequence
longer, nor a deletion rewarded; what an allele adds is cut off at the window's end, and
what it takes away is filled up there from the reference. For k-mers side by side the
window begins at k neighbouring bases in turn and holds whole k-mers only, and the
effects are averaged: the same base stands in every place of a k-mer, and no token is a
left-over letter. Where a chromosome's end would cut an allele off, the two windows end at
the same base instead. Every base of a window counts once, as in `sequences`. This file does
not know how tokens are scored.
"""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from seqkit import errors
from seqkit.genomics.likelihood import calls, laws
from seqkit.genomics.likelihood.sequences import frames_of, total
from seqkit.genomics.tokens import records
from seqkit.genomics.tokens.files import reverse_complement
from seqkit.genomics.tokens.records import Record
from seqkit.io.variants import Variant
from seqkit.models.genomic import GenomicModel

__all__ = ["Effect", "Effects", "effects_of", "haplotypes", "score_file"]

#: Smallest window.
LEAST = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effect:
    """What a model thinks of one alternative allele.

    Attributes
    ----------
    variant : the allele.
    reference, alternative : log-likelihoods (nats) of the window with each, averaged over frames and strands.
    bases : of the window.
    """

    variant: Variant
    reference: float
    alternative: float
    bases: int

    @property
    def effect(self) -> float:
        """Above 0: the model finds the alternative more likely."""
        return self.alternative - self.reference


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Effects:
    """Effects, computed as they are taken, and how many alleles are skipped, not being spelled out."""

    effects: Iterator[Effect]
    skipped: int


@contextlib.contextmanager
def score_file(
    model: GenomicModel,
    vcf: str | Path,
    reference: str | Path,
    options: laws.Options,
    *,
    window: int = 512,
    both_strands: bool = False,
) -> Iterator[Effects]:
    """Score all spelled alleles of a VCF file, in its order.

    All is checked before the first is scored. The effects are to be taken within the block. Of the reference
    one chromosome is held in memory at a time, of the alleles a few batches.

    Raises
    ------
    DataError, OutputError
        as `calls.checked`.
    UsageError
        when the window is too small.
    """
    if window < LEAST:
        raise errors.UsageError(f"--window {window} is less than {LEAST} bases")
    with calls.checked(vcf, reference) as found:
        effects = effects_of(model, found.spelled(), options, window=window, both_strands=both_strands)
        yield Effects(effects=effects, skipped=found.skipped)


def effects_of(
    model: GenomicModel,
    variants: Iterable[tuple[Variant, np.ndarray]],
    options: laws.Options,
    *,
    window: int,
    both_strands: bool = False,
) -> Iterator[Effect]:
    """Effects of spelled alleles, each beside its chromosome (upper-case letters, uint8, (L,)), in order."""
    frames = frames_of(model)
    # The model reads a few batches ahead of what is given out; only those are held.
    ahead, pairs = itertools.tee(
        (variant, haplotypes(variant, chromosome_L, window=window, frames=frames))
        for variant, chromosome_L in variants
    )
    texts = (
        records.tokenize(model, variant.record, strand_L)
        for variant, windows in ahead
        for pair in windows
        for letters_L in pair
        for strand_L in (letters_L, *([reverse_complement(letters_L)] if both_strands else []))
    )
    scored = laws.log_probs(model, texts, options)
    strands = 2 if both_strands else 1
    for variant, windows in pairs:
        totals = [_mean(model, some) for some in _by(scored, strands, 2 * len(windows))]
        reference, alternative = math.fsum(totals[::2]), math.fsum(totals[1::2])
        yield Effect(
            variant=variant,
            reference=reference / len(windows),
            alternative=alternative / len(windows),
            bases=windows[0][0].size,
        )


def haplotypes(
    variant: Variant, chromosome_L: np.ndarray, *, window: int, frames: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Windows around a variant with the reference's allele and with the alternative, a pair for every frame.

    The two of a pair have the same number of letters; with frames it is a multiple of them, unless the
    chromosome is too short for that.

    Examples
    --------
    >>> chromosome = np.frombuffer(b"AACCGGTTAACC", dtype=np.uint8)
    >>> variant = Variant(chrom="c", pos=5, id=".", ref="G", alt="GTT", record="")
    >>> [(a.tobytes(), b.tobytes()) for a, b in haplotypes(variant, chromosome, window=8, frames=1)]
    [(b'ACCGGTTA', b'ACCGTTGT')]
    """
    place = variant.pos - 1
    ref_L = chromosome_L[place : place + len(variant.ref)]
    alt_L = np.frombuffer(variant.alt.encode(), dtype=np.uint8)
    pairs, is_whole = _from_left(chromosome_L, place, ref_L, alt_L, window, frames)
    if is_whole:
        return pairs
    # At the chromosome's end an allele would be cut off: begin at the right instead.
    turned, is_whole = _from_left(
        chromosome_L[::-1],
        chromosome_L.size - place - ref_L.size,
        ref_L[::-1],
        alt_L[::-1],
        window,
        frames,
    )
    return (
        [(reference_L[::-1], alternative_L[::-1]) for reference_L, alternative_L in turned]
        if is_whole
        else pairs
    )


def _from_left(
    chromosome_L: np.ndarray, place: int, ref_L: np.ndarray, alt_L: np.ndarray, window: int, frames: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], bool]:
    """Windows that begin at the same base, and whether all of them hold both alleles to their ends."""
    start = max(0, place - (window - ref_L.size) // 2)
    start = min(max(start, frames - 1), max(0, chromosome_L.size - window), place)
    pairs, is_whole = [], True
    for at in range(max(0, start - frames + 1), start + 1):
        reference_L = chromosome_L[at : at + window]
        rest_L = chromosome_L[place + ref_L.size : at + window + ref_L.size]
        alternative_L = np.concatenate([chromosome_L[at:place], alt_L, rest_L])
        length = min(window, reference_L.size, alternative_L.size)
        whole = length - length % frames
        # Rounding must not cut off the variant itself.
        length = whole if whole > place - at else length
        is_whole &= length >= place - at + max(ref_L.size, alt_L.size)
        pairs.append((reference_L[:length], alternative_L[:length]))
    return pairs, is_whole


def _by(
    scored: Iterator[tuple[Record, np.ndarray]], size: int, count: int
) -> Iterator[list[tuple[Record, np.ndarray]]]:
    """`count` groups of `size`."""
    for _ in range(count):
        yield list(itertools.islice(scored, size))


def _mean(model: GenomicModel, readings: list[tuple[Record, np.ndarray]]) -> float:
    """Mean log-likelihood of the strands."""
    return float(np.mean([total(model, record, scores_T) for record, scores_T in readings]))
