"""What it costs and saves to mask several tokens at once: `seqkit score --hide` beside one token at a time.

    python benchmarks/masked_scores.py --data SEQKIT_DEV_DATA --out masked

Pieces of genomes, and single-base changes in the middle of shorter ones, are scored by the default model
with several shares hidden. Told is the time, how far perplexities are from those of one token at a time, and
how well effects of changes agree with theirs. `seqkit bench page masked --into docs/benchmarks/scores.md`
puts the tables into the documentation.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from seqkit.genomics.likelihood import laws, sequences, variants
from seqkit.genomics.tokens import records
from seqkit.genomics.tokens.records import Record
from seqkit.io import sequences as files
from seqkit.io.variants import Variant
from seqkit.models import continuation, genomic

GENOMES = (
    "dm3_chr2R.fa.gz",
    "sacCer_R64_genome.fa.gz",
    "ecoli_MG1655_GCF_000005845.2.fna.gz",
    "sarscov2_MN908947.3.fa",
)
SHARES = (0.0, 0.15, 0.3, 0.5)
PIECE = 1000
WINDOW = 128
BASES = np.frombuffer(b"ACGT", dtype=np.uint8)


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pieces", type=int, default=5, help="of each genome")
    parser.add_argument("--changes", type=int, default=20, help="of each genome")
    parser.add_argument("--model", default="dna-small")
    arguments = parser.parse_args()
    continuation.use_threads(1)
    model = genomic.load(arguments.model, device="cpu")
    rng = np.random.default_rng(1)
    genomes = [_letters(arguments.data / "genomics" / "ref" / name) for name in GENOMES]
    pieces = [one_L for letters_L in genomes for one_L in _pieces(letters_L, arguments.pieces, PIECE, rng)]
    around = [one_L for letters_L in genomes for one_L in _pieces(letters_L, arguments.changes, WINDOW, rng)]
    changes = [_change(window_L, rng) for window_L in around]
    rows = [_measured(model, pieces, changes, share) for share in SHARES]
    report = {"kind": "tokens", "rows": rows}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / "report.md").write_text("\n".join(_table(rows, len(pieces), len(changes))) + "\n")


def _letters(path: Path) -> np.ndarray:
    return next(letters_L for _, letters_L in files.read_records(path))


def _pieces(letters_L: np.ndarray, count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pieces of plain bases from anywhere."""
    while count:
        at = int(rng.integers(letters_L.size - size))
        if np.isin(letters_L[at : at + size], BASES).all():
            count -= 1
            yield letters_L[at : at + size]


def _change(window_L: np.ndarray, rng: np.random.Generator) -> tuple[Variant, np.ndarray]:
    """Another base in the middle."""
    place = WINDOW // 2
    ref = window_L[place : place + 1].tobytes().decode()
    alt = str(rng.choice([base for base in "ACGT" if base != ref]))
    return Variant(chrom="c", pos=place + 1, id=".", ref=ref, alt=alt, record="c"), window_L


def _measured(
    model: genomic.GenomicModel,
    pieces: list[np.ndarray],
    changes: list[tuple[Variant, np.ndarray]],
    share: float,
) -> dict[str, Any]:
    options = laws.Options(hidden=share)
    read: list[Record] = [records.tokenize(model, str(at), piece_L) for at, piece_L in enumerate(pieces)]
    began = time.process_time()
    per_base = [score.per_base for score in sequences.score(model, read, options)]
    between = time.process_time()
    effects = [effect.effect for effect in variants.effects_of(model, changes, options, window=WINDOW)]
    return {
        "share": share,
        "per_base": per_base,
        "effects": effects,
        "seconds": between - began,
        "seconds_effects": time.process_time() - between,
    }


def _table(rows: list[dict[str, Any]], pieces: int, changes: int) -> list[str]:
    exact = rows[0]
    lines = [
        f"{pieces} pieces of {PIECE:,} bases and {changes} changes of a base within {WINDOW}, one thread.",
        "",
        "| hidden at once | s per 1,000 bases | perplexity | correlation over pieces "
        "| largest difference of a piece (%) | s per change | correlation of effects | same sign (%) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        hidden = f"{row['share']:.0%}" if row["share"] else "one token"
        own, told = np.array(row["per_base"]), np.array(exact["per_base"])
        effects, told_effects = np.array(row["effects"]), np.array(exact["effects"])
        lines.append(
            f"| {hidden} | {row['seconds'] / pieces:.2f} "
            f"| {np.exp(-own.mean()):.3f} | {scipy.stats.pearsonr(own, told).statistic:.3f} "
            f"| {100 * np.abs(np.exp(told - own) - 1).max():.1f} | {row['seconds_effects'] / changes:.2f} "
            f"| {scipy.stats.pearsonr(effects, told_effects).statistic:.3f} "
            f"| {100 * np.mean(np.sign(effects) == np.sign(told_effects)):.0f} |"
        )
    return lines


if __name__ == "__main__":
    main()
