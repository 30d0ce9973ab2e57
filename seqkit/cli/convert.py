"""`seqkit convert`: models of nucleotides from one layout to another.

Parses and prints; `seqkit.models` does the work.
"""

import sys
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, in any layout that is known.")],
    to: Annotated[str, typer.Option("--to", help="llama (METAGENE-1, GENERator), dnabert2, or seqkit.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="DIR", help="Folder of the result.")],
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no model.")] = False,
) -> None:
    """Write a model in another layout: `seqkit convert my-model --to llama -o for-transformers`.

    Weights keep their values and their data type (float64 becomes float32). Code that a checkpoint names
    (auto_map) is never run: it is data, and carried over no further. Pickled weights are never read. What a
    layout cannot express is refused, saying what differs.
    """
    from seqkit.models import conversion

    done = conversion.convert(model, to, out, offline=offline)
    print(f"seqkit: {out}: {done.parameters:,} parameters in the layout of {to}", file=sys.stderr)
    if done.left:
        print(f"seqkit: not carried over: {', '.join(done.left)}", file=sys.stderr)
    if to != conversion.OWN and not done.tokenizer_is_shared:
        print(
            "seqkit: tokenizer.json: overlapping k-mers, which transformers has no tokenizer for",
            file=sys.stderr,
        )
