"""`seqkit caption eval`: captions beside what people wrote.

Parses and prints; `seqkit.audio.evaluation` does the work.
"""

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from seqkit.audio.evaluation import report

__all__ = ["evaluate"]


def evaluate(
    predictions: Annotated[
        str, typer.Argument(metavar="PREDICTIONS", help="What `seqkit caption` wrote: tsv, csv, json, jsonl.")
    ],
    references: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCES",
            help="CSV or TSV: file_name (or file), caption_1, caption_2, ...; or JSON lines: file, captions.",
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Whose sentence vectors are used; `none` leaves them out.")
    ] = "sounds-small",
    shuffled: Annotated[
        int | None, typer.Option(min=0, metavar="SEED", help="Control: captions shuffled between the clips.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score captions: CIDEr-D, BLEU, ROUGE-L, sentence vectors, each with its 95 % interval over clips.

    Clips are matched by name, whatever their format, and by folder where several have one name; every clip
    with references needs a caption. The score by sentence vectors is a tenth where rules find the language
    faulty; "silence" is not. A model that made the captions should not be whose vectors judge them; take
    another one where there is one. SPICE and SPIDEr are not computed: SPICE needs a Java program that seqkit
    does not run.
    """
    from seqkit.audio.evaluation import report

    found = report.matched(report.read_predictions(predictions), report.read_references(references))
    if found.unasked:
        shown = ", ".join(found.unasked[:3]) + (", ..." if len(found.unasked) > 3 else "")
        print(f"seqkit: {len(found.unasked)} captions without references left out: {shown}", file=sys.stderr)
    captions = found.captions if shuffled is None else report.shuffled(found.captions, shuffled)
    encode = None
    if model != "none":
        from seqkit.audio.captioning import describer

        encode = describer.load(model).encode
    scores = report.evaluate(captions, found.references, encode)
    print(
        _as_json(scores, len(captions), shuffled) if as_json else _as_table(scores, len(captions), shuffled)
    )


def _as_json(scores: "dict[str, report.Score]", clips: int, shuffled: int | None) -> str:
    from seqkit.audio.evaluation import report

    told = {name: dataclasses.asdict(score) for name, score in scores.items()}
    return json.dumps({"clips": clips, "shuffled": shuffled, "scores": told, "not run": report.NOT_RUN})


def _as_table(scores: "dict[str, report.Score]", clips: int, shuffled: int | None) -> str:
    from seqkit.audio.evaluation import report

    of = "" if shuffled is None else f", captions shuffled (seed {shuffled})"
    lines = [f"{'metric':<18}{'value':>8}   95 % interval over {clips} clips{of}"]
    lines += [
        f"{name:<18}{score.value:8.4f}   {score.low:.4f} to {score.high:.4f}"
        for name, score in scores.items()
    ]
    lines += [f"{name:<18} not run   {why}" for name, why in report.NOT_RUN.items()]
    return "\n".join(lines)
