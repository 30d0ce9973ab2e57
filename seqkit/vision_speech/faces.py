"""Faces in frames: found every few frames, followed, and made smooth.

Knows frames and boxes; not mouths, files or speech. A face that is not found for a
while ends its track; frames outside all tracks have no face. Faces are found by the
cascade of Viola and Jones (CVPR 2001) that comes with OpenCV: frontal faces only.

Shape suffixes: N faces, T frames, H rows, W columns; a box is (x, y, width, height) in pixels.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from seqkit import errors

__all__ = ["CascadeFaces", "FaceConfig", "FaceFinder", "Track", "follow"]

Grey = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FaceConfig:
    """How faces are looked for and followed."""

    every: int = 5
    """Frames from one search to the next; between them faces move in a straight line."""
    smallest: float = 0.15
    """Side of the smallest face, as a share of the frame's shorter side."""
    patience: int = 2
    """Searches in a row that may miss a face before its track ends."""
    overlap: float = 0.3
    """Least intersection over union of a face with its place in the search before."""
    smooth: float = 4.0
    """Standard deviation of the Gaussian that smooths a track, in frames."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.every < 1 or self.patience < 0:
            raise errors.UsageError("every must be at least 1 and patience at least 0")
        if not 0 < self.smallest <= 1 or not 0 < self.overlap < 1 or self.smooth < 0:
            raise errors.UsageError("smallest and overlap must be within 0 and 1, smooth at least 0")


class FaceFinder(Protocol):
    """Finds the faces of one frame."""

    def find(self, grey_HW: Grey) -> Boxes:
        """Boxes (N, 4), in any order."""


class CascadeFaces:
    """Frontal faces, by OpenCV's cascade."""

    def __init__(self, config: FaceConfig = FaceConfig()) -> None:
        self.config = config
        self._cascade = cv2.CascadeClassifier(
            cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml"  # type: ignore[attr-defined]
        )
        if self._cascade.empty():
            raise errors.MissingDependencyError(
                "OpenCV has no face cascade", hint="install opencv-python-headless below version 5"
            )

    def find(self, grey_HW: Grey) -> Boxes:
        """See `FaceFinder.find`."""
        side = max(24, round(self.config.smallest * min(grey_HW.shape)))
        found = self._cascade.detectMultiScale(
            grey_HW, scaleFactor=1.12, minNeighbors=4, minSize=(side, side)
        )
        return np.asarray(found, dtype=np.float32).reshape(-1, 4)


@dataclasses.dataclass(frozen=True)
class Track:
    """A face over time.

    Attributes
    ----------
    first : number of its first frame.
    boxes_T4 : its box in every frame from there on, smooth.
    """

    first: int
    boxes_T4: Boxes

    @property
    def end(self) -> int:
        """Number of the first frame after it."""
        return self.first + len(self.boxes_T4)


def follow(frames: Sequence[Grey], finder: FaceFinder, config: FaceConfig) -> list[Track]:
    """Tracks of the faces in some frames, the longest first.

    Examples
    --------
    >>> class Still:
    ...     def find(self, grey_HW):
    ...         return np.array([[2, 3, 10, 10]], dtype=np.float32)
    >>> follow([np.zeros((20, 30), np.uint8)] * 8, Still(), FaceConfig())[0].boxes_T4.shape
    (8, 4)
    """
    searched = sorted({*range(0, len(frames), config.every), len(frames) - 1} - {-1})
    open_: list[_Sightings] = []
    closed: list[_Sightings] = []
    for number in searched:
        boxes_N4 = finder.find(frames[number])
        _assign(open_, boxes_N4, number, config)
        ended = [track for track in open_ if track.missed > config.patience]
        closed += ended
        open_ = [track for track in open_ if track.missed <= config.patience]
    tracks = [_track(sightings, config, len(frames)) for sightings in closed + open_]
    return sorted(tracks, key=lambda track: -len(track.boxes_T4))


@dataclasses.dataclass
class _Sightings:
    """Where a face was found."""

    numbers: list[int]
    boxes: list[Boxes]
    missed: int = 0


def _assign(tracks: list[_Sightings], boxes_N4: Boxes, number: int, config: FaceConfig) -> None:
    """Give every box to the track that it overlaps most, or to a new one."""
    left = list(range(len(boxes_N4)))
    pairs = [
        (_overlap(track.boxes[-1], boxes_N4[index]), order, index)
        for order, track in enumerate(tracks)
        for index in left
    ]
    taken: set[int] = set()
    for overlap, order, index in sorted(pairs, reverse=True):
        if overlap >= config.overlap and order not in taken and index in left:
            tracks[order].numbers.append(number)
            tracks[order].boxes.append(boxes_N4[index])
            tracks[order].missed = 0
            taken.add(order)
            left.remove(index)
    for order, track in enumerate(tracks):
        track.missed += order not in taken
    tracks += [_Sightings([number], [boxes_N4[index]]) for index in left]


def _overlap(a: Boxes, b: Boxes) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = float(np.prod(np.maximum(0, high - low)))
    return shared / float(np.prod(a[2:]) + np.prod(b[2:]) - shared)


def _track(sightings: _Sightings, config: FaceConfig, frames: int) -> Track:
    """Boxes between sightings by interpolation, a search's distance beyond the ends, then smoothed."""
    first = max(0, sightings.numbers[0] - config.every + 1) if sightings.numbers[0] else 0
    last = min(frames - 1, sightings.numbers[-1] + config.every - 1)
    places_T = np.arange(first, last + 1)
    boxes_K4 = np.stack(sightings.boxes)
    boxes_T4 = np.stack([np.interp(places_T, sightings.numbers, column) for column in boxes_K4.T], axis=1)
    return Track(first, _smoothed(boxes_T4, config.smooth).astype(np.float32))


def _smoothed(boxes_T4: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """Means under a Gaussian that is cut off, and weighed anew, at the ends."""
    if sigma == 0 or len(boxes_T4) == 1:
        return boxes_T4
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    total_T = np.convolve(np.ones(len(boxes_T4)), weights)[reach : reach + len(boxes_T4)]
    columns = [np.convolve(column, weights)[reach : reach + len(boxes_T4)] / total_T for column in boxes_T4.T]
    return np.stack(columns, axis=1)
