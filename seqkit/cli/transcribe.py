"""`seqkit transcribe`: speech in, text out.

Parses and prints; `seqkit.vision_speech` does the work.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated, Any

import typer

from seqkit.cli import media, progress, transcribe_eval, transcribe_train

__all__ = ["app"]

app = typer.Typer(cls=media.PathsGroup, pretty_exceptions_enable=False, add_completion=False)


@app.command(media.RUN, hidden=True)
def run(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Videos or sounds, folders, patterns; - is standard input."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="speech-small, or the folder of a model.")
    ] = "speech-small",
    audio_model: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Instead: a Whisper- or wav2vec 2.0-style checkpoint."),
    ] = None,
    lips: Annotated[
        str | None, typer.Option(metavar="DIR", help="With --audio-model: lips that `attach` trained for it.")
    ] = None,
    modality: Annotated[str, typer.Option(help="auto (whatever there is), av, audio or video.")] = "auto",
    face: Annotated[
        int | None, typer.Option(min=1, help="Which face, from the left; otherwise the one that talks.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", "-f", help="txt, json, jsonl, tsv, csv, srt or vtt.")
    ] = "txt",
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
    window: Annotated[float, typer.Option(help="Longest stretch that is read at once, in seconds.")] = 12.0,
    decoder: Annotated[
        str, typer.Option(help="beam (with CTC), greedy, verified (CTC's text as draft), or ctc.")
    ] = "beam",
    beams: Annotated[int, typer.Option(min=1, help="Hypotheses that are kept.")] = 8,
    ctc_weight: Annotated[float, typer.Option(min=0, max=1, help="Share of CTC in the score.")] = 0.3,
    language_model: Annotated[
        str | None, typer.Option(metavar="FILE", help="Transcripts to learn how texts go on; a line each.")
    ] = None,
    language_weight: Annotated[float, typer.Option(min=0, help="Its weight.")] = 0.3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
    offline: Annotated[
        bool, typer.Option("--offline", help="Touch no network; nothing here ever does.")
    ] = False,
) -> None:
    """Write what is said: `seqkit transcribe talk.mp4`.

    Sound and lips are used together where both are there; what is missing is told on standard error. A file
    that cannot be read is named, the others are transcribed all the same, and the exit code is 1. The model
    that comes with the package knows the sentences of GRID only.

    Also `seqkit transcribe train`, `pretrain`, `attach`, `eval` and `inspect`; a file of such a name is
    `./train`.
    """
    from seqkit.vision_speech import choosing, recording, transcribe

    transcriber = choosing.transcriber(
        model,
        audio_model,
        lips=lips,
        method=decoder,
        beams=beams,
        ctc_weight=ctc_weight,
        language_file=language_model,
        language_weight=language_weight,
        device=device,
        threads=threads,
    )
    config = recording.RecordingConfig(modality=modality, face=face, seconds=window)

    files, notes = media.expand(inputs, recursive=recursive), _Notes()

    def segments_of(file: str) -> Iterator[Any]:
        with media.on_disk(file) as source, _within(source, file, alone=len(files) == 1) as advance:
            yield from transcribe.transcribe_file(
                source,
                transcriber,
                config,
                file=file,
                note=lambda text: notes.tell(file, text),
                remark=None if modality == "av" else lambda text: notes.tell_once(file, text),
                advance=advance,
            )

    with notes, _over(files) as advance:
        media.write_all(
            files,
            segments_of,
            form,
            out=out,
            output_dir=output_dir,
            skip_existing=skip_existing,
            advance=advance,
        )


class _Notes:
    """Notes on files, on standard error; what is the same of many is told of the first, then counted."""

    def __init__(self) -> None:
        self._others: dict[str, int] = {}

    def __enter__(self) -> None:
        pass

    def __exit__(self, *failure: object) -> None:
        for text, count in self._others.items():
            if count:
                _say(f"the same of {count:,} other {'file' if count == 1 else 'files'}: {text}")

    def tell(self, file: str, text: str) -> None:
        """Tell it of this file."""
        _say(f"{'standard input' if file == '-' else file}: {text}")

    def tell_once(self, file: str, text: str) -> None:
        """Tell it of this file if it is the first of which it is told."""
        if text in self._others:
            self._others[text] += 1
            return
        self._others[text] = 0
        self.tell(file, text)


def _say(text: str) -> None:
    print(f"seqkit: {text}", file=sys.stderr)


def _over(files: Sequence[str]) -> AbstractContextManager[Callable[[float], None]]:
    """Progress over several files."""
    if len(files) == 1:
        return nullcontext(lambda amount: None)
    return progress.progress_bar("transcribing", total=len(files), unit="files")


@contextmanager
def _within(source: str, file: str, *, alone: bool) -> Iterator[Callable[[float], None]]:
    """Progress within a file that is the only one, in seconds."""
    if not alone:
        yield lambda amount: None
        return
    from seqkit.vision_speech import recording

    length = recording.length_of(source, file)
    unit = "s" if length is None else f"of {length:,.0f} s"
    with progress.progress_bar("transcribing", total=length, unit=unit) as advance:
        yield advance


app.command("train")(transcribe_train.train)
app.command("pretrain")(transcribe_train.pretrain)
app.command("attach")(transcribe_train.attach)
app.command("eval")(transcribe_eval.evaluate)
app.command("inspect")(transcribe_eval.inspect)
