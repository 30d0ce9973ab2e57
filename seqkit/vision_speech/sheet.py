"""A picture of what a model sees: frames with faces, and the mouths that are cut out of them.

Knows a recording's first window; not models. Drawn with OpenCV, written as PNG or JPEG.

Shape suffixes: H rows, W columns.
"""

import itertools
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.io import atomic, video
from seqkit.vision_speech.faces import FaceFinder
from seqkit.vision_speech.model import FPS
from seqkit.vision_speech.people import Look, Looker

__all__ = ["contact_sheet"]

Picture = npt.NDArray[np.uint8]
WIDTH, COLUMNS = 240, 5
#: What a picture is called, and how it is written; standard output has no name.
ENCODINGS = {"-": ".png", ".png": ".png", ".jpg": ".jpg", ".jpeg": ".jpg"}
_COLOURS = ((0, 200, 0), (0, 140, 255), (255, 120, 0), (200, 0, 200))


def contact_sheet(
    source: str | Path,
    out: str | Path,
    *,
    face: int | None = None,
    seconds: float = 12.0,
    shown: int = 20,
    finder: FaceFinder | None = None,
    file: str | None = None,
) -> tuple[int, int, int]:
    """Draw frames spread evenly over the first seconds, each above the mouth that is cut out of it.

    Parameters
    ----------
    out : a PNG or JPEG file, by its name; "-" is standard output, as PNG.
    face : whose mouth; None for the one that talks.
    shown : frames that are drawn, at most.
    finder : finds faces; OpenCV's cascade if not given.
    file : what errors call the source; the path if not given.

    Returns
    -------
    Frames that were looked at, those with a mouth, and how many faces were seen.

    Raises
    ------
    UsageError
        before anything is read, if the picture would be of another kind.
    DataError
        if the video cannot be read, or the face that was asked for is never seen.
    """
    encoding = ENCODINGS.get("-" if str(out) == "-" else Path(out).suffix.lower())
    if encoding is None:
        raise errors.UsageError("is no name of a picture: .png, .jpg or .jpeg", file=str(out), hint="--out")
    coming = video.read_frames(source, fps=FPS, file=file)
    frames = [frame.grey_HW for frame in itertools.islice(coming, max(1, round(seconds * FPS)))]
    look = Looker(face, finder).look(frames)
    if face is not None and look.people and not look.mouths.seen_T.any():
        known = len(look.people)
        raise errors.DataError(
            f"has no face {face}: {known} were found", file=file or str(source), hint="--face"
        )
    places = np.unique(np.linspace(0, len(frames) - 1, min(shown, len(frames))).round().astype(int))
    cells = [_cell(frames[place], int(place), look) for place in places]
    columns = min(COLUMNS, len(cells))
    while len(cells) % columns:
        cells.append(np.full_like(cells[0], 255))
    rows = [np.hstack(cells[first : first + columns]) for first in range(0, len(cells), columns)]
    done, encoded = cv2.imencode(encoding, np.vstack(rows))
    if not done:
        raise errors.OutputError("the picture could not be encoded", file=str(out))
    with atomic.output_file(out) as stream:
        stream.write(encoded.tobytes())
    return len(frames), int(look.mouths.seen_T.sum()), len(look.people)


def _cell(frame_HW: Picture, number: int, look: Look) -> Picture:
    """A frame with its faces, its number and time, and the mouth below."""
    scale = WIDTH / frame_HW.shape[1]
    height = round(frame_HW.shape[0] * scale)
    picture = np.array(cv2.cvtColor(cv2.resize(frame_HW, (WIDTH, height)), cv2.COLOR_GRAY2BGR), np.uint8)
    for face, person in look.people.items():
        colour = _COLOURS[(face - 1) % len(_COLOURS)]
        for track in person.tracks:
            if track.first <= number < track.end:
                x, y, wide, high = (track.boxes_T4[number - track.first] * scale).astype(int)
                thick = 3 if face == look.chosen else 1
                cv2.rectangle(picture, (x, y), (x + wide, y + high), colour, thick)
                _number(picture, face, (x, y), colour)
    seen = look.mouths.seen_T[number]
    return np.vstack([_caption(number, bool(seen)), picture, _mouth(look.mouths.grey_THW[number])])


def _number(picture: Picture, face: int, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """A face's number on a tag of its colour, at the corner of its box but within the picture."""
    (wide, high), _ = cv2.getTextSize(str(face), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 2)
    x = min(max(0, corner[0]), picture.shape[1] - wide - 8)
    y = min(max(0, corner[1]), picture.shape[0] - high - 8)
    cv2.rectangle(picture, (x, y), (x + wide + 8, y + high + 8), colour, cv2.FILLED)
    where = (x + 4, y + high + 4)
    cv2.putText(picture, str(face), where, cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2, cv2.LINE_AA)


def _caption(number: int, seen: bool) -> Picture:
    """The line above a frame."""
    strip = np.full((20, WIDTH, 3), 255, np.uint8)
    _write(strip, f"frame {number}, {number / FPS:.2f} s", (4, 15), (0, 0, 0))
    if not seen:
        _write(strip, "no face", (WIDTH - 66, 15), (0, 0, 220))
    return strip


def _mouth(mouth_HW: Picture) -> Picture:
    """What the model sees of a frame, twice as large."""
    below = np.full((mouth_HW.shape[0] * 2 + 8, WIDTH, 3), 255, np.uint8)
    large = cv2.cvtColor(cv2.resize(mouth_HW, None, fx=2, fy=2), cv2.COLOR_GRAY2BGR)
    left = (WIDTH - large.shape[1]) // 2
    below[4 : 4 + large.shape[0], left : left + large.shape[1]] = large
    return below


def _write(picture: Picture, text: str, where: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
