"""Variants from VCF files, plain or compressed, an allele at a time.

This file knows VCF's first five columns; it does not know references or models.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from seqkit import errors
from seqkit.io import compression, line_ends

__all__ = ["Variant", "read_variants"]

_BASES = frozenset("ACGTN")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One alternative allele.

    Attributes
    ----------
    chrom, pos, id, ref, alt : as in the file, `pos` from 1; alleles in upper case.
    record : line and place, for messages.
    """

    chrom: str
    pos: int
    id: str
    ref: str
    alt: str
    record: str

    @property
    def is_spelled(self) -> bool:
        """Whether the alternative is given in bases: not symbolic, a breakend, missing or overlapped."""
        return bool(self.alt) and set(self.alt) <= _BASES


def read_variants(path: str | Path) -> Iterator[Variant]:
    """Read the alternative alleles of a VCF file; a record with several has them one after the other.

    Raises
    ------
    DataError
        when the file is no VCF, or a line is malformed; names file and line.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"##fileformat=VCFv4.2\\n#CHROM...\\nchr1\\t7\\t.\\ta\\tc,<DEL>\\n")
    ...     file.flush()
    ...     [(variant.pos, variant.alt, variant.is_spelled) for variant in read_variants(file.name)]
    [(7, 'C', True), (7, '<DEL>', False)]
    """
    file = str(path)
    with compression.open_input(path) as stream:
        number = 0
        for number, line in enumerate(stream, start=1):
            if number == 1:
                _require_vcf(line, file)
            if line.startswith(b"#") or not line.strip():
                continue
            yield from _variants(line, file, number)
    if not number:
        raise errors.DataError("there is nothing in it", file=file)


def _require_vcf(line: bytes, file: str) -> None:
    if line.startswith(b"BCF"):
        raise errors.DataError("is BCF, where a VCF is needed", file=file, hint="bcftools view FILE")
    if not line.startswith(b"##fileformat=VCF"):
        raise errors.DataError("does not begin with ##fileformat=VCF", file=file, record="line 1")
    if b"\r" in line.rstrip(b"\r\n"):
        raise line_ends.bare_returns(file)


def _variants(line: bytes, file: str, number: int) -> Iterator[Variant]:
    place = f"line {number}"
    try:
        fields = line.decode("utf-8").rstrip("\r\n").split("\t")
    except UnicodeDecodeError as error:
        raise errors.DataError("is not text", file=file, record=place) from error
    if len(fields) < 5:
        raise errors.DataError(f"has {len(fields)} columns, where 5 are needed", file=file, record=place)
    chrom, pos, name, ref, alts = fields[:5]
    record = f"{place} ({chrom}:{pos})"
    if not (pos.isascii() and pos.isdigit() and int(pos) > 0):
        raise errors.DataError(f"POS {pos!r} is not a place from 1 on", file=file, record=place)
    ref = ref.upper()
    if not ref or not set(ref) <= _BASES:
        raise errors.DataError(f"REF {ref!r} is not made of A, C, G, T and N", file=file, record=record)
    for alt in alts.split(","):
        spelled = alt.upper() if set(alt.upper()) <= _BASES else alt
        yield Variant(chrom=chrom, pos=int(pos), id=name, ref=ref, alt=spelled, record=record)
