"""`seqkit transcribe train`, `pretrain` and `attach`: make speech models.

Parses and prints; what is done lives in `seqkit.vision_speech`.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqkit.cli.caption_train import stage_bar

if TYPE_CHECKING:
    from seqkit.training.loop import LoopConfig, Progress

__all__ = ["attach", "pretrain", "train"]


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="speech-small, or a TOML file.")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the result.")],
    data: Annotated[str, typer.Option(metavar="DIR", help="Folder of the recipe's clips.")],
    start: Annotated[
        str | None, typer.Option(metavar="DIR", help="A speech model, or what `pretrain video` made.")
    ] = None,
    audio_start: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Hear by this wav2vec 2.0 model: what `pretrain audio` made, or its like."
        ),
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="cross-entropy, or pcpg: policy gradient by character error beside it.")
    ] = None,
    pcpg_window: Annotated[
        int | None,
        typer.Option(min=1, help="Characters that pcpg looks at together; 1 is plain policy gradient."),
    ] = None,
    pcpg_stride: Annotated[
        int | None, typer.Option(min=1, help="Characters from one window of pcpg to the next.")
    ] = None,
    pcpg_weight: Annotated[
        float | None, typer.Option(min=0, help="Of pcpg's loss beside that of cross-entropy.")
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
    chosen = recipes.load_recipe(
        recipe,
        steps=steps,
        seed=seed,
        objective=objective,
        pcpg_window=pcpg_window,
        pcpg_stride=pcpg_stride,
        pcpg_weight=pcpg_weight,
    )
    with stage_bar() as advance:
        result = training.train(
            chosen,
            out=Path(out),
            data=Path(data),
            start=None if start is None else Path(start),
            audio_start=None if audio_start is None else Path(audio_start),
            resume=resume,
            minutes=minutes,
            on_read=lambda done, total: advance("reading", done, total, None),
            on_step=lambda stage, progress, total: advance(stage, progress.step, total, progress.losses[-1]),
        )
    state = "finished" if result.finished else "stopped; the same command goes on"
    steps_done = sum(progress.step for progress in result.stages.values())
    print(f"seqkit: {out}: {steps_done} steps in {result.seconds / 60:.1f} minutes, {state}", file=sys.stderr)


def pretrain(
    modality: Annotated[
        str, typer.Argument(metavar="MODALITY", help="audio (wav2vec 2.0), video (MoCo v2).")
    ],
    manifest: Annotated[
        str, typer.Argument(metavar="MANIFEST", help="JSON lines with file, or a GRID speaker's folder.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the result.")],
    without: Annotated[
        str | None, typer.Option(metavar="FILE", help="Names of clips that are not read, a line each.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the schedule.")] = 2000,
    batch: Annotated[int | None, typer.Option(min=2, help="Pictures, or clips, in a batch.")] = None,
    learning_rate: Annotated[float, typer.Option(min=0, help="Peak rate.")] = 1e-3,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out, if any.")] = True,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many; the same command goes on.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
) -> None:
    """Learn from sounds or lips without texts. Interrupted, the same command goes on where it stopped.

    What `video` makes is a start for `train --start`; what `audio` makes is one for `train --audio-start`, a
    wav2vec 2.0 folder in transformers' layout.
    """
    from seqkit.models import continuation
    from seqkit.vision_speech import selfsupervision

    continuation.use_threads(threads)
    options = {"seed": seed} if batch is None else {"seed": seed, "batch": batch}
    with stage_bar() as advance:
        progress = selfsupervision.pretrain(
            modality,
            Path(manifest),
            Path(out),
            _schedule(steps, learning_rate),
            held_out=_left_out(without),
            options=options,
            resume=resume,
            minutes=minutes,
            on_read=lambda done, total: advance("reading", done, total, None),
            on_step=lambda progress: advance(modality, progress.step, steps, progress.losses[-1]),
        )
    _tell(out, progress)


def _left_out(without: str | None) -> frozenset[str]:
    """Names of clips that are not read."""
    from seqkit.vision_speech import manifest, recipe

    return frozenset() if without is None else manifest.read_names(recipe.names_file(without, Path()))


def _schedule(steps: int, learning_rate: float) -> "LoopConfig":
    """A short warm-up, and nothing measured on the way."""
    from seqkit.training import loop

    return loop.LoopConfig(
        steps=steps, learning_rate=learning_rate, warmup=min(100, steps // 10), evaluate_every=0
    )


def _tell(out: str, progress: "Progress") -> None:
    state = "finished" if progress.finished else "stopped; the same command goes on"
    print(
        f"seqkit: {out}: {progress.step} steps in {progress.seconds / 60:.1f} minutes, {state}",
        file=sys.stderr,
    )


def attach(
    manifest: Annotated[
        str,
        typer.Argument(metavar="MANIFEST", help="JSON lines of file and text, or a GRID speaker's folder."),
    ],
    audio_model: Annotated[
        str, typer.Option(metavar="DIR", help="A Whisper-style checkpoint; it stays as it is.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder of the lips.")],
    visual: Annotated[
        str, typer.Option(help="The model whose lips are seen: speech-small, or a folder.")
    ] = "speech-small",
    without: Annotated[
        str | None, typer.Option(metavar="FILE", help="Names of clips that are not read, a line each.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the schedule.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Clips in a batch.")] = 8,
    learning_rate: Annotated[float, typer.Option(min=0, help="Peak rate.")] = 1e-3,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out, if any.")] = True,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many; the same command goes on.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
) -> None:
    """Train lips for a Whisper-style checkpoint: gated cross-attention into its frozen decoder.

    Then `seqkit transcribe talk.mp4 --audio-model DIR --lips DIR` reads sound and lips together.
    """
    from seqkit.models import continuation
    from seqkit.vision_speech import attaching

    continuation.use_threads(threads)
    with stage_bar() as advance:
        progress = attaching.attach(
            Path(audio_model),
            Path(manifest),
            Path(out),
            _schedule(steps, learning_rate),
            attaching.AttachConfig(visual=visual, batch=batch, seed=seed),
            held_out=_left_out(without),
            resume=resume,
            minutes=minutes,
            on_read=lambda done, total: advance("reading", done, total, None),
            on_step=lambda progress: advance("lips", progress.step, steps, progress.losses[-1]),
        )
    _tell(out, progress)
