"""`seqkit caption train` and `train-encoder`: make captioning models and sound encoders.

Parses and prints; what is done lives in `seqkit.audio.captioning.training` and
`seqkit.audio.encoders.training`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["train", "train_encoder"]


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="sounds-small, or a TOML file.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the result.")],
    data: Annotated[str, typer.Option(metavar="DIR", help="Folder of the recipe's files.")],
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoints in --out, if any.")] = True,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many; the same command goes on.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, instead of the recipe's.")] = None,
    infonce: Annotated[
        float | None, typer.Option(min=0, help="Weight of drawing clips to captions; 0 is off.")
    ] = None,
    mixtures: Annotated[
        int | None, typer.Option(min=0, help="Mixtures of two sounds with joined captions; 0 is off.")
    ] = None,
    text_share: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Share of captions without sound; 0 is off.")
    ] = None,
    spec_augment: Annotated[
        bool | None, typer.Option("--spec-augment/--no-spec-augment", help="Hide parts of spectra.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
) -> None:
    """Train a captioning model. Interrupted, the same command goes on where it stopped."""
    from seqkit.audio.captioning import recipe as recipes
    from seqkit.audio.captioning import training
    from seqkit.io import audio
    from seqkit.models import continuation

    continuation.use_threads(threads)
    chosen = recipes.load_recipe(
        recipe,
        steps=steps,
        seed=seed,
        infonce=infonce,
        mixtures=mixtures,
        text_share=text_share,
        spec_augment=spec_augment,
    )
    with stage_bar() as advance:
        result = training.train_captions(
            chosen,
            out=Path(out),
            data=Path(data),
            load=lambda path, rate: audio.load(path, rate, limit=60.0),
            resume=resume,
            minutes=minutes,
            on_step=lambda what, progress, steps: advance(what, progress.step, steps, progress.losses[-1]),
            on_listen=lambda done, total: advance("listening", done, total, None),
        )
    state = "finished" if result.finished else "stopped; the same command goes on"
    steps_done = 0 if result.caption is None else result.caption.step
    print(f"seqkit: {out}: {steps_done} steps of captions, {state}", file=sys.stderr)


def train_encoder(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="sounds-small, patches-masked, patches-labels, or a TOML file."
        ),
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the result.")],
    data: Annotated[str, typer.Option(metavar="DIR", help="Folder of the recipe's manifest and labels.")],
    start: Annotated[
        str | None, typer.Option(metavar="DIR", help="An encoder whose weights are begun with.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out, if any.")] = True,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many; the same command goes on.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, instead of the recipe's.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
) -> None:
    """Train a sound encoder. Interrupted, the same command goes on where it stopped."""
    from seqkit.audio.encoders import training
    from seqkit.io import audio

    with stage_bar() as advance:
        progress = training.train_encoder(
            recipe,
            out=out,
            data=data,
            load=lambda path, rate: audio.load(path, rate),
            start=start,
            resume=resume,
            minutes=minutes,
            steps=steps,
            seed=seed,
            device=device,
            threads=threads,
            on_read=lambda done, total: advance("reading", done, total, None),
            on_step=lambda done, total: advance("training", done.step, total, done.losses[-1]),
        )
    state = "finished" if progress.finished else "stopped; the same command goes on"
    print(
        f"seqkit: {out}: {progress.step} steps in {progress.seconds / 60:.1f} minutes, {state}",
        file=sys.stderr,
    )


@contextmanager
def stage_bar() -> Iterator[Any]:
    """Show what is done, how far, the loss and the time left on a terminal; nothing in a pipe or a log."""
    if not sys.stderr.isatty():
        yield lambda what, done, total, loss: None
        return
    from rich import console, progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TextColumn("{task.completed:,.0f} of {task.total:,.0f}  {task.fields[loss]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int, loss: float | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total, loss="")
            told = "" if loss is None else f"loss {loss:.3f}"
            bars.update(tasks[what], completed=done, total=total, loss=told)

        yield advance
