"""Any video file to grey frames at an even rate, one at a time.

Knows containers, timestamps and rotation, through PyAV; not faces or speech.
Whatever rate a file has, even a changing one, frames come at the wanted rate:
each is the one that is shown at its time.

Shape suffixes: H rows, W columns.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.io.audio import opened, origin, require_whole

__all__ = ["Frame", "has_sound", "has_video", "read_frames", "stream_of"]

#: A frame of more pixels than this is refused: 16 K by 8 K.
LARGEST = 16_384 * 8_192
#: Seconds that one frame may stand for, as slides do; longer gaps in a file are damage.
LONGEST_GAP = 60 * 60


@dataclasses.dataclass(frozen=True)
class Frame:
    """A picture and when it is shown.

    Attributes
    ----------
    number : which frame, at the wanted rate, from 0.
    grey_HW : uint8; upright, whatever way the camera was held. Frames that show the same share it.
    """

    number: int
    grey_HW: npt.NDArray[np.uint8]


def has_video(source: str | Path | bytes, *, file: str | None = None) -> bool:
    """Whether there are moving pictures; a cover picture of a song is none.

    Raises
    ------
    DataError
        if the file cannot be read or is no media file.
    """
    with opened(source, file) as container:
        return stream_of(container) is not None


def has_sound(source: str | Path | bytes, *, file: str | None = None) -> bool:
    """Whether there is an audio track; errors as `has_video`."""
    with opened(source, file) as container:
        return bool(container.streams.audio)


def read_frames(
    source: str | Path | bytes, *, fps: float = 25.0, shorter: int = 480, file: str | None = None
) -> Iterator[Frame]:
    """Frames at an even rate, upright, in grey.

    Parameters
    ----------
    source : path, or the bytes of a whole file.
    fps : frames per second that come, at times k / fps from the file's start.
    shorter : frames whose shorter side is longer are made smaller, to this.
    file : what errors call the source; the path if not given.

    Raises
    ------
    DataError
        if the file cannot be read, holds no video, or is damaged; with the frame it went wrong at.

    Examples
    --------
    >>> read_frames("missing.mp4").__next__()
    Traceback (most recent call last):
    seqkit.errors.DataError: missing.mp4: no such file
    """
    name = _name(source, file)
    with opened(source, file) as container:
        require_whole(source, name)
        stream = stream_of(container)
        if stream is None:
            raise errors.DataError("has no video track", file=name)
        if stream.codec_context is None:
            raise errors.DataError("has pictures of a kind that cannot be decoded", file=name)
        stream.thread_type = "SLICE"
        shown = _shown(_decoded(container, stream, name), fps, origin(container), name)
        drawn, grey_HW = None, None
        for number, frame in shown:
            if grey_HW is None or frame is not drawn:
                drawn, grey_HW = frame, _upright(frame, shorter, name)
            yield Frame(number, grey_HW)


def _name(source: str | Path | bytes, file: str | None) -> str:
    return file or ("-" if isinstance(source, bytes) else str(source))


def stream_of(container: Any) -> Any | None:
    """The first track of moving pictures."""
    for stream in container.streams.video:
        attached = int(stream.disposition) & int(av.stream.Disposition.attached_pic)
        if not attached:
            return stream
    return None


def _decoded(container: Any, stream: Any, name: str) -> Iterator[Any]:
    number = 0
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise errors.DataError(f"is damaged at frame {number}", file=name)
            yield frame
            number += 1
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise errors.DataError(f"is damaged or cut short at frame {number}", file=name) from error
    if not number:
        raise errors.DataError("holds no frame", file=name)


def _shown(frames: Iterator[Any], fps: float, origin: float, name: str) -> Iterator[tuple[int, Any]]:
    """Which frame is nearest to each time k / fps."""
    number, before, time_before, last_gap = 0, None, 0.0, 1 / fps
    for frame in frames:
        time = time_before + last_gap if frame.time is None else float(frame.time) - origin
        if before is not None:
            if time - time_before > LONGEST_GAP:
                raise errors.DataError(f"has a gap of {time - time_before:.0f} s without frames", file=name)
            last_gap = time - time_before if time > time_before else last_gap
            until = (time_before + time) / 2
            while number / fps < until:
                yield number, before
                number += 1
        before, time_before = frame, time
    while before is not None and (number == 0 or number / fps < time_before + last_gap / 2):
        yield number, before
        number += 1


def _upright(frame: Any, shorter: int, name: str) -> npt.NDArray[np.uint8]:
    if frame.width * frame.height > LARGEST:
        raise errors.DataError(f"has frames of {frame.width} x {frame.height}, which is too large", file=name)
    ratio = min(1.0, shorter / min(frame.width, frame.height))
    width, height = (max(2, round(side * ratio)) for side in (frame.width, frame.height))
    grey_HW = frame.to_ndarray(format="gray", width=width, height=height)
    return np.ascontiguousarray(np.rot90(grey_HW, round(frame.rotation / 90) % 4))
