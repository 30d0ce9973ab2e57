"""Where reads come from: genomes and genes by source, in lineages.

Viruses, resistance genes, bacteria and human are read from files below one folder;
long records are cut into pieces. This file knows files and lineages; it does not know
reads.

Shape suffixes: L letters, U units (genomes, genes or pieces).
"""

import dataclasses
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seqkit import errors
from seqkit.genomics.tasks import lineages
from seqkit.io import compression, reads
from seqkit.tokenizers import letters

__all__ = ["LEAST", "SOURCES", "Pool", "Source", "read"]

#: A record of less cannot hold a read, and one with fewer bases per letter hardly any.
LEAST = 150
_LEAST_BASES = 0.5
#: Bytes of a file in an archive that is read.
_MOST_BYTES = 1 << 30
_NONE = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where a kind of sequence is found.

    Attributes
    ----------
    files : below the folder of data: FASTA, patterns of such names, or tar archives of FASTA.
    is_pathogen : reads of it are to be found.
    piece : letters of the pieces that records are cut into; 0: records stay whole.
    share : of words that are compared.
    """

    files: tuple[str, ...]
    is_pathogen: bool
    piece: int = 0
    share: float = 1.0


SOURCES = {
    "virus": Source(files=("meta/nextclade_viruses.tar.gz",), is_pathogen=True, share=1 / 16),
    "resistance": Source(files=("meta/resfinder/*.fsa",), is_pathogen=True),
    "bacteria": Source(
        files=(
            "ref/ecoli_MG1655_GCF_000005845.2.fna.gz",
            "ref/ecoli536_NC_008253.fa.gz",
            "ref/salmonella_GCF_000006945.1.fna.gz",
            "ref/Mtb_H37Rv.fa.gz",
            "ref/S_Aureus_USA300_FPR3757.fa.gz",
        ),
        is_pathogen=False,
        piece=50_000,
        share=1 / 16,
    ),
    "human": Source(files=("ref/hs37_chr20.fa.gz",), is_pathogen=False, piece=100_000, share=1 / 32),
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The units of a source.

    Attributes
    ----------
    name : of the source.
    codes_L : all units end to end, uint8, 0 to 3 for bases, 4 for anything else.
    bounds : int64 (U + 1,), where each unit starts, and the end of the last.
    lineages_U : int64, the lineage of each.
    """

    name: str
    codes_L: np.ndarray
    bounds: np.ndarray
    lineages_U: np.ndarray

    def unit(self, number: int) -> np.ndarray:
        """Codes of one unit."""
        return self.codes_L[self.bounds[number] : self.bounds[number + 1]]


def read(data: Path, name: str, source: Source) -> Pool:
    """Read a source, every sequence once, and find its lineages.

    Raises
    ------
    DataError
        when files are missing or damaged, or hold too little.
    """
    found: dict[bytes, np.ndarray] = {}
    for letters_L in _letters(data, source):
        codes_L = np.minimum(letters.codes_of(letters_L), _NONE)
        for unit_L in _pieces(codes_L, source.piece):
            if unit_L.size >= LEAST and (unit_L < _NONE).mean() >= _LEAST_BASES:
                found.setdefault(unit_L.tobytes(), unit_L)
    units = list(found.values())
    if not units:
        raise errors.DataError(f"holds no sequence of {name} with {LEAST} bases", file=str(data))
    return Pool(
        name=name,
        codes_L=np.concatenate(units),
        bounds=np.cumsum([0, *(unit_L.size for unit_L in units)], dtype=np.int64),
        lineages_U=lineages.cluster([lineages.sketch(unit_L, source.share) for unit_L in units]),
    )


def _pieces(codes_L: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Pieces of a record, side by side; what is left at the end belongs to the last."""
    count = max(1, codes_L.size // size) if size else 1
    for number in range(count):
        yield codes_L[number * size : None if number + 1 == count else (number + 1) * size]


def _letters(data: Path, source: Source) -> Iterator[np.ndarray]:
    for pattern in source.files:
        paths = sorted(data.glob(pattern))
        if not paths:
            raise errors.DataError("there is no such file", file=str(data / pattern), hint="--data")
        for path in paths:
            if ".tar" in path.suffixes:
                yield from _archived(path)
            else:
                with compression.open_input(path) as stream:
                    yield from _records(stream.read(), str(path))


def _archived(path: Path) -> Iterator[np.ndarray]:
    """Records of all FASTA files of an archive, in order of their names; nothing is unpacked to disk."""
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive.getmembers() if member.isfile() and member.size]
            for member in sorted(members, key=lambda one: one.name):
                if not member.name.lower().endswith((".fasta", ".fa", ".fna", ".fsa")):
                    continue
                stream = archive.extractfile(member)
                if stream is None or member.size > _MOST_BYTES:
                    raise errors.DataError("is too large", file=str(path), record=member.name)
                yield from _records(stream.read(), f"{path}: {member.name}")
    except (OSError, EOFError, tarfile.TarError) as error:
        raise errors.DataError(f"is no archive that can be read: {error}", file=str(path)) from error


def _records(content: bytes, file: str) -> Iterator[np.ndarray]:
    """Letters of the records of FASTA as collections have it: gaps are left out, and headers need no name."""
    lines = content.splitlines(keepends=True)
    tidied = b"".join(
        b">" + (line[1:].strip() or b"unnamed") + b"\n" if line.startswith(b">") else line.replace(b"-", b"")
        for line in lines
    )
    for block in reads.stream_blocks(io.BytesIO(tidied), file):
        yield from (block.sequence(number) for number in range(len(block)))
