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

    Weights keep their values and their data type. Code that a checkpoint comes with is never run, and pickled
    weights are never read. What a layout cannot express is refused, saying what differs.
    """
    from seqkit.models import conversion

    parameters = conversion.convert(model, to, out, offline=offline)
    print(f"seqkit: {out}: {parameters:,} parameters in the layout of {to}", file=sys.stderr)
