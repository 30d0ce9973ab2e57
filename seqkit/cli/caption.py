"""`seqkit caption`: sounds in, sentences out.

Parses and prints; `seqkit.audio.captioning` does the work.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from seqkit import errors
from seqkit.cli import caption_eval, caption_train, media, progress

__all__ = ["app"]

#: Formats with a line for every caption, and those that have room for one of a window only.
LINES, ONE_TEXT = frozenset({"txt", "tsv", "csv"}), frozenset({"srt", "vtt"})

app = typer.Typer(cls=media.PathsGroup, pretty_exceptions_enable=False, add_completion=False)


@app.command(media.RUN, hidden=True)
def run(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Sounds or videos, folders, patterns; - is standard input."),
    ],
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="sounds-small, or the folder of a model, ours or transformers'."),
    ] = "sounds-small",
    form: Annotated[
        str, typer.Option("--format", "-f", help="txt, json, jsonl, tsv, csv, srt or vtt.")
    ] = "tsv",
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FILE", help="Instead of standard output.")
    ] = None,
    output_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="A file for every input, named after it.")
    ] = None,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="With --output-dir: leave out what is there.")
    ] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders' folders.")] = False,
    window: Annotated[float, typer.Option(help="Seconds that one caption is for.")] = 10.0,
    silence_db: Annotated[
        float, typer.Option(help="Windows below this level, in dB of full scale, are silence.")
    ] = -60.0,
    join: Annotated[bool, typer.Option("--join", help="Join neighbouring windows with one caption.")] = False,
    n_best: Annotated[int, typer.Option(min=1, help="Captions of a window; not in srt and vtt.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time, of any files.")] = 8,
    decoder: Annotated[
        str | None, typer.Option(help="sample, beam, diverse or conditional.", show_default="sample")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=1, help="Captions that are drawn and ranked.", show_default="20")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Of drawing: the lower, the likelier.", show_default="0.5"),
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Drawn from the likeliest of this share.", show_default="0.95")
    ] = None,
    likelihood_weight: Annotated[
        float | None, typer.Option(help="Of a token's mean log-probability in ranking.", show_default="0.3")
    ] = None,
    similarity_weight: Annotated[
        float | None, typer.Option(help="Of the cosine of clip and caption in ranking.", show_default="0.7")
    ] = None,
    fluency_filter: Annotated[
        bool | None,
        typer.Option(
            "--fluency-filter/--no-fluency-filter",
            help="Whether captions with faults of language go last.",
            show_default="yes",
        ),
    ] = None,
    classifier: Annotated[
        str | None, typer.Option(metavar="DIR", help="What guides `--decoder conditional`.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of drawing.", show_default="0")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
    offline: Annotated[
        bool, typer.Option("--offline", help="Touch no network; the shipped model never does.")
    ] = False,
) -> None:
    """Say what is heard: `seqkit caption clip.wav`.

    A line for every window of 10 s, with its times and a score between 0 and 1: how likely the caption names
    the source. With --n-best, txt, tsv and csv have a line for every caption, the best of a window first.
    Silent windows are called silence. A file that cannot be read is named, the others are
    captioned all the same, and the exit code is 1.

    Also `seqkit caption train`, `train-encoder` and `eval`; a file of such a name is `./train`.
    """
    if n_best > 1 and form in ONE_TEXT:
        raise errors.UsageError(
            f"{form} has room for one caption of a window", hint="--n-best 1, or --format json"
        )
    from seqkit.audio.captioning import choosing, describe

    describer = choosing.describer(
        model,
        n_best=n_best,
        method=decoder,
        candidates=candidates,
        temperature=temperature,
        top_p=top_p,
        likelihood=likelihood_weight,
        similarity=similarity_weight,
        filter_faults=fluency_filter,
        classifier=classifier,
        seed=seed,
        device=device,
        threads=threads,
        offline=offline,
    )
    config = describe.WindowConfig(
        seconds=window, silence=silence_db, batch=batch_size, n_best=n_best, join=join
    )
    config = describe.capped(config, describer, lambda text: print(f"seqkit: {text}", file=sys.stderr))
    files = media.expand(inputs, recursive=recursive)

    def described(some: Iterable[str]) -> Any:
        return describe.describe_files(some, describer, config, opened=media.on_disk)

    # Which files are left out shows as they come, so that none is described ahead.
    segments_of = _taken(described, files, ahead=not skip_existing, lines=form in LINES)
    with progress.progress_bar("captioning", total=len(files), unit="files") as advance:
        media.write_all(
            files,
            segments_of,
            form,
            out=out,
            output_dir=output_dir,
            skip_existing=skip_existing,
            advance=advance,
        )


def _taken(
    described: Callable[[Iterable[str]], Any], files: Iterable[str], *, ahead: bool, lines: bool
) -> Callable[[str], Iterable[Any]]:
    """What gives the segments of a file, or raises what is wrong with it.

    Parameters
    ----------
    described : files with their segments or errors, in order.
    ahead : files are described with those that follow; each is asked for, in order.
    lines : every caption of a window has a segment of its own.
    """
    from seqkit.audio.captioning import describe

    coming = described(files)

    def segments_of(file: str) -> Iterable[Any]:
        _, found = next(coming if ahead else described([file]))
        if isinstance(found, errors.SeqkitError):
            raise found
        return [one for segment in found for one in describe.apart(segment)] if lines else found

    return segments_of


app.command("train")(caption_train.train)
app.command("train-encoder")(caption_train.train_encoder)
app.command("eval")(caption_eval.evaluate)
