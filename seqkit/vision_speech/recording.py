"""A recording as clips: both modalities in step, window by window, in bounded memory.

Knows files, faces and windows; not models. A window ends where it is quiet, if it can. Who
talks is decided in every window anew, but faces keep their numbers. What is missing is told
in notes, not errors, unless it is the only thing that was asked for. Of windows without a
face there are no pictures, and of silent ones no sound: nothing is given to invent from.

Shape suffixes: S samples, T frames, H rows, W columns.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.audio.windows import level
from seqkit.io import audio, video
from seqkit.vision_speech.corpus import SAMPLES_PER_FRAME
from seqkit.vision_speech.faces import FaceFinder
from seqkit.vision_speech.interface import Clip
from seqkit.vision_speech.model import FPS, RATE
from seqkit.vision_speech.people import Looker

__all__ = ["MODALITIES", "Piece", "Recording", "RecordingConfig"]

#: What may be asked for: whatever there is; both; one.
MODALITIES = ("auto", "av", "audio", "video")
#: Frames over which quiet is measured when a cut is looked for.
QUIET = 5
#: Frames that are quiet in a pause, at least, and how far it lies below loud frames, in power.
PAUSE, BELOW = 10, 0.02
#: Frames of the shortest window that ends in a pause, and of the shortest rest.
LEAST, REST = 50, 30
#: Windows below this level are silent, in dB of full scale.
SILENCE = -60.0


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
    faces : faces that were seen.
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
        self._loud = False
        with audio.opened(source, self.name) as container:
            there = {"audio": bool(container.streams.audio), "video": video.stream_of(container) is not None}
        self.uses = self._chosen(there)

    def pieces(self) -> Iterator[Piece]:
        """Windows, in order; the counts of frames and faces grow with them, and notes at the end.

        Raises
        ------
        DataError
            if the file is damaged, or the face that was asked for is never seen.
        """
        most = round(self.config.seconds * FPS)
        sound = _Sound(self._source, self.name, most) if "audio" in self.uses else None
        sight = _Sight(self._source, self.name, self.config.shorter) if "video" in self.uses else None
        looker = Looker(self.config.face, self._finder) if sight else None
        first = 0
        while True:
            held = max(one.held(most + REST) if one else 0 for one in (sound, sight))
            if not held:
                break
            frames = _length(held, most, sound)
            yield self._piece(first, frames, sound, sight, looker)
            first += frames
        if not first:
            raise errors.DataError("holds neither sound nor pictures", file=self.name)
        self._conclude(looker)

    def _piece(
        self, first: int, frames: int, sound: "_Sound | None", sight: "_Sight | None", looker: Looker | None
    ) -> Piece:
        wave_S = sound.take(frames) if sound else None
        mouths_THW = seen_T = None
        faces = 0
        taken = sight.take(frames) if sight else []
        if looker and taken:
            look = looker.look(taken)
            faces = len(look.people)
            self.frames += len(taken)
            self.frames_with_face += int(look.mouths.seen_T.sum())
            if look.mouths.seen_T.any():
                mouths_THW = _lengthened(look.mouths.grey_THW, frames)
                seen_T = _lengthened(look.mouths.seen_T, frames)
        if wave_S is not None and level(wave_S) < SILENCE:
            wave_S = None
            if self._loud:
                mouths_THW = seen_T = None  # a pause; where all is silent, the sound was muted
        self._loud |= wave_S is not None
        clip = Clip(frames, wave_S, mouths_THW, seen_T)
        return Piece(first / FPS, (first + frames) / FPS, clip, faces)

    def _conclude(self, looker: Looker | None) -> None:
        """Notes on what was missing."""
        wanted, known = self.config.face, looker.known if looker else 0
        if wanted is not None and looker and not self.frames_with_face and known:
            raise errors.DataError(f"has no face {wanted}: {known} were found", file=self.name, hint="--face")
        if "audio" in self.uses and not self._loud:
            self.notes.append("the sound is silent" + ("; video alone is used" if known else ""))
        unseen = self.frames - self.frames_with_face
        if unseen:
            self.notes.append(f"no face in {unseen} of {self.frames} frames")

    def _chosen(self, there: dict[str, bool]) -> frozenset[str]:
        """What is used, of what there is and what was asked for."""
        wanted = ("audio", "video") if self.config.modality in ("auto", "av") else (self.config.modality,)
        used = frozenset(name for name in wanted if there[name])
        called = {"audio": "audio track", "video": "video track"}
        missing = [name for name in wanted if not there[name]]
        if not used:
            lacking = " and ".join(f"no {called[name]}" for name in missing)
            raise errors.DataError(f"has {lacking}", file=self.name, hint="--modality")
        if missing:
            self.notes.append(f"has no {called[missing[0]]}; {next(iter(used))} alone is used")
        return used


def _length(held: int, most: int, sound: "_Sound | None") -> int:
    """How many of so many frames that are there a window has: to a pause, to the end, or to a quiet place."""
    least = min(LEAST, most // 2)
    rest = min(REST, most - least)
    if held < least + rest:
        return held
    pause = sound.pause(least, min(most, held - rest)) if sound else None
    if pause is not None:
        return pause
    if held <= most:
        return held
    return sound.quiet(most) if sound else most


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
        half = most // 2
        return half + int(self._power(most)[half:].argmin())

    def pause(self, first: int, end: int) -> int | None:
        """The middle of the first pause, if it is between two frames."""
        power_T = self._power(len(self._held_S) // SAMPLES_PER_FRAME)
        if not len(power_T):
            return None
        still_T = power_T <= BELOW * np.quantile(power_T, 0.9)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], still_T, [False]]).astype(np.int8)))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            middle = int(start + stop) // 2
            if stop - start >= PAUSE and first <= middle <= end:
                return middle
        return None

    def _power(self, frames: int) -> npt.NDArray[np.float64]:
        """Mean power around each of the first so many frames."""
        held_S = self._held_S[: frames * SAMPLES_PER_FRAME]
        held_S = np.pad(held_S, (0, frames * SAMPLES_PER_FRAME - len(held_S)))
        power_T = np.square(held_S, dtype=np.float64).reshape(frames, SAMPLES_PER_FRAME).mean(axis=1)
        return np.convolve(power_T, np.full(QUIET, 1 / QUIET), mode="same")[:frames]

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
