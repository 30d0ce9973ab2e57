"""`seqkit tokenize`: train tokenizers of nucleotides, use them, and compare them.

Parses and prints; `seqkit.tokenizers` and `seqkit.genomics.tokens` do the work.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from seqkit import errors
from seqkit.cli import progress

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Tokens of nucleotides: train byte pairs, encode and decode sequence files, compare tokenizers.",
)

INPUT = "FASTA or FASTQ, plain or compressed; - is standard input."
TOKENIZER = "letters, 6mer (any k), 6mer-overlapping, a tokenizer.json, or a folder that holds one."


@app.command()
def train(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help=INPUT)],
    out: Annotated[Path, typer.Option("-o", "--out", help="The tokenizer's file.")],
    vocab_size: Annotated[int, typer.Option(help="Tokens, special ones and letters included.")] = 4096,
    both_strands: Annotated[
        bool, typer.Option("--both-strands", help="Count each sequence and its reverse complement.")
    ] = False,
    max_bases: Annotated[
        int, typer.Option(help="Learn from the first so many bases; 0 takes all.", min=0)
    ] = 0,
) -> None:
    """Learn byte pairs: `seqkit tokenize train genome.fa -o tokenizer.json`."""
    from seqkit.genomics.tokens import training
    from seqkit.models import nucleotides

    started = time.monotonic()
    with progress.progress_bar("reading", unit="bases") as advance:
        tokenizer, bases = training.train(
            inputs, vocab_size=vocab_size, both_strands=both_strands, max_bases=max_bases, advance=advance
        )
    nucleotides.save(tokenizer, out)
    _tell(
        f"{out}: {tokenizer.vocab_size:,} tokens from {bases:,} bases in {time.monotonic() - started:.1f} s"
    )


@app.command()
def encode(
    input_file: Annotated[str, typer.Argument(metavar="INPUT", help=INPUT)],
    tokenizer: Annotated[str, typer.Option("-t", "--tokenizer", help=TOKENIZER)],
    out: Annotated[
        str, typer.Option("-o", "--out", help="Token file, .gz to compress it; - is standard output.")
    ] = "-",
    form: Annotated[str, typer.Option("--format", help="tsv (name, ids) or jsonl.")] = "tsv",
    other_strand: Annotated[
        bool, typer.Option("--reverse-complement", help="Tokenize the other strand.")
    ] = False,
    allow_unknown: Annotated[
        bool,
        typer.Option(
            "--allow-unknown", help="Letters that the tokenizer has not become its unknown token, one each."
        ),
    ] = False,
) -> None:
    """Turn sequences into token ids: `seqkit tokenize encode seqs.fa -t 6mer`.

    Lower case is folded and U read as T, whatever the tokenizer. k-mers and byte pairs trained here have all
    IUPAC letters. Published byte pairs do not (DNABERT-2's have A, C, G and T only, METAGENE-1's N as well):
    a letter that is missing is refused, unless --allow-unknown is given.
    """
    from seqkit.genomics.tokens import files
    from seqkit.io import outputs
    from seqkit.models import nucleotides

    if form not in files.FORMATS:
        raise errors.UsageError(f"--format {form} is none of {', '.join(files.FORMATS)}")
    found = nucleotides.find(tokenizer)
    with outputs.output_file(out) as sink:
        records, letters, tokens = files.encode_file(
            input_file, found, sink, form=form, other_strand=other_strand, allow_unknown=allow_unknown
        )
    _tell(f"{records:,} sequences, {letters:,} bases, {tokens:,} tokens")


@app.command()
def decode(
    input_file: Annotated[str, typer.Argument(metavar="TOKENS", help="What `tokenize encode` wrote.")],
    tokenizer: Annotated[str, typer.Option("-t", "--tokenizer", help=TOKENIZER)],
    out: Annotated[
        str, typer.Option("-o", "--out", help="FASTA, .gz to compress it; - is standard output.")
    ] = "-",
) -> None:
    """Turn token ids back into sequences."""
    from seqkit.genomics.tokens import files
    from seqkit.io import outputs
    from seqkit.models import nucleotides

    found = nucleotides.find(tokenizer)
    with outputs.output_file(out) as sink:
        files.decode_file(input_file, found, sink)


@app.command()
def stats(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help=INPUT)],
    tokenizers: Annotated[
        list[str], typer.Option("-t", "--tokenizer", help=TOKENIZER + " Repeat to compare several.")
    ],
    max_bases: Annotated[int, typer.Option(help="Stop after so many bases; 0 takes all.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Compare tokenizers on the same sequences: bases per token, vocabulary used, speed.

    Letters that a tokenizer has not count as its unknown token, where it has one.
    """
    from seqkit.genomics.tokens import statistics
    from seqkit.models import nucleotides

    results = statistics.measure(
        inputs, {name: nucleotides.find(name) for name in tokenizers}, most_letters=max_bases
    )
    if as_json:
        told = [{**dataclasses.asdict(each), "bases_per_token": each.letters_per_token} for each in results]
        print(json.dumps(told, indent=1))
        return
    first = results[0]
    print(f"{first.records:,} sequences, {first.letters:,} bases, {first.ambiguous:,} of them ambiguous\n")
    width = max(len(each.name) for each in results)
    head = "vocabulary      used       tokens  bases/token  longest  bits/base  unknown  Mbases/s"
    print(f"{'tokenizer':<{width}}  {head}")
    for each in results:
        print(
            f"{each.name:<{width}}  {each.vocab_size:>10,}{each.used:>10,}{each.tokens:>13,}"
            f"{each.letters_per_token:>13.3f}{each.longest:>9}{each.entropy:>11.3f}{each.unknown:>9,}"
            f"{each.letters_per_second / 1e6:>10.2f}"
        )


def _tell(message: str) -> None:
    print(f"seqkit: {message}", file=sys.stderr)
