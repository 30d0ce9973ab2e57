"""Variants of a VCF file beside the chromosomes they lie on, all checked before the first is given out.

The file is read once, so it may be standard input. Alleles and the chromosomes that they
name are kept in temporary files: memory does not grow with either, the order of the file
stays, and chromosomes may lie in the reference in any other. This file does not know models.

Shape suffixes: L letters of a chromosome.
"""

import contextlib
import dataclasses
import json
import mmap
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from seqkit import errors
from seqkit.io import atomic, fasta
from seqkit.io.variants import Variant, read_variants

__all__ = ["Calls", "checked"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Calls:
    """Alleles that fit the reference.

    Attributes
    ----------
    skipped : alleles that are not spelled out in bases.
    """

    skipped: int
    _kept: IO[bytes]
    _chromosomes: dict[str, np.ndarray]

    def spelled(self) -> Iterator[tuple[Variant, np.ndarray]]:
        """The alleles that are spelled out, in the order of the file, each with its chromosome.

        That is its upper-case letters (uint8, (L,)).
        """
        for variant in _again(self._kept):
            if variant.is_spelled:
                yield variant, self._chromosomes[variant.chrom]


@contextlib.contextmanager
def checked(vcf: str | Path, reference: str | Path) -> Iterator[Calls]:
    """Read a VCF file and its reference, and compare them; what is kept of them lasts as long as the block.

    Raises
    ------
    DataError
        when either is damaged, a record's chromosome is not in the reference, or its REF is not what stands
        there; names the first such record.
    OutputError
        when there is no room for the temporary files.
    """
    with tempfile.TemporaryFile() as kept, tempfile.TemporaryFile() as letters:
        with atomic.naming_full_disk(tempfile.gettempdir()):
            firsts, skipped = _keep_variants(vcf, kept)
            ranges = _keep_letters(reference, set(firsts), letters)
        missing = next((each for name, each in firsts.items() if name not in ranges), None)
        if missing is not None:
            raise errors.DataError(
                f"there is no chromosome {missing.chrom!r} in {reference}",
                file=str(vcf),
                record=missing.record,
            )
        chromosomes = _mapped(letters, ranges)
        for variant in _again(kept):
            _require_reference(variant, chromosomes[variant.chrom], str(vcf), str(reference))
        yield Calls(skipped=skipped, _kept=kept, _chromosomes=chromosomes)


def _keep_variants(vcf: str | Path, kept: IO[bytes]) -> tuple[dict[str, Variant], int]:
    """Copy all alleles; the first of every chromosome, and how many are not spelled out."""
    firsts: dict[str, Variant] = {}
    skipped = 0
    for variant in read_variants(vcf):
        firsts.setdefault(variant.chrom, variant)
        skipped += not variant.is_spelled
        kept.write(json.dumps(dataclasses.asdict(variant)).encode() + b"\n")
    kept.flush()
    return firsts, skipped


def _keep_letters(reference: str | Path, wanted: set[str], letters: IO[bytes]) -> dict[str, tuple[int, int]]:
    """Copy the letters of chromosomes that are wanted; where each begins and ends."""
    ranges: dict[str, tuple[int, int]] = {}
    for name, _, letters_L in fasta.read_sequences(reference):
        if name in wanted:
            first = letters.tell()
            letters.write(letters_L.tobytes())
            ranges[name] = (first, letters.tell())
    letters.flush()
    return ranges


def _mapped(letters: IO[bytes], ranges: dict[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    """Chromosomes (uint8) that stay on the disk until they are looked at."""
    if not ranges:
        return {}
    whole_L = np.frombuffer(mmap.mmap(letters.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
    return {name: whole_L[first:end] for name, (first, end) in ranges.items()}


def _again(kept: IO[bytes]) -> Iterator[Variant]:
    kept.seek(0)
    for line in kept:
        yield Variant(**json.loads(line))


def _require_reference(variant: Variant, chromosome_L: np.ndarray, vcf: str, reference: str) -> None:
    place = variant.pos - 1
    there = chromosome_L[place : place + len(variant.ref)].tobytes().decode()
    if there != variant.ref:
        told = there if len(there) == len(variant.ref) else f"the end, {chromosome_L.size:,} bases long"
        raise errors.DataError(
            f"REF is {variant.ref}, but {reference} has {told} there", file=vcf, record=variant.record
        )
