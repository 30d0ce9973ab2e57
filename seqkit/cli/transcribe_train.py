"""`seqkit transcribe train`: make speech models.

Parses and prints; what is done lives in `seqkit.vision_speech.training`.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from seqkit.cli.caption_train import stage_bar

__all__ = ["train"]


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="speech-small, or a TOML file.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the result.")],
    data: Annotated[str, typer.Option(metavar="DIR", help="Folder of the recipe's clips.")],
    start: Annotated[
        str | None, typer.Option(metavar="DIR", help="A speech model whose weights are begun with.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="cross-entropy, or pcpg: policy gradient by character error beside it.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoints in --out, if any.")] = True,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many; the same command goes on.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of every stage.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, instead of the recipe's.")] = None,
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
) -> None:
    """Train a speech model in stages. Interrupted, the same command goes on where it stopped."""
    from seqkit.models import continuation
    from seqkit.vision_speech import recipe as recipes
    from seqkit.vision_speech import training

    continuation.use_threads(threads)
    chosen = recipes.load_recipe(recipe, steps=steps, seed=seed, objective=objective)
    with stage_bar() as advance:
        result = training.train(
            chosen,
            out=Path(out),
            data=Path(data),
            start=None if start is None else Path(start),
            resume=resume,
            minutes=minutes,
            on_read=lambda done, total: advance("reading", done, total, None),
            on_step=lambda stage, progress, total: advance(stage, progress.step, total, progress.losses[-1]),
        )
    state = "finished" if result.finished else "stopped; the same command goes on"
    steps_done = sum(progress.step for progress in result.stages.values())
    print(f"seqkit: {out}: {steps_done} steps in {result.seconds / 60:.1f} minutes, {state}", file=sys.stderr)
