"""`seqkit caption eval`: captions beside what people wrote.

Parses and prints; `seqkit.audio.evaluation` does the work.
"""

import json
from typing import Annotated

import typer

__all__ = ["evaluate"]


def evaluate(
    predictions: Annotated[
        str, typer.Argument(metavar="PREDICTIONS", help="What `seqkit caption` wrote: tsv, csv, json, jsonl.")
    ],
    references: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCES", help="CSV or TSV: file (or file_name), caption_1, caption_2, ..."
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Whose sentence vectors are used; `none` leaves them out.")
    ] = "sounds-small",
    shuffled: Annotated[
        int | None, typer.Option(metavar="SEED", help="Control: captions shuffled between the clips.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score captions: CIDEr-D, BLEU, ROUGE-L, sentence vectors, each with its 95 % interval over clips.

    SPICE and SPIDEr are not computed: SPICE needs a Java program that seqkit does not run.
    """
    from seqkit.audio.captioning import describer
    from seqkit.audio.evaluation import report

    told, truth = report.matched(report.read_predictions(predictions), report.read_references(references))
    if shuffled is not None:
        told = report.shuffled(told, shuffled)
    encode = None if model == "none" else describer.load(model).encode
    scores = report.evaluate(told, truth, encode)
    if as_json:
        rows = {name: [score.value, score.low, score.high] for name, score in scores.items()}
        print(json.dumps({"clips": len(told), "shuffled": shuffled is not None, "scores": rows}))
        return
    print(f"{'metric':<18}{'value':>8}   95 % interval over {len(told)} clips")
    for name, score in scores.items():
        print(f"{name:<18}{score.value:8.4f}   {score.low:.4f} to {score.high:.4f}")
