"""Any audio or video file to mono samples at a wanted rate, in blocks.

Knows containers, tracks and resampling, through PyAV; not what is heard. A file is told
by its content, never by its name, and is never whole in memory unless that is asked for.
The first audio track counts; its channels are averaged. Samples count from the file's start:
where a track starts later than the file, or pauses, there is silence.

Shape suffixes: S samples.
"""

import contextlib
import io
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from seqkit import errors

__all__ = ["Wave", "load", "opened", "origin", "read_blocks"]

Wave = npt.NDArray[np.float32]

#: Rates and channels beyond these are no sound, but a damaged or a hostile header.
HIGHEST_RATE, MOST_CHANNELS = 768_000, 64
#: Gaps below are a matter of rounding, beyond them a file's times are wrong; in seconds.
SHORTEST_GAP, LONGEST_GAP = 0.1, 600.0


@contextlib.contextmanager
def opened(source: str | Path | bytes, file: str | None = None) -> Iterator[Any]:
    """A media file's container, by PyAV.

    Parameters
    ----------
    source : path, or the bytes of a whole file.
    file : what errors call the source; the path if not given.

    Raises
    ------
    DataError
        if the file is missing, cannot be read, is empty, or is no media file.
    """
    name = _name(source, file)
    if not isinstance(source, bytes):
        _require_file(Path(source), name)
    elif not source:
        raise errors.DataError("is empty", file=name)
    what = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        container = av.open(what, metadata_errors="replace")
    except PermissionError as error:
        raise errors.DataError("may not be read", file=name) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise errors.DataError("is not an audio or video file, or is damaged", file=name) from error
    with container:
        if not container.streams:
            raise errors.DataError("holds neither sound nor pictures, or is damaged", file=name)
        yield container


def read_blocks(
    source: str | Path | bytes, rate: int, seconds: float = 10.0, *, file: str | None = None
) -> Generator[Wave]:
    """Blocks of samples, all of one length but the last.

    Parameters
    ----------
    source : path, or the bytes of a whole file.
    rate : samples per second of what comes, whatever the file has.
    seconds : length of a block.
    file : what errors call the source; the path if not given.

    Returns
    -------
    Float32 blocks (S,), within -1 and 1 unless the file itself goes beyond.

    Raises
    ------
    DataError
        if the file cannot be read, has no audio track, or is damaged; with the time it went wrong at.

    Examples
    --------
    >>> next(read_blocks("missing.wav", 16_000))
    Traceback (most recent call last):
    seqkit.errors.DataError: missing.wav: no such file
    """
    size = max(1, round(seconds * rate))
    kept: list[Wave] = []
    held = 0
    for piece_S in _pieces(source, rate, _name(source, file)):
        kept.append(piece_S)
        held += len(piece_S)
        while held >= size:
            whole_S = np.concatenate(kept)
            yield whole_S[:size]
            kept, held = [whole_S[size:]], held - size
    if held:
        yield np.concatenate(kept)


def load(
    source: str | Path | bytes, rate: int, limit: float | None = None, *, file: str | None = None
) -> Wave:
    """All samples (S,), float32, mono; or those of the first `limit` seconds. Errors as `read_blocks`."""
    blocks: list[Wave] = []
    most = None if limit is None else round(limit * rate)
    held = 0
    with contextlib.closing(read_blocks(source, rate, file=file)) as coming:
        for block_S in coming:
            blocks.append(block_S)
            held += len(block_S)
            if most is not None and held >= most:
                break
    whole_S = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return whole_S[:most]


def _name(source: str | Path | bytes, file: str | None) -> str:
    return file or ("-" if isinstance(source, bytes) else str(source))


def _require_file(path: Path, name: str) -> None:
    if not path.exists():
        raise errors.DataError("no such file", file=name)
    if not path.is_file():
        raise errors.DataError("is not a file", file=name)
    if path.stat().st_size == 0:
        raise errors.DataError("is empty", file=name)


def _pieces(source: str | Path | bytes, rate: int, name: str) -> Generator[Wave]:
    """Samples as they are decoded, in pieces of any length."""
    with opened(source, name) as container:
        if not container.streams.audio:
            raise errors.DataError("has no audio track", file=name)
        stream = container.streams.audio[0]
        _require_sound(stream.codec_context, name)
        resampler = av.AudioResampler(format="fltp", rate=rate)
        samples, start = 0, origin(container)
        try:
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise errors.DataError(f"is damaged at {samples / rate:.1f} s", file=name)
                for silent_S in _gap(frame, samples / rate + start, rate):
                    samples += len(silent_S)
                    yield silent_S
                for piece in resampler.resample(frame):
                    samples += piece.samples
                    yield _mono(piece)
            for piece in resampler.resample(None):
                yield _mono(piece)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise errors.DataError(f"is damaged or cut short at {samples / rate:.1f} s", file=name) from error


def origin(container: Any) -> float:
    """When a file starts, in seconds; sound and pictures both count from there."""
    return 0.0 if container.start_time is None else float(container.start_time) / av.time_base


def _gap(frame: Any, expected: float, rate: int) -> Iterator[Wave]:
    """Silence up to a frame that comes later than what was before it says, a second at a time."""
    missing = 0.0 if frame.time is None else frame.time - expected
    if SHORTEST_GAP < missing < LONGEST_GAP:
        left = round(missing * rate)
        while left > 0:
            yield np.zeros(min(left, rate), np.float32)
            left -= rate


def _require_sound(codec: Any, name: str) -> None:
    if not 1 <= codec.sample_rate <= HIGHEST_RATE or not 1 <= codec.channels <= MOST_CHANNELS:
        raise errors.DataError(
            f"says it has {codec.channels} channels of {codec.sample_rate} samples a second", file=name
        )


def _mono(piece: Any) -> Wave:
    """The mean of the channels."""
    samples_CS = piece.to_ndarray()
    return samples_CS[0] if len(samples_CS) == 1 else samples_CS.mean(axis=0, dtype=np.float32)
