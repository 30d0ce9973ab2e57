"""`seqkit pretrain`: train a language model of nucleotides from sequence files.

Parses and prints; what is done lives in `seqkit.genomics.language`.
"""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from seqkit.cli import progress

__all__ = ["command"]

TOKENIZER = "letters, 6mer, 6mer-overlapping, a tokenizer.json, or bpe:N: N tokens learned from the data."


def command(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the model.")],
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="FASTA or FASTQ, plain or compressed.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Options from a file, TOML or JSON."),
    ] = None,
    arch: Annotated[str | None, typer.Option(help="dnabert2, metagene or generator.")] = None,
    size: Annotated[str | None, typer.Option(help="tiny, small, medium or published.")] = None,
    tokenizer: Annotated[str | None, typer.Option("--tokenizer", "-t", help=TOKENIZER)] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the whole schedule.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of a step.")] = None,
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="Parts of a step, one after the other: less memory.")
    ] = None,
    context: Annotated[int | None, typer.Option(min=8, help="Tokens of a row.")] = None,
    d_model: Annotated[int | None, typer.Option(min=1, help="Width.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Layers.")] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="Heads of attention.")] = None,
    kv_heads: Annotated[int | None, typer.Option(min=1, help="Heads of keys and values.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    warmup: Annotated[int | None, typer.Option(min=0, help="Steps of warm-up.")] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="REGION|BED", help="Never read this: NAME, NAME:START-END, BED."),
    ] = None,
    exclude_sequences: Annotated[
        list[str] | None,
        typer.Option(metavar="FASTA|CSV", help="Never read where these sequences lie (tests). Repeat."),
    ] = None,
    held_out: Annotated[float | None, typer.Option(help="Share kept for evaluation.")] = None,
    both_strands: Annotated[
        bool | None, typer.Option("--both-strands/--one-strand", help="Turn pieces over at random.")
    ] = None,
    evaluate_every: Annotated[int | None, typer.Option(min=0, help="Steps between evaluations.")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16, float32 or auto.")] = None,
    weights: Annotated[str | None, typer.Option(help="Save weights in float32 or bfloat16.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Everything random follows from it.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many; the same command goes on.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out, if any.")] = True,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where a recipe's files are.", envvar="SEQKIT_DEV_DATA"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="Threads; 0 lets torch choose.")] = 0,
) -> None:
    """Train a language model of nucleotides: `seqkit pretrain genome.fa.gz -o my-model`.

    Interrupted or killed, the same command goes on where it stopped. Past one GPU, divide the model (FSDP):
    `torchrun --nproc-per-node 8 --no-python seqkit pretrain ...`.
    """
    given = {key: value for key, value in locals().items() if key not in _NOT_OF_RECIPE}
    for name in ("paths", "exclude", "exclude_sequences"):
        given[name] = tuple(given[name] or ())
    from seqkit.genomics.language import pretraining
    from seqkit.genomics.language import recipe as recipes
    from seqkit.training import processes

    chosen = recipes.load(recipe, given)
    near = Path(recipe).parent if recipe and Path(recipe).is_file() else None
    with (
        processes.joined(device) as world,
        progress.progress_bar("reading", unit="bases") as advance,
        _training_bar() as show,
    ):
        result = pretraining.pretrain(
            chosen,
            out,
            data=data,
            near=near,
            resume=resume,
            minutes=minutes,
            device=device,
            threads=threads,
            command=shlex.join(["seqkit", *map(_shown, sys.argv[1:])]),
            on_read=advance,
            on_step=show if world.is_first else None,
            world=world,
        )
    if world.is_first:
        _tell(out, result)


_NOT_OF_RECIPE = ("out", "recipe", "minutes", "resume", "data", "device", "threads")


def _shown(argument: str) -> str:
    """An argument as a card may tell it to anyone: without the folders of whoever typed it."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def _tell(out: Path, result: Any) -> None:
    done = result.progress
    state = "finished" if done.finished else "stopped; the same command goes on"
    speed = done.step * result.tokens_per_step / max(done.seconds, 1e-9)
    print(
        f"seqkit: {out}: {result.parameters:,} parameters, {result.corpus['train']:,} bases; "
        f"{done.step} steps in {done.seconds / 60:.1f} minutes, {speed:,.0f} tokens/s, {state}",
        file=sys.stderr,
    )
    if result.processes > 1:
        print(
            f"seqkit: {result.processes} processes, {result.share:,} parameters in the first", file=sys.stderr
        )
    for found in done.evaluations[-1:]:
        bits = f", {found['bits_per_base']:.4f} bits per base" if "bits_per_base" in found else ""
        print(f"seqkit: held out: {found['loss']:.4f} nats per token{bits}", file=sys.stderr)


@contextmanager
def _training_bar() -> Iterator[Callable[[Any, int, int], None] | None]:
    """Show loss, tokens per second and time left on a terminal; nothing in a pipe or a log."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import console
    from rich import progress as bars

    columns = (
        bars.TextColumn("training"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:,.0f} tokens/s"),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console.Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None, loss=float("nan"), speed=0.0, visible=False)

        def show(done: Any, steps: int, tokens: int) -> None:
            recent = done.losses[-20:]
            speed = done.step * tokens / max(done.seconds, 1e-9)
            loss = sum(recent) / len(recent)
            shown.update(task, total=steps, completed=done.step, loss=loss, speed=speed, visible=True)

        yield show
