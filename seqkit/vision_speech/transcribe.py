"""From a file to segments with words: windows, batches, a transcriber, and what was left out.

Knows recordings and transcribers; not networks. Windows in which nothing was said give no segment.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from seqkit.io import segments
from seqkit.io.segments import Segment
from seqkit.vision_speech.interface import Heard, Transcriber
from seqkit.vision_speech.recording import Piece, Recording, RecordingConfig

__all__ = ["transcribe_file"]

#: Windows at a time.
BATCH = 4


def transcribe_file(
    source: str | Path | bytes,
    transcriber: Transcriber,
    config: RecordingConfig,
    *,
    file: str | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Segment]:
    """Segments of a file, in order; memory holds a few windows.

    Parameters
    ----------
    note : told what is missing: a modality, faces.

    Raises
    ------
    DataError
        if the file cannot be read, or lacks what was asked for.
    """
    if config.modality == "auto" and transcriber.uses == {"audio"}:
        config = dataclasses.replace(config, modality="audio")
    recording = Recording(source, config, file=file)
    for text in recording.notes:
        note(text)
    batch: list[Piece] = []
    for piece in recording.pieces():
        batch.append(piece)
        if len(batch) == BATCH:
            yield from _of_batch(batch, transcriber, recording.name)
            batch = []
    yield from _of_batch(batch, transcriber, recording.name)
    unseen = recording.frames - recording.frames_with_face
    if unseen:
        note(f"no face in {unseen} of {recording.frames} frames")


def _of_batch(batch: list[Piece], transcriber: Transcriber, name: str) -> Iterator[Segment]:
    if not batch:
        return
    heard = transcriber.transcribe([piece.clip for piece in batch])
    for piece, told in zip(batch, heard, strict=True):
        if told.text:
            yield _segment(piece, told, name)


def _segment(piece: Piece, told: Heard, name: str) -> Segment:
    words = tuple(
        segments.Word(word.text, round(piece.start + word.start, 3), round(piece.start + word.end, 3))
        for word in told.words
    )
    return Segment(
        file=name,
        start=words[0].start if words else piece.start,
        end=words[-1].end if words else piece.end,
        text=told.text,
        score=told.score,
        words=words,
    )
