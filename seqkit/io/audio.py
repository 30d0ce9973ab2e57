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
from typing import Any, BinaryIO

import av
import av.error
import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.io import wholeness

__all__ = ["Wave", "load", "opened", "origin", "read_blocks", "require_whole"]

Wave = npt.NDArray[np.float32]

#: Rates and channels beyond these are no sound, but a damaged or a hostile header.
HIGHEST_RATE, MOST_CHANNELS = 768_000, 64
#: Gaps below are a matter of rounding, beyond them a file's times are wrong; in seconds.
SHORTEST_GAP, LONGEST_GAP = 0.1, 600.0
#: Containers without pauses: where time is missing, in seconds, sound was lost. Times of Vorbis waver by
#: 0.03.
UNBROKEN, LOST = frozenset({"wav", "flac", "ogg", "mp3", "aiff", "aac"}), 0.05
#: Containers that state how long they are, and what that may be off by, in seconds.
STATED = frozenset({"wav", "flac", "ogg", "aiff", "avi", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"})
UNSURE = 0.5
#: Samples beyond these are no sound, but what is left of other data; full scale is 1.
LOUDEST = 1e6
#: These are no media, but lists of other files.
LISTS = frozenset({"concat", "hls", "dash", "sdp", "imf"})


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
    _require_file(source, name)
    # Without "file:", a name such as 12:30.wav would be an address.
    what = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
    try:
        container = av.open(what, metadata_errors="replace", options={"protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise errors.DataError("is not an audio or video file, or is damaged", file=name) from error
    with container:
        if container.format.name in LISTS:
            raise errors.DataError("is a list of other files, not a recording", file=name)
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
        if the file cannot be read, has no audio track, is shorter than it says, or is damaged; with the
        time it went wrong at.

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


def _require_file(source: str | Path | bytes, name: str) -> None:
    if not isinstance(source, bytes) and not Path(source).is_file():
        told = "is not a file" if Path(source).exists() else "no such file"
        raise errors.DataError(told, file=name)
    with _bytes_of(source, name) as file:
        if not file.read(1):
            raise errors.DataError("is empty", file=name)


@contextlib.contextmanager
def _bytes_of(source: str | Path | bytes, name: str) -> Iterator[BinaryIO]:
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
            yield file
    except OSError as error:
        raise errors.DataError(f"cannot be read: {error.strerror}", file=name) from error


def require_whole(source: str | Path | bytes, name: str) -> None:
    """Refuse a file that ends before its header says it does; errors as `opened`."""
    with _bytes_of(source, name) as file:
        lacking = wholeness.missing(file)
    if lacking:
        raise errors.DataError(f"is damaged or cut short: at least {lacking} bytes are missing", file=name)


def _pieces(source: str | Path | bytes, rate: int, name: str) -> Generator[Wave]:
    """Samples as they are decoded, in pieces of any length."""
    with opened(source, name) as container:
        if not container.streams.audio:
            raise errors.DataError("has no audio track", file=name)
        stream = container.streams.audio[0]
        _require_sound(stream.codec_context, name)
        require_whole(source, name)
        resampler = av.AudioResampler(format="fltp", rate=rate)
        samples, start, unbroken = 0, origin(container), container.format.name in UNBROKEN
        try:
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise errors.DataError(f"is damaged at {samples / rate:.1f} s", file=name)
                late = 0.0 if frame.time is None else frame.time - start - samples / rate
                if unbroken and samples and late > LOST:
                    raise errors.DataError(f"is damaged at {samples / rate:.1f} s", file=name)
                for silent_S in _silence(late, rate):
                    samples += len(silent_S)
                    yield silent_S
                for piece in resampler.resample(frame):
                    samples += piece.samples
                    yield _mono(piece, name)
            for piece in resampler.resample(None):
                samples += piece.samples
                yield _mono(piece, name)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise errors.DataError(f"is damaged or cut short at {samples / rate:.1f} s", file=name) from error
        _require_end(container, samples / rate, name)


def origin(container: Any) -> float:
    """When a file starts, in seconds; sound and pictures both count from there."""
    return 0.0 if container.start_time is None else float(container.start_time) / av.time_base


def _silence(seconds: float, rate: int) -> Iterator[Wave]:
    """A pause, a second at a time; none where it is only rounding, or beyond belief."""
    if SHORTEST_GAP < seconds < LONGEST_GAP:
        left = round(seconds * rate)
        while left > 0:
            yield np.zeros(min(left, rate), np.float32)
            left -= rate


def _require_end(container: Any, reached: float, name: str) -> None:
    """Damage can make a decoder take what follows for the end. Pictures may outlast sound."""
    if container.format.name not in STATED or len(container.streams) > 1 or container.duration is None:
        return
    whole = float(container.duration) / av.time_base
    if whole - reached > UNSURE:
        raise errors.DataError(f"is damaged at {reached:.1f} s of {whole:.1f}", file=name)


def _require_sound(codec: Any, name: str) -> None:
    if codec is None:
        raise errors.DataError("has sound of a kind that cannot be decoded", file=name)
    if not 1 <= codec.sample_rate <= HIGHEST_RATE or not 1 <= codec.channels <= MOST_CHANNELS:
        raise errors.DataError(
            f"says it has {codec.channels} channels of {codec.sample_rate} samples a second", file=name
        )


def _mono(piece: Any, name: str) -> Wave:
    """The mean of the channels."""
    samples_CS = piece.to_ndarray()
    mono_S: Wave = samples_CS[0] if len(samples_CS) == 1 else samples_CS.mean(axis=0, dtype=np.float32)
    if len(mono_S) and not np.abs(mono_S).max() <= LOUDEST:
        raise errors.DataError("holds samples that are no numbers, or far too large", file=name)
    return mono_S
