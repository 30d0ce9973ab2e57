"""A picture of what a model sees: frames with faces, and the mouths that are cut out of them.

Knows a recording's first window; not models. Drawn with OpenCV, written as PNG.

Shape suffixes: H rows, W columns.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.io import atomic, video
from seqkit.vision_speech.faces import CascadeFaces, FaceConfig, Track, follow
from seqkit.vision_speech.model import FPS
from seqkit.vision_speech.mouths import MouthConfig, find_mouths

__all__ = ["contact_sheet"]

Picture = npt.NDArray[np.uint8]
WIDTH, COLUMNS = 240, 5
_COLOURS = ((0, 200, 0), (0, 140, 255), (255, 120, 0), (200, 0, 200))


def contact_sheet(
    source: str | Path, out: str | Path, *, face: int | None = None, seconds: float = 12.0, shown: int = 20
) -> tuple[int, int, int]:
    """Draw frames spread evenly over the first seconds, each above the mouth that is cut out of it.

    Parameters
    ----------
    out : a PNG file.
    face : whose mouth; None for the one that talks.
    shown : frames that are drawn, at most.

    Returns
    -------
    Frames that were looked at, those with a face, and how many faces were followed.

    Raises
    ------
    DataError
        if the video cannot be read.
    """
    frames = []
    for frame in video.read_frames(source, fps=FPS):
        frames.append(frame.grey_HW)
        if len(frames) >= round(seconds * FPS):
            break
    finder = CascadeFaces(FaceConfig())
    tracks = follow(frames, finder, finder.config)
    mouths = find_mouths(frames, finder, mouths=MouthConfig(), face=face)
    places = np.unique(np.linspace(0, len(frames) - 1, min(shown, len(frames))).round().astype(int))
    cells = [
        _cell(frames[place], int(place), tracks, mouths.grey_THW[place], bool(mouths.seen_T[place]))
        for place in places
    ]
    while len(cells) % COLUMNS:
        cells.append(np.full_like(cells[0], 255))
    rows = [np.hstack(cells[first : first + COLUMNS]) for first in range(0, len(cells), COLUMNS)]
    done, encoded = cv2.imencode(".png", np.vstack(rows))
    if not done:
        raise errors.OutputError("the picture could not be encoded", file=str(out))
    with atomic.atomic_file(out) as stream:
        stream.write(encoded.tobytes())
    return len(frames), int(mouths.seen_T.sum()), mouths.faces


def _cell(frame_HW: Picture, number: int, tracks: list[Track], mouth_HW: Picture, seen: bool) -> Picture:
    """A frame with its faces, its number and time, and the mouth below."""
    scale = WIDTH / frame_HW.shape[1]
    picture = cv2.cvtColor(cv2.resize(frame_HW, None, fx=scale, fy=scale), cv2.COLOR_GRAY2BGR)
    for order, track in enumerate(tracks):
        if track.first <= number < track.end:
            x, y, width, height = (track.boxes_T4[number - track.first] * scale).astype(int)
            cv2.rectangle(picture, (x, y), (x + width, y + height), _COLOURS[order % len(_COLOURS)], 2)
    told = f"{number}  {number / FPS:.2f} s" + ("" if seen else "  no face")
    cv2.putText(picture, told, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 255), 1, cv2.LINE_AA)
    below = np.full((mouth_HW.shape[0] * 2 + 8, picture.shape[1], 3), 255, np.uint8)
    large = cv2.cvtColor(cv2.resize(mouth_HW, None, fx=2, fy=2), cv2.COLOR_GRAY2BGR)
    left = (below.shape[1] - large.shape[1]) // 2
    below[4 : 4 + large.shape[0], left : left + large.shape[1]] = large
    return np.vstack([picture, below]).astype(np.uint8)
