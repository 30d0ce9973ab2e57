"""From files to captions with times: windows, silence, batches across files, a describer.

Knows files and windows; not how a describer finds its words. A silent window is told
to be silent without asking a model, which might invent something.
"""

import collections
import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from seqkit import errors
from seqkit.audio.captioning.interface import Describer, Scored
from seqkit.audio.windows import Window, level, windows
from seqkit.io import audio
from seqkit.io.segments import Alternative, Segment

__all__ = ["SILENCE", "WindowConfig", "apart", "capped", "describe_file", "describe_files"]

SILENCE = "silence"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How a file is cut.

    Attributes
    ----------
    seconds : length of a window.
    silence : a window whose level is below, in dB of full scale, is silent.
    batch : windows that are described at a time.
    n_best : captions of a window.
    join : neighbouring windows with the same caption become one segment.
    """

    seconds: float = 10.0
    silence: float = -60.0
    batch: int = 8
    n_best: int = 1
    join: bool = False

    def __post_init__(self) -> None:
        """Check every field once."""
        if not 0.1 <= self.seconds <= 3600:
            raise errors.UsageError("a window is 0.1 to 3600 s long", hint="--window")
        if not math.isfinite(self.silence):
            raise errors.UsageError("the level of silence is a finite number of dB", hint="--silence-db")
        if min(self.batch, self.n_best) < 1:
            raise errors.UsageError("batch and n-best must be at least 1", hint="--batch-size, --n-best")


def capped(
    config: WindowConfig, describer: Describer, note: Callable[[str], None] = lambda text: None
) -> WindowConfig:
    """Windows that a describer reads whole.

    Parameters
    ----------
    describer : one that has a `longest` reads at most so many seconds at once.
    note : told when windows are shorter than asked for.
    """
    # Only some describers have a longest window.
    longest: float = getattr(describer, "longest", math.inf)
    if config.seconds <= longest:
        return config
    note(f"windows are at most {longest:g} s long: the model reads no more at once")
    return dataclasses.replace(config, seconds=longest)


def describe_file(
    source: str | Path | bytes, describer: Describer, config: WindowConfig, *, file: str | None = None
) -> Iterator[Segment]:
    """Captions of a file, window by window, in order; memory holds a batch of windows.

    Parameters
    ----------
    source : path, or the bytes of a whole file.
    file : what the segments call it; the path if not given.

    Raises
    ------
    DataError
        if the file cannot be read to its end, or holds no sample.
    """
    config = capped(config, describer)
    name = file or ("-" if isinstance(source, bytes) else str(source))
    found = _described(_windows(source, describer, config, name), describer, config, name)
    yield from _joined(found) if config.join else found


def describe_files(
    files: Iterable[str],
    describer: Describer,
    config: WindowConfig,
    *,
    opened: Callable[[str], contextlib.AbstractContextManager[str]] = contextlib.nullcontext,
) -> Iterator[tuple[str, list[Segment] | errors.DataError]]:
    """Every file with its captions, or with what is wrong with it, in order.

    The windows of files that follow one another are described together, so that many short
    files take less time; what is said of a file does not depend on the others.

    Parameters
    ----------
    opened : gives the path of what a file's name means, while it is read.
    """
    config = capped(config, describer)
    held: collections.deque[_File] = collections.deque()
    batch: list[tuple[_File, Window]] = []
    for file in files:
        one = _File(file)
        held.append(one)
        try:
            with opened(file) as source:
                for window in _windows(source, describer, config, file):
                    batch.append((one, window))
                    one.waiting += 1
                    if len(batch) == config.batch:
                        _tell(batch, describer, config)
                        batch = []
                        yield from _complete(held, config)
                    if one.error is not None:
                        break
        except errors.DataError as error:
            one.error = error
        one.read = True
        yield from _complete(held, config)
    _tell(batch, describer, config)
    yield from _complete(held, config)


def apart(segment: Segment) -> Iterator[Segment]:
    """A segment for each of the captions of one, the best first.

    Examples
    --------
    >>> two = Segment(
    ...     file="a", start=0.0, end=1.0, text="rain", score=0.5, alternatives=(Alternative("wind", 0.2),)
    ... )
    >>> [(one.text, one.score) for one in apart(two)]
    [('rain', 0.5), ('wind', 0.2)]
    """
    for one in (Alternative(segment.text, segment.score), *segment.alternatives):
        yield dataclasses.replace(segment, text=one.text, score=one.score, alternatives=())


@dataclasses.dataclass
class _File:
    """A file that is read.

    Attributes
    ----------
    segments : of the windows that were described.
    waiting : windows that were not.
    read : whether all windows were seen.
    error : what is wrong with it.
    """

    name: str
    segments: list[Segment] = dataclasses.field(default_factory=list)
    waiting: int = 0
    read: bool = False
    error: errors.DataError | None = None


def _complete(
    held: collections.deque[_File], config: WindowConfig
) -> Iterator[tuple[str, list[Segment] | errors.DataError]]:
    """Files at the front of which nothing is missing any more."""
    while held and held[0].read and (held[0].error is not None or not held[0].waiting):
        one = held.popleft()
        segments = list(_joined(iter(one.segments))) if config.join else one.segments
        yield one.name, segments if one.error is None else one.error


def _tell(batch: Sequence[tuple[_File, Window]], describer: Describer, config: WindowConfig) -> None:
    """Describe the windows of some files together; if that fails, those of each alone."""
    sound = [(file, window) for file, window in batch if file.error is None]
    if not sound:
        return
    try:
        found = _of_batch([(file.name, window) for file, window in sound], describer, config)
    except errors.DataError as error:
        # One of the files is at fault, and the others are not.
        each = {id(file): file for file, _ in sound}
        if len(each) == 1:
            sound[0][0].error = error
            return
        for one in each.values():
            _tell([(file, window) for file, window in sound if file is one], describer, config)
        return
    for (file, _), segment in zip(sound, found, strict=True):
        file.segments.append(segment)
        file.waiting -= 1


def _windows(
    source: str | Path | bytes, describer: Describer, config: WindowConfig, name: str
) -> Iterator[Window]:
    """Windows of a file that a describer reads whole."""
    blocks = audio.read_blocks(source, describer.rate, config.seconds, file=name)
    # The last window may be longer than the others by less than this.
    shortest = min(1.0, getattr(describer, "longest", math.inf) - config.seconds)
    empty = True
    for window in windows(blocks, describer.rate, config.seconds, shortest):
        yield window
        empty = False
    if empty:
        raise errors.DataError("holds no sound at all", file=name)


def _described(
    coming: Iterator[Window], describer: Describer, config: WindowConfig, name: str
) -> Iterator[Segment]:
    batch: list[tuple[str, Window]] = []
    for window in coming:
        batch.append((name, window))
        if len(batch) == config.batch:
            yield from _of_batch(batch, describer, config)
            batch = []
    yield from _of_batch(batch, describer, config)


def _of_batch(
    batch: Sequence[tuple[str, Window]], describer: Describer, config: WindowConfig
) -> list[Segment]:
    loud = [level(window.wave_S) >= config.silence for _, window in batch]
    heard = [window.wave_S for (_, window), is_loud in zip(batch, loud, strict=True) if is_loud]
    told = iter(describer.describe(heard, config.n_best) if heard else [])
    segments = []
    for (name, window), is_loud in zip(batch, loud, strict=True):
        captions = next(told) if is_loud else [Scored(SILENCE, 1.0)]
        segments.append(
            Segment(
                file=name,
                start=window.start,
                end=window.end,
                text=captions[0].text,
                score=captions[0].score,
                alternatives=tuple(Alternative(one.text, one.score) for one in captions[1:]),
            )
        )
    return segments


def _joined(segments: Iterator[Segment]) -> Iterator[Segment]:
    """Neighbours with one caption as one; its score is the least of theirs."""
    before: Segment | None = None
    for segment in segments:
        if before is not None and before.text == segment.text:
            score = min(before.score, segment.score)
            before = dataclasses.replace(before, end=segment.end, score=score)
            continue
        if before is not None:
            yield before
        before = segment
    if before is not None:
        yield before
