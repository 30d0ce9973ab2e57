"""A recording as clips: both modalities in step, window by window, in bounded memory.

Knows files, faces and windows; not models. A window ends where it is quiet, if it can. Who
talks is decided in every window anew. A modality that is missing is told in a note, not an
error, unless it is the only one that was asked for.

Shape suffixes: S samples, T frames, H rows, W columns.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.io import audio, video
from seqkit.vision_speech.corpus import SAMPLES_PER_FRAME
from seqkit.vision_speech.faces import CascadeFaces, FaceConfig, FaceFinder
from seqkit.vision_speech.interface import Clip
from seqkit.vision_speech.model import FPS, RATE
from seqkit.vision_speech.mouths import find_mouths

__all__ = ["MODALITIES", "Piece", "Recording", "RecordingConfig"]

#: What may be asked for: whatever there is; both; one.
MODALITIES = ("auto", "av", "audio", "video")
#: Frames over which quiet is measured when a cut is looked for.
QUIET = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordingConfig:
    """How a recording is cut.

    Attributes
    ----------
    modality : one of `MODALITIES`.
    face : which face, from 1 for the leftmost; None for the one that talks.
    seconds : length of a window, at most.
    shorter : frames whose shorter side is longer are made smaller, in pixels.
    """

    modality: str = "auto"
    face: int | None = None
    seconds: float = 12.0
    shorter: int = 480

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.modality not in MODALITIES:
            raise errors.UsageError(
                f"{self.modality!r} is none of {', '.join(MODALITIES)}", hint="--modality"
            )
        if self.face is not None and self.face < 1:
            raise errors.UsageError("faces are counted from 1", hint="--face")
        if not 1 <= self.seconds <= 60:
            raise errors.UsageError("a window is 1 to 60 s long", hint="--window")


@dataclasses.dataclass(frozen=True)
class Piece:
    """A window of a recording.

    Attributes
    ----------
    start, end : in seconds.
    clip : what is heard and seen.
    faces : faces that were followed; 0 without pictures.
    """

    start: float
    end: float
    clip: Clip
    faces: int


class Recording:
    """A recording that is read window by window.

    Parameters
    ----------
    source : path, or the bytes of a whole file.
    config : what is wanted of it.
    file : what errors call the source; the path if not given.
    finder : finds faces; OpenCV's cascade if not given.

    Raises
    ------
    DataError
        if the file cannot be read, or lacks what was asked for.
    """

    def __init__(
        self,
        source: str | Path | bytes,
        config: RecordingConfig,
        *,
        file: str | None = None,
        finder: FaceFinder | None = None,
    ) -> None:
        self.name = file or ("-" if isinstance(source, bytes) else str(source))
        self._source, self.config = source, config
        self._finder = finder
        self.notes: list[str] = []
        self.frames = self.frames_with_face = 0
        with audio.opened(source, self.name) as container:
            there = {"audio": bool(container.streams.audio), "video": video.stream_of(container) is not None}
        self.uses = self._chosen(there)

    def pieces(self) -> Iterator[Piece]:
        """Windows, in order; the counts of frames and faces grow with them.

        Raises
        ------
        DataError
            if the file is damaged.
        """
        most = round(self.config.seconds * FPS)
        sound = _Sound(self._source, self.name, most) if "audio" in self.uses else None
        sight = _Sight(self._source, self.name, self.config.shorter) if "video" in self.uses else None
        first = 0
        while True:
            heard = sound.held(most) if sound else None
            seen = sight.held(most) if sight else None
            frames = max(heard or 0, seen or 0)
            if not frames:
                break
            if frames >= most:
                frames = sound.quiet(most) if sound else most
            yield self._piece(first, frames, sound, sight)
            first += frames
        if not first:
            raise errors.DataError("holds neither sound nor pictures", file=self.name)

    def _piece(self, first: int, frames: int, sound: "_Sound | None", sight: "_Sight | None") -> Piece:
        mouths = None
        if sight:
            taken = sight.take(frames)
            if self._finder is None:
                self._finder = CascadeFaces(FaceConfig())
            mouths = find_mouths(taken, self._finder, face=self.config.face)
            self.frames += len(taken)
            self.frames_with_face += int(mouths.seen_T.sum())
        clip = Clip(
            frames=frames,
            wave_S=sound.take(frames) if sound else None,
            mouths_THW=None if mouths is None else _lengthened(mouths.grey_THW, frames),
            seen_T=None if mouths is None else _lengthened(mouths.seen_T, frames),
        )
        return Piece(first / FPS, (first + frames) / FPS, clip, mouths.faces if mouths else 0)

    def _chosen(self, there: dict[str, bool]) -> frozenset[str]:
        """What is used, of what there is and what was asked for."""
        wanted = ("audio", "video") if self.config.modality in ("auto", "av") else (self.config.modality,)
        used = frozenset(name for name in wanted if there[name])
        called = {"audio": "audio track", "video": "video track"}
        missing = [name for name in wanted if not there[name]]
        if not used:
            lacking = " and ".join(f"no {called[name]}" for name in missing)
            raise errors.DataError(f"has {lacking}", file=self.name, hint="--modality")
        if missing and self.config.modality == "av":
            self.notes.append(f"has no {called[missing[0]]}; {next(iter(used))} alone is used")
        return used


def _lengthened(table: npt.NDArray[Any], frames: int) -> npt.NDArray[Any]:
    """As many frames, zeros added where pictures end before the sound."""
    lacking = frames - len(table)
    return np.pad(table, [(0, lacking)] + [(0, 0)] * (table.ndim - 1)) if lacking > 0 else table


class _Sound:
    """Samples that were read and not yet taken."""

    def __init__(self, source: str | Path | bytes, name: str, most: int) -> None:
        self._blocks = audio.read_blocks(source, RATE, most / FPS, file=name)
        self._held_S = np.zeros(0, np.float32)

    def held(self, frames: int) -> int:
        """Frames that are there, read on until there are so many, or no more."""
        while len(self._held_S) < frames * SAMPLES_PER_FRAME:
            block_S = next(self._blocks, None)
            if block_S is None:
                break
            self._held_S = np.concatenate([self._held_S, block_S])
        return min(frames, -(-len(self._held_S) // SAMPLES_PER_FRAME))

    def quiet(self, most: int) -> int:
        """The quietest place to cut in the second half of so many frames."""
        power_T = np.square(self._held_S[: most * SAMPLES_PER_FRAME]).reshape(-1, SAMPLES_PER_FRAME)
        smooth_T = np.convolve(power_T.mean(axis=1), np.ones(QUIET), mode="same")
        half = most // 2
        return half + int(smooth_T[half:].argmin())

    def take(self, frames: int) -> npt.NDArray[np.float32]:
        """The samples of so many frames, silence added."""
        size = frames * SAMPLES_PER_FRAME
        taken_S, self._held_S = self._held_S[:size], self._held_S[size:]
        return np.pad(taken_S, (0, size - len(taken_S)))


class _Sight:
    """Frames that were read and not yet taken."""

    def __init__(self, source: str | Path | bytes, name: str, shorter: int) -> None:
        self._frames = video.read_frames(source, fps=FPS, shorter=shorter, file=name)
        self._held: list[npt.NDArray[np.uint8]] = []

    def held(self, frames: int) -> int:
        """Frames that are there, read on until there are so many, or no more."""
        while len(self._held) < frames:
            frame = next(self._frames, None)
            if frame is None:
                break
            self._held.append(frame.grey_HW)
        return min(frames, len(self._held))

    def take(self, frames: int) -> list[npt.NDArray[np.uint8]]:
        """So many frames, or as many as there are."""
        taken, self._held = self._held[:frames], self._held[frames:]
        return taken
