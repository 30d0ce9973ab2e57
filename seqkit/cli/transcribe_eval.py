"""`seqkit transcribe eval` and `inspect`: how well a model reads, and what it sees.

Parses and prints; `seqkit.vision_speech` does the work.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from seqkit import errors
from seqkit.cli import media, progress

__all__ = ["evaluate", "inspect"]


def evaluate(
    manifest: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST",
            help="JSON lines or a table of file and text, or a GRID speaker's folder; - is standard input.",
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="speech-small, or the folder of a model.")
    ] = "speech-small",
    audio_model: Annotated[
        str | None, typer.Option(metavar="DIR", help="Instead: a Whisper- or wav2vec 2.0-style checkpoint.")
    ] = None,
    lips: Annotated[
        str | None, typer.Option(metavar="DIR", help="With --audio-model: lips that `attach` trained for it.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Names of clips, a line each: no others are read."),
    ] = None,
    modalities: Annotated[str, typer.Option(help="audio, video, av, comma-separated.")] = "audio,video,av",
    babble: Annotated[
        str, typer.Option(metavar="DB,...", help="Signal-to-noise ratios of babble out of the other clips.")
    ] = "",
    decoder: Annotated[str, typer.Option(help="beam, greedy, verified or ctc.")] = "beam",
    beams: Annotated[int, typer.Option(min=1, help="Hypotheses that are kept.")] = 8,
    ctc_weight: Annotated[float, typer.Option(min=0, max=1, help="Share of CTC in the score.")] = 0.3,
    language_model: Annotated[
        str | None, typer.Option(metavar="FILE", help="Transcripts; those of the clips are left out of it.")
    ] = None,
    language_weight: Annotated[float, typer.Option(min=0, help="Its weight.")] = 0.3,
    keep: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Keep what is read of the clips there."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of babble and resamples.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", "-t", min=0, help="Threads; 0 for all cores.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every text.")] = False,
) -> None:
    """Word and character error rates with their 95 % intervals over clips, by modality and noise."""
    from seqkit.vision_speech import choosing, corpus, evaluation, recipe
    from seqkit.vision_speech import manifest as manifests

    lines = manifests.read(manifest)
    if only is not None:
        names = manifests.read_names(recipe.names_file(only, Path()))
        lines = [line for line in lines if line.name in names]
    if not lines:
        raise errors.DataError("lists none of these clips", file=manifest, hint="--only")
    transcriber = choosing.transcriber(
        model,
        audio_model,
        lips=lips,
        method=decoder,
        beams=beams,
        ctc_weight=ctc_weight,
        language_file=language_model,
        language_without=tuple(line.text for line in lines),
        language_weight=language_weight,
        device=device,
        threads=threads,
    )
    with progress.progress_bar("reading", total=len(lines), unit="clips") as advance:
        examples = corpus.read(
            lines,
            None if keep is None else Path(keep),
            whole=False,
            on_read=lambda done, total: advance(1),
        )
    with progress.progress_bar("transcribing", unit="clips") as advance:
        cells = evaluation.evaluate(
            transcriber,
            examples,
            modalities=modalities.split(","),
            decibels=_ratios(babble),
            seed=seed,
            advance=advance,
        )
    if as_json:
        print(json.dumps({"clips": len(examples), "cells": [dataclasses.asdict(cell) for cell in cells]}))
        return
    print(
        f"{'modality':<10}{'noise':<9}{'WER %':>7}  {'95 % interval':<16}{'CER %':>7}  {len(examples)} clips"
    )
    for cell in cells:
        noise = "clean" if cell.decibels is None else f"{cell.decibels:g} dB"
        interval = f"{100 * cell.words.low:.1f} to {100 * cell.words.high:.1f}"
        print(
            f"{cell.modality:<10}{noise:<9}{100 * cell.words.value:7.1f}  {interval:<16}"
            f"{100 * cell.characters.value:7.1f}"
        )


def _ratios(told: str) -> list[float]:
    try:
        return [float(ratio) for ratio in told.split(",") if ratio.strip()]
    except ValueError as error:
        raise errors.UsageError(f"{told!r} is no list of decibels", hint="--babble 0,-5") from error


def inspect(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A video; - is standard input.")],
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="FILE", help="The picture: .png or .jpg; - is standard output."),
    ],
    face: Annotated[
        int | None, typer.Option(min=1, help="Which face, from the left; otherwise the one that talks.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="How much of the beginning.")] = 12.0,
) -> None:
    """Draw what the model sees: frames with the faces that are followed, and the mouths cut out of them."""
    from seqkit.vision_speech import sheet

    media.require_inputs_stay([path], [] if out == "-" else [Path(out)])
    name = "standard input" if path == "-" else path
    with media.on_disk(path) as source:
        frames, seen, faces = sheet.contact_sheet(source, out, face=face, seconds=seconds, file=name)
    which = "the mouth" if face is None else f"the mouth of face {face}"
    print(
        f"seqkit: {name}: {faces} {'face' if faces == 1 else 'faces'}; {which} in {seen} of {frames} frames, "
        f"no face in {frames - seen}",
        file=sys.stderr,
    )
