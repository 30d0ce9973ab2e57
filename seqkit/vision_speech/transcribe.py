"""From a file to segments with words: windows, batches, a transcriber, and what was left out.

Knows recordings and transcribers; not networks. Windows in which nothing was said give no segment;
a file in which nothing was said gives one, without text.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

from seqkit import errors
from seqkit.io import segments
from seqkit.io.segments import Segment
from seqkit.vision_speech.faces import FaceFinder
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
    finder: FaceFinder | None = None,
    note: Callable[[str], None] = lambda text: None,
    remark: Callable[[str], None] | None = None,
    advance: Callable[[float], None] = lambda seconds: None,
) -> Iterator[Segment]:
    """Segments of a file, in order; memory holds a few windows.

    Parameters
    ----------
    file : what segments and errors call the source; the path if not given.
    finder : finds faces; OpenCV's cascade if not given.
    transcriber : one that has a `longest` is given windows of at most so many seconds.
    note : told what is missing of this file: speech, faces.
    remark : told what may be the same of many files: a missing track, windows that are shorter than asked
        for; `note` if not given.
    advance : told how many more seconds are done.

    Raises
    ------
    DataError
        if the file cannot be read, or lacks what was asked for.
    UsageError
        if the transcriber cannot use what was asked for.
    """
    used, remark = _usable(config, transcriber.uses), remark or note
    # Only some transcribers have a longest window.
    longest: float = getattr(transcriber, "longest", math.inf)
    if used.seconds > longest:
        used = dataclasses.replace(used, seconds=longest)
        remark(f"windows are at most {longest:g} s long: the model reads no more at once")
    recording = Recording(source, used, file=file, finder=finder)
    for text in recording.notes:
        remark(text)
    told, said, end = len(recording.notes), False, 0.0
    for batch in _batches(recording.pieces()):
        for segment in _of_batch(batch, transcriber, recording.name):
            said = True
            yield segment
        advance(batch[-1].end - end)
        end = batch[-1].end
    if not said:
        yield Segment(file=recording.name, start=0.0, end=end, text="", score=0.0)
    for text in recording.notes[told:]:
        note(text)


def _usable(config: RecordingConfig, uses: frozenset[str]) -> RecordingConfig:
    """Options without what a transcriber has no use for."""
    asked = {"auto": set(), "av": {"audio", "video"}}.get(config.modality, {config.modality})
    if not asked <= uses:
        raise errors.UsageError(f"the model can use {' and '.join(sorted(uses))} only", hint="--modality")
    if config.modality == "auto" and len(uses) == 1:
        return dataclasses.replace(config, modality=next(iter(uses)))
    return config


def _batches(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    while batch := list(itertools.islice(pieces, BATCH)):
        yield batch


def _of_batch(batch: list[Piece], transcriber: Transcriber, name: str) -> Iterator[Segment]:
    given = [piece for piece in batch if piece.clip.wave_S is not None or piece.clip.mouths_THW is not None]
    heard = transcriber.transcribe([piece.clip for piece in given]) if given else []
    for piece, told in zip(given, heard, strict=True):
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
