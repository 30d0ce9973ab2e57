"""Compression and speed of seqkit's tokenizers beside DNABERT-2's and METAGENE-1's, on the same genomes.

    python benchmarks/tokenizer_speed.py --data SEQKIT_DEV_DATA --out tokenizers

Each genome is cut into pieces of 10,000 bases; pieces with letters other than A, C, G and T are left
out. seqkit's byte pairs learn from other sequence of the same kind. The published tokenizers are
used through seqkit, with `tokenizers`, and with transformers; whether the ids agree is checked piece
by piece. Speed is bases per second of processor time, methods in turns, one thread.
`seqkit bench page tokenizers --into docs/benchmarks/tokenizers.md` puts the tables into the
documentation. (The file is not called after what it measures: it would hide the library of that name.)
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Before the libraries that read it are loaded.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import tokenizers
import transformers

from seqkit.io import sequences
from seqkit.models import nucleotides
from seqkit.models.nucleotides import SequenceTokenizer
from seqkit.tokenizers.bpe import BpeTokenizer

PIECE = 10_000
VOCABULARIES = (4096, 1024)
PUBLISHED = {
    "DNABERT-2": "dnabert2_tokenizer.json",
    "METAGENE-1": "metagene_mgfm1024/tokenizer.json",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Genome:
    """What is tokenized, and what byte pairs learn from: files, with the range of the first record."""

    file: str
    bases: slice
    other: str
    other_bases: slice
    told: str


GENOMES = {
    "E. coli": Genome(
        file="ecoli_MG1655_GCF_000005845.2.fna.gz",
        bases=slice(None),
        other="salmonella_GCF_000006945.1.fna.gz",
        other_bases=slice(None),
        told="*E. coli* MG1655; byte pairs of seqkit learned from the chromosome of *Salmonella enterica*",
    ),
    "human": Genome(
        file="hs37_chr20.fa.gz",
        bases=slice(5_000_000),
        other="hs37_chr20.fa.gz",
        other_bases=slice(31_500_000, 36_500_000),
        told="the first 5 Mb of human chromosome 20 (hs37); byte pairs of seqkit learned from its bases "
        "31,500,001 to 36,500,000",
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Method:
    """One way to make tokens: what is timed takes a piece as letters, or as text."""

    tokenizer: str
    through: str
    vocabulary: int
    encode: Callable[[Any], Any]
    takes_text: bool = False


def main() -> None:
    """Measure both genomes, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    told = {name: _measured(genome, arguments) for name, genome in GENOMES.items()}
    # Of the kind whose `report.md` goes into a page as it is.
    report = {"kind": "tokens", "piece": PIECE, "rounds": arguments.rounds, "genomes": told}
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = [line for name in GENOMES for line in _table(GENOMES[name], told[name], arguments.rounds)]
    (arguments.out / "report.md").write_text("\n".join(lines))
    print("\n".join(lines))


def _measured(genome: Genome, arguments: argparse.Namespace) -> dict[str, Any]:
    folder = arguments.data / "genomics" / "ref"
    pieces, left_out = _pieces(_letters(folder / genome.file)[genome.bases])
    others = _letters(folder / genome.other)[genome.other_bases]
    methods = [*_own(others), *_published(arguments.data / "genomics" / "tokenizers")]
    texts = [piece_L.tobytes().decode() for piece_L in pieces]
    seconds: list[list[float]] = [[] for _ in methods]
    ids: list[list[list[int]]] = [[] for _ in methods]
    for _ in range(arguments.rounds):
        for number, method in enumerate(methods):
            began = time.process_time()
            found = [method.encode(piece) for piece in (texts if method.takes_text else pieces)]
            seconds[number].append(time.process_time() - began)
            ids[number] = [np.asarray(piece_ids).tolist() for piece_ids in found]
            print(method.tokenizer, method.through, round(seconds[number][-1], 2), file=sys.stderr)
    bases = PIECE * len(pieces)
    first = {method.tokenizer: ids[number] for number, method in reversed(list(enumerate(methods)))}
    rows = [
        {
            "tokenizer": method.tokenizer,
            "through": method.through,
            "vocabulary": method.vocabulary,
            "bases_per_token": bases / sum(map(len, ids[number])),
            "bases_per_second": bases / statistics.median(seconds[number]),
            "seconds": seconds[number],
            "pieces_that_differ": sum(
                one != two for one, two in zip(ids[number], first[method.tokenizer], strict=True)
            ),
        }
        for number, method in enumerate(methods)
    ]
    return {"bases": bases, "pieces": len(pieces), "pieces_left_out": left_out, "rows": rows}


def _letters(path: Path) -> np.ndarray:
    return next(letters_L for _, letters_L in sequences.read_records(path))


def _pieces(letters_L: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Whole pieces of plain bases, and how many others there are."""
    whole = letters_L[: letters_L.size - letters_L.size % PIECE].reshape(-1, PIECE)
    plain = np.isin(whole, np.frombuffer(b"ACGT", dtype=np.uint8)).all(axis=1)
    return list(whole[plain]), int((~plain).sum())


def _own(others_L: np.ndarray) -> Iterator[Method]:
    """seqkit's own tokenizers."""
    for size in VOCABULARIES:
        trained = BpeTokenizer.train([others_L], vocab_size=size)
        yield Method(
            tokenizer=f"byte pairs of seqkit, {size:,}",
            through="seqkit",
            vocabulary=trained.vocab_size,
            encode=trained.encode,
        )
    for name in ("6mer", "6mer-overlapping"):
        found = nucleotides.find(name)
        yield Method(tokenizer=name, through="seqkit", vocabulary=found.vocab_size, encode=found.encode)


def _published(folder: Path) -> Iterator[Method]:
    """Published tokenizers, in three ways."""
    for name, file in PUBLISHED.items():
        path = str(folder / file)
        own: SequenceTokenizer = nucleotides.find(path)
        theirs = tokenizers.Tokenizer.from_file(path)
        wrapped = transformers.PreTrainedTokenizerFast(tokenizer_file=path)
        shared = {"tokenizer": name, "vocabulary": own.vocab_size}
        yield Method(through="seqkit", encode=own.encode, **shared)
        yield Method(through="tokenizers", encode=_plain(theirs), takes_text=True, **shared)
        yield Method(through="transformers", encode=_wrapped(wrapped), takes_text=True, **shared)


def _plain(tokenizer: Any) -> Callable[[str], Sequence[int]]:
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def _wrapped(tokenizer: Any) -> Callable[[str], Sequence[int]]:
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


def _table(genome: Genome, told: dict[str, Any], rounds: int) -> list[str]:
    lines = [
        f"{genome.told[0].upper()}{genome.told[1:]}: {told['pieces']:,} pieces of {PIECE:,} bases "
        f"({told['pieces_left_out']:,} with other letters left out), median of {rounds} rounds.",
        "",
        "| tokenizer | vocabulary | used through | bases per token | Mbases per second | same ids |",
        "|---|---|---|---|---|---|",
    ]
    for row in told["rows"]:
        differ, is_published = row["pieces_that_differ"], row["tokenizer"] in PUBLISHED
        same = f"no: {differ:,} pieces" if differ else "yes" if is_published else ""
        lines.append(
            f"| {row['tokenizer']} | {row['vocabulary']:,} | {row['through']} | {row['bases_per_token']:.2f} "
            f"| {row['bases_per_second'] / 1e6:.2f} | {same} |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    main()
