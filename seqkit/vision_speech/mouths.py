"""Mouths: the piece of every frame that lips are read from.

Knows a face's box and where in it a mouth is; not models. Frames without a face are
black, and counted. Of several faces the talking one is taken: that whose mouth moves
most, relative to the rest of its face.

Shape suffixes: T frames, H rows, W columns.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.vision_speech.faces import FaceConfig, FaceFinder, Track, follow

__all__ = [
    "MouthConfig",
    "Mouths",
    "Person",
    "cut",
    "find_mouths",
    "find_people",
    "mouths_of",
    "nobody",
    "talking",
]

Grey = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MouthConfig:
    """Where a mouth is in a face's box, and how large its picture is."""

    across: float = 0.5
    """Centre, as a share of the box's width."""
    down: float = 0.82
    """Centre, as a share of the box's height."""
    width: float = 0.5
    """Width of the piece, as a share of the box's."""
    columns: int = 64
    """W of the picture."""
    rows: int = 40
    """H of the picture; the piece's height follows, so that nothing is stretched."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if not 0 < self.across < 1 or not 0 < self.down < 1.2 or not 0 < self.width < 2:
            raise errors.UsageError("across, down and width must be shares of a face's box")
        if min(self.columns, self.rows) < 8:
            raise errors.UsageError("columns and rows must be at least 8")


@dataclasses.dataclass(frozen=True)
class Mouths:
    """Mouths of one speaker.

    Attributes
    ----------
    grey_THW : uint8; black where there is no face.
    seen_T : bool; whether there is one.
    faces : faces that were followed; 0 when nobody was seen.
    """

    grey_THW: npt.NDArray[np.uint8]
    seen_T: npt.NDArray[np.bool_]
    faces: int


@dataclasses.dataclass(frozen=True)
class Person:
    """Tracks that may be one person's: never at once, and near each other.

    Attributes
    ----------
    tracks : at least one.
    place : centre of the face (x, y) and its width, in pixels: medians of the first track.
    """

    tracks: tuple[Track, ...]

    @property
    def place(self) -> tuple[float, float, float]:
        """See the class."""
        x, y, width, height = (float(value) for value in np.median(self.tracks[0].boxes_T4, axis=0))
        return x + width / 2, y + height / 2, width


def find_mouths(
    frames: Sequence[Grey],
    finder: FaceFinder,
    *,
    faces: FaceConfig = FaceConfig(),  # noqa: B008 - frozen
    mouths: MouthConfig = MouthConfig(),
    face: int | None = None,
) -> Mouths:
    """The mouths of the face that talks, or of a chosen one.

    Parameters
    ----------
    frames : grey pictures (H, W), uint8, all of one size.
    face : which face, from 1 for the leftmost; None for the one that talks.

    Raises
    ------
    UsageError
        if there is no such face.
    """
    people = find_people(frames, finder, faces)
    if face is not None and people and not 1 <= face <= len(people):
        raise errors.UsageError(f"there is no face {face}: {len(people)} were found", hint="--face")
    chosen = None
    if people:
        chosen = people[face - 1] if face is not None else talking(frames, people)
    return mouths_of(frames, chosen, mouths, len(people))


def find_people(frames: Sequence[Grey], finder: FaceFinder, faces: FaceConfig) -> list[Person]:
    """Everybody who is seen, from left to right."""
    groups: list[list[Track]] = []
    for track in follow(frames, finder, faces):
        for group in groups:
            if all(_apart(track, other) and _near(track, other) for other in group):
                group.append(track)
                break
        else:
            groups.append([track])
    return sorted((Person(tuple(group)) for group in groups), key=lambda one: one.place[0])


def talking(frames: Sequence[Grey], people: Sequence[Person]) -> Person:
    """Whose mouth moves most beyond the rest of the face."""
    return max(people, key=lambda one: _talk(frames, one.tracks))


def mouths_of(frames: Sequence[Grey], person: Person | None, config: MouthConfig, faces: int) -> Mouths:
    """A person's mouths; of nobody, black ones. `faces` is told on."""
    found = dataclasses.replace(nobody(len(frames), config), faces=faces)
    for track in person.tracks if person else ():
        found.grey_THW[track.first : track.end] = cut(frames, track, config)
        found.seen_T[track.first : track.end] = True
    return found


def nobody(frames: int, config: MouthConfig) -> Mouths:
    """Frames in which nobody is seen."""
    return Mouths(np.zeros((frames, config.rows, config.columns), np.uint8), np.zeros(frames, bool), 0)


def cut(frames: Sequence[Grey], track: Track, config: MouthConfig) -> npt.NDArray[np.uint8]:
    """The mouth (T, H, W) in every frame of a track; what lies outside a frame repeats its edge."""
    return _pieces(frames, track, config.across, config.down, config.width, (config.columns, config.rows))


def _pieces(
    frames: Sequence[Grey], track: Track, across: float, down: float, width: float, size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    pieces = []
    for number, (x, y, box_width, box_height) in enumerate(track.boxes_T4, start=track.first):
        scale = size[0] / (width * box_width)
        centre_x, centre_y = x + across * box_width, y + down * box_height
        matrix = np.array(
            [
                [scale, 0, (size[0] - 1) / 2 - scale * centre_x],
                [0, scale, (size[1] - 1) / 2 - scale * centre_y],
            ]
        )
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        pieces.append(
            cv2.warpAffine(frames[number], matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
        )
    return np.stack(pieces).astype(np.uint8)


def _apart(a: Track, b: Track) -> bool:
    return a.end <= b.first or b.end <= a.first


def _near(a: Track, b: Track) -> bool:
    """Whether two faces lie within a face's width of each other."""
    box_a, box_b = np.median(a.boxes_T4, axis=0), np.median(b.boxes_T4, axis=0)
    distance = np.hypot(*(box_a[:2] + box_a[2:] / 2 - box_b[:2] - box_b[2:] / 2))
    return bool(distance < max(box_a[2], box_b[2]))


def _talk(frames: Sequence[Grey], tracks: Sequence[Track]) -> float:
    """How much a mouth moves beyond the rest of its face, times the frames that it is seen in."""
    total = 0.0
    for track in tracks:
        mouth = _motion(_pieces(frames, track, 0.5, 0.83, 0.5, (24, 16)))
        brow = _motion(_pieces(frames, track, 0.5, 0.3, 0.7, (24, 16)))
        total += max(0.0, mouth - brow) * len(track.boxes_T4) + 1e-3 * len(track.boxes_T4)
    return total


def _motion(pieces_THW: npt.NDArray[np.uint8]) -> float:
    """Mean change of a pixel from frame to frame, in grey levels."""
    if len(pieces_THW) < 2:
        return 0.0
    return float(np.abs(np.diff(pieces_THW.astype(np.int16), axis=0)).mean())
