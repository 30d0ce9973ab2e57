"""The card of a pretrained model: what it is, what it read, how well it tells held-out sequence.

This file knows Markdown; it does not know how anything in it came to be.
"""

from collections.abc import Mapping, Sequence

__all__ = ["write"]


def write(
    *,
    title: str,
    arch: str,
    parameters: int,
    tokenizer: str,
    context: int,
    files: Sequence[str],
    counts: Mapping[str, int],
    digest: str,
    command: str,
    trained: str,
    evaluations: Sequence[Mapping[str, float]],
) -> str:
    """The text of a model's README.md.

    Parameters
    ----------
    files : names of the files it was trained on.
    counts, digest : see `seqkit.genomics.language.corpus.Corpus`.
    command : what was typed.
    trained : how far it got.
    evaluations : measured on the held-out part, the last one last.

    Examples
    --------
    >>> text = write(title="m", arch="dnabert2", parameters=10, tokenizer="6mer", context=64, files=["a.fa"],
    ...     counts={"letters": 9, "train": 8, "excluded": 0, "ambiguous": 0, "held_out": 1}, digest="00",
    ...     command="seqkit pretrain a.fa -o m", trained="1 step", evaluations=[])
    >>> text.splitlines()[0]
    '# m'
    """
    lines = [
        f"# {title}",
        "",
        f"A model of nucleotides in the shape of {arch}: {parameters:,} parameters, tokens {tokenizer}, "
        f"rows of {context} tokens. Made by",
        "",
        "```",
        command,
        "```",
        "",
        f"Training: {trained}.",
        "",
        "## Data",
        "",
        *(f"- {name.rsplit('/', 1)[-1]}" for name in files),
        "",
        f"{counts['letters']:,} bases in all; {counts['train']:,} to train on; {counts['held_out']:,} held "
        f"out; {counts['excluded']:,} left out on request; {counts['ambiguous']:,} ambiguous and never read.",
        f"SHA-256 of the letters and of where they are read: `{digest}`.",
        "",
        "## Measured",
        "",
        *_measured(evaluations),
        "",
        "The held-out part is other sequence of the same records: it shows that training went well, not "
        "how the model does on another genome.",
        "",
        "## Terms",
        "",
        "The weights follow the terms of the data above. Not for clinical use.",
        "",
    ]
    return "\n".join(lines)


def _measured(evaluations: Sequence[Mapping[str, float]]) -> list[str]:
    if not evaluations:
        return ["Nothing was held out, and nothing measured."]
    shown = evaluations if len(evaluations) <= 5 else [*evaluations[:1], *evaluations[-3:]]
    # Overlapping tokens have no bits per base.
    columns = {"loss on held-out tokens (nats)": "loss", "bits per base": "bits_per_base"}
    told = {title: name for title, name in columns.items() if name in evaluations[0]}
    return [
        "| " + " | ".join(["step", *told]) + " |",
        "|" + "---|" * (1 + len(told)),
        *(
            "| "
            + " | ".join([f"{each['step']:,.0f}", *(f"{each[name]:.4f}" for name in told.values())])
            + " |"
            for each in shown
        ),
    ]
