"""A recording as clips: both modalities in step, window by window, in bounded memory.

Knows files, faces and windows; not models. A window ends where it is quiet, if it can, or
without sound where the lips are still. Who
talks is decided in every window anew, but faces keep their numbers. What is missing is told
in notes, not errors, unless it is the only thing that was asked for. Of windows without a
face there are no pictures, and of silent ones no sound: nothing is given to invent from.

Shape suffixes: S samples, T frames, H rows, W columns.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
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

__all__ = ["MODALITIES", "Piece", "Recording", "RecordingConfig", "length_of"]

#: What may be asked for: whatever there is; both; one.
MODALITIES = ("auto", "av", "audio", "video")
#: Frames over which power and motion are averaged when a cut is looked for.
QUIET = 5
#: Frames of a pause, at least; what of the power and of the motion of lively frames it may have.
PAUSE, BELOW, STILL = 10, 0.02, 0.4
#: Frames of a pause that are left for what follows: lips are still before a sentence is at its end.
LEAD = 10
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
        if self.face is not None and self.modality == "audio":
            raise errors.UsageError("a face is of no use where sound alone is read", hint="--face")
        if not 1 <= self.seconds <= 60:
            raise errors.UsageError("a window is 1 to 60 s long", hint="--window")


def length_of(source: str | Path | bytes, file: str | None = None) -> float | None:
    """How many seconds a file says it lasts; None where it does not say.

    Raises
    ------
    DataError
        if the file cannot be read.
    """
    with audio.opened(source, file) as container:
        return None if container.duration is None else container.duration / av.time_base


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
            frames = _length(held, most, self._liveliness(sound, sight, looker))
            yield self._piece(first, frames, sound, sight, looker)
            first += frames
        if not first:
            raise errors.DataError("holds neither sound nor pictures", file=self.name)
        self._conclude(looker)

    def _liveliness(
        self, sound: "_Sound | None", sight: "_Sight | None", looker: Looker | None
    ) -> "_Liveliness":
        """How lively the frames are that are there."""
        if sound and sound.loud():
            return _Liveliness(sound.power(), BELOW)
        if sight and looker and len(sight.frames) > REST:
            if looker.place is None:
                looker.look(sight.frames[:REST])
            if looker.place is not None:
                return _Liveliness(sight.motion(looker.place), STILL, LEAD)
        return _Liveliness(np.zeros(0), 0.0)

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
            audio.require_whole(self._source, self.name)
            lacking = " and ".join(f"no {called[name]}" for name in missing)
            raise errors.DataError(f"has {lacking}", file=self.name, hint="--modality")
        if missing:
            self.notes.append(f"has no {called[missing[0]]}; {next(iter(used))} alone is used")
        return used


@dataclasses.dataclass(frozen=True)
class _Liveliness:
    """Power or motion of frames, what share of that of lively frames is a pause, and how much of one is
    left."""

    of_T: npt.NDArray[np.float64]
    share: float
    lead: int = 1 << 30


def _length(held: int, most: int, lively: _Liveliness) -> int:
    """How many of so many frames that are there a window has: to a pause, to the end, or to a quiet place."""
    least = min(LEAST, most // 2)
    rest = min(REST, most - least)
    if held < least + rest:
        return held
    pause = _pause(lively, least, min(most, held - rest))
    if pause is not None:
        return pause
    if held <= most:
        return held
    half = most // 2
    return half + int(lively.of_T[half:most].argmin()) if len(lively.of_T) > half else most


def _pause(lively: _Liveliness, first: int, end: int) -> int | None:
    """Where to cut in the first pause, its middle or later, if that is between two frames."""
    if not len(lively.of_T):
        return None
    still_T = lively.of_T <= lively.share * np.quantile(lively.of_T, 0.9)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still_T, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        place = max(int(start + stop) // 2, int(stop) - lively.lead)
        if stop - start >= PAUSE and first <= place <= end:
            return place
    return None


def _smooth(lively_T: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    return np.convolve(lively_T, np.full(QUIET, 1 / QUIET), mode="same")[: len(lively_T)].astype(np.float64)


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

    def loud(self) -> bool:
        """Whether there is anything but silence."""
        return level(self._held_S) >= SILENCE

    def power(self) -> npt.NDArray[np.float64]:
        """Mean power around each frame that is there."""
        frames = -(-len(self._held_S) // SAMPLES_PER_FRAME)
        held_S = np.pad(self._held_S, (0, frames * SAMPLES_PER_FRAME - len(self._held_S)))
        power_TS = np.square(held_S, dtype=np.float64).reshape(frames, SAMPLES_PER_FRAME)
        return _smooth(power_TS.mean(axis=1))

    def take(self, frames: int) -> npt.NDArray[np.float32]:
        """The samples of so many frames, silence added."""
        size = frames * SAMPLES_PER_FRAME
        taken_S, self._held_S = self._held_S[:size], self._held_S[size:]
        return np.pad(taken_S, (0, size - len(taken_S)))


class _Sight:
    """Frames that were read and not yet taken."""

    def __init__(self, source: str | Path | bytes, name: str, shorter: int) -> None:
        self._coming = video.read_frames(source, fps=FPS, shorter=shorter, file=name)
        self.frames: list[npt.NDArray[np.uint8]] = []

    def held(self, frames: int) -> int:
        """Frames that are there, read on until there are so many, or no more."""
        while len(self.frames) < frames:
            frame = next(self._coming, None)
            if frame is None:
                break
            self.frames.append(frame.grey_HW)
        return min(frames, len(self.frames))

    def take(self, frames: int) -> list[npt.NDArray[np.uint8]]:
        """So many frames, or as many as there are."""
        taken, self.frames = self.frames[:frames], self.frames[frames:]
        return taken

    def motion(self, place: tuple[float, float, float]) -> npt.NDArray[np.float64]:
        """How much the lower half of a face changes around each frame that is there, in grey levels."""
        x, y, width = place
        rows = slice(max(0, round(y + 0.1 * width)), max(0, round(y + 0.55 * width)), 2)
        columns = slice(max(0, round(x - 0.3 * width)), max(0, round(x + 0.3 * width)), 2)
        before_HW = self.frames[0][rows, columns].astype(np.int16)
        changes = [0.0]
        for frame_HW in self.frames[1:]:
            now_HW = frame_HW[rows, columns].astype(np.int16)
            alike = now_HW.size > 0 and now_HW.shape == before_HW.shape
            changes.append(float(np.abs(now_HW - before_HW).mean()) if alike else 0.0)
            before_HW = now_HW
        changes[0] = changes[min(1, len(changes) - 1)]
        return _smooth(np.array(changes))
