"""`seqkit score`: how likely a model finds sequences, and variants of a reference.

Parses and prints; `seqkit.genomics.likelihood` does the work.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqkit import errors
from seqkit.cli import progress

if TYPE_CHECKING:
    from seqkit.genomics.likelihood.laws import Options
    from seqkit.models.genomic import GenomicModel

__all__ = ["command"]

VARIANT_COLUMNS = ("chrom", "pos", "id", "ref", "alt", "effect", "ref_score", "alt_score", "bases")


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="FASTA or FASTQ; or, with --ref, a VCF. - is standard input."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model of nucleotides: a name, or a folder.")
    ] = "dna-small",
    ref: Annotated[
        Path | None, typer.Option("--ref", help="Reference (FASTA) of a VCF: score its variants.")
    ] = None,
    window: Annotated[int, typer.Option(help="Bases around a variant that are scored.")] = 512,
    both_strands: Annotated[
        bool, typer.Option("--both-strands", help="Average over the sequence and its reverse complement.")
    ] = False,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="Average over the frames of k-mers (variants always do).")
    ] = False,
    overlap: Annotated[
        float, typer.Option(help="Share of a window that the next one sees too, beyond the model's context.")
    ] = 0.5,
    hide: Annotated[
        float,
        typer.Option(
            help="Share of tokens masked at once by a model that reads both ways, up to 0.5: faster, and"
            " nearly the same; 0 masks one at a time."
        ),
    ] = 0.0,
    batch_tokens: Annotated[int, typer.Option(help="Tokens at a time.")] = 4096,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    out: Annotated[str, typer.Option("-o", "--out", help="Output file; - is standard output.")] = "-",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16, or auto for the fastest.")
    ] = "float32",
    threads: Annotated[int, typer.Option("-t", "--threads", help="Threads; 0 takes every core.", min=0)] = 0,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no model.")] = False,
) -> None:
    """Score sequences, `seqkit score seqs.fa`, or variants, `seqkit score calls.vcf --ref genome.fa`.

    Of a sequence: its log-likelihood in nats, the same per base, and perplexity per base (4 is chance). Of a
    variant: the log-likelihood of a window with the alternative allele minus that with the reference's; below
    0 the model finds it less likely than the reference. A model that reads both ways (an encoder) has no
    likelihood: what is given is the pseudo-log-likelihood, each token being masked in turn, or with --hide
    several at once. Of k-mers that overlap, those that share a base with it are masked as well, and every
    base counts once. Ambiguity codes (N) are read, and not scored.
    """
    if ref is not None and len(inputs) > 1:
        raise errors.UsageError("with --ref one VCF is scored at a time")
    if ref is None and any(name.endswith((".vcf", ".vcf.gz", ".bcf")) for name in inputs):
        raise errors.UsageError("variants are scored beside their reference", hint="--ref genome.fa")
    from seqkit.genomics.likelihood import laws
    from seqkit.io import outputs
    from seqkit.models import continuation, genomic

    options = laws.Options(overlap=overlap, batch_tokens=batch_tokens, hidden=hide)
    continuation.use_threads(threads)
    loaded = genomic.load(model, device=device, dtype=dtype, offline=offline)
    if loaded.is_causal and hide:
        raise errors.UsageError(f"{model} reads from left to right: it needs nothing hidden", hint="--hide")
    if not loaded.is_causal:
        how = f"{hide:.0%} of the tokens masked at once" if hide else "each token masked in turn"
        faster = "" if hide else " (faster, and nearly the same, with --hide 0.3)"
        _tell(f"{model} reads both ways: pseudo-log-likelihoods, {how}{faster}")
    if ref is None:
        columns = _sequence_columns(loaded)
        found = _sequences(loaded, inputs, options, all_frames=all_frames, both_strands=both_strands)
    else:
        columns = VARIANT_COLUMNS
        found = _variants(loaded, inputs[0], ref, options, window=window, both_strands=both_strands)
    with outputs.output_file(out) as sink, progress.progress_bar("scoring", unit="records") as advance:
        head = "" if as_json else "\t".join(columns) + "\n"
        for values in found:
            sink.write((head + (_json if as_json else _row)(columns, values)).encode())
            head = ""
            advance(1)
        # Where nothing is scored there is a table without rows.
        sink.write(head.encode())


def _sequence_columns(model: "GenomicModel") -> tuple[str, ...]:
    kind = "log_likelihood" if model.is_causal else "pseudo_log_likelihood"
    return ("id", "length", "tokens", kind, "per_base", "perplexity")


def _sequences(
    model: "GenomicModel", inputs: list[str], options: "Options", **choices: bool
) -> Iterator[tuple[Any, ...]]:
    from seqkit.genomics.likelihood import sequences
    from seqkit.genomics.tokens import records

    empty = ambiguous = 0
    for score in sequences.score(model, records.read(model, inputs), options, **choices):
        empty += not score.length
        ambiguous += score.ambiguous
        yield (
            score.name,
            score.length,
            score.tokens,
            score.log_likelihood,
            score.per_base,
            score.perplexity,
        )
    if empty:
        _tell(f"{empty:,} sequences are empty, and have log-likelihood 0")
    if ambiguous:
        _tell(f"{ambiguous:,} ambiguous letters (N and the like) were read, and not scored")


def _variants(
    model: "GenomicModel", vcf: str, ref: Path, options: "Options", *, window: int, both_strands: bool
) -> Iterator[tuple[Any, ...]]:
    from seqkit.genomics.likelihood import variants

    scored = variants.score_file(model, vcf, ref, options, window=window, both_strands=both_strands)
    with scored as found:
        for effect in found.effects:
            variant = effect.variant
            yield (
                variant.chrom,
                variant.pos,
                variant.id,
                variant.ref,
                variant.alt,
                effect.effect,
                effect.reference,
                effect.alternative,
                effect.bases,
            )
    if found.skipped:
        _tell(f"{found.skipped:,} alleles are not spelled out in bases (symbolic, *, .) and were skipped")


def _json(columns: Sequence[str], values: Sequence[Any]) -> str:
    return json.dumps({name: _finite(value) for name, value in zip(columns, values, strict=True)}) + "\n"


def _row(columns: Sequence[str], values: Sequence[Any]) -> str:
    return "\t".join(map(_shown, values)) + "\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else "NA"
    return str(value)


def _tell(message: str) -> None:
    print(f"seqkit: {message}", file=sys.stderr)
