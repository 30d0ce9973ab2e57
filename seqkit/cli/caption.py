"""`seqkit caption`: sounds in, sentences out.

Parses and prints; `seqkit.audio.captioning` does the work.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from seqkit.cli import caption_eval, caption_train, media, progress

__all__ = ["app"]

app = typer.Typer(cls=media.PathsGroup, pretty_exceptions_enable=False, add_completion=False)


@app.command(media.RUN, hidden=True)
def run(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Sounds or videos, folders, patterns; - is standard input."),
    ],
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="sounds-small, or the folder of a model."),
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
    n_best: Annotated[int, typer.Option(min=1, help="Captions of a window.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time.")] = 8,
    decoder: Annotated[str, typer.Option(help="sample, beam, diverse or conditional.")] = "sample",
    candidates: Annotated[int, typer.Option(min=1, help="Captions that are drawn and ranked.")] = 20,
    classifier: Annotated[
        str | None, typer.Option(metavar="DIR", help="What guides `--decoder conditional`.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of drawing.")] = 0,
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
    offline: Annotated[
        bool, typer.Option("--offline", help="Touch no network; the shipped model never does.")
    ] = False,
) -> None:
    """Say what is heard: `seqkit caption clip.wav`.

    A line for every window of 10 s, with its times and a score between 0 and 1: how likely the caption names
    the source. Silent windows are called silence. A file that cannot be read is named, the others are
    captioned all the same, and the exit code is 1.

    Also `seqkit caption train`, `train-encoder` and `eval`; a file of such a name is `./train`.
    """
    from seqkit.audio.captioning import choosing, describe

    describer = choosing.describer(
        model,
        method=decoder,
        candidates=candidates,
        classifier=classifier,
        seed=seed,
        threads=threads,
        offline=offline,
    )
    config = describe.WindowConfig(
        seconds=window, silence=silence_db, batch=batch_size, n_best=n_best, join=join
    )

    def segments_of(file: str) -> Iterator[Any]:
        with media.on_disk(file) as source:
            yield from describe.describe_file(source, describer, config, file=file)

    files = media.expand(inputs, recursive=recursive)
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


app.command("train")(caption_train.train)
app.command("train-encoder")(caption_train.train_encoder)
app.command("eval")(caption_eval.evaluate)
