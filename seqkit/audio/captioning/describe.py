"""From a file to captions with times: windows, silence, batches, a describer.

Knows files and windows; not how a describer finds its words. A silent window is told
to be silent without asking a model, which might invent something.
"""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

from seqkit import errors
from seqkit.audio.captioning.interface import Describer, Scored
from seqkit.audio.windows import Window, level, windows
from seqkit.io import audio
from seqkit.io.segments import Alternative, Segment

__all__ = ["SILENCE", "WindowConfig", "describe_file"]

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
    name = file or ("-" if isinstance(source, bytes) else str(source))
    blocks = audio.read_blocks(source, describer.rate, config.seconds, file=name)
    found = _described(windows(blocks, describer.rate, config.seconds), describer, config, name)
    count = 0
    for segment in _joined(found) if config.join else found:
        yield segment
        count += 1
    if not count:
        raise errors.DataError("holds no sound at all", file=name)


def _described(
    coming: Iterator[Window], describer: Describer, config: WindowConfig, name: str
) -> Iterator[Segment]:
    batch: list[Window] = []
    for window in coming:
        batch.append(window)
        if len(batch) == config.batch:
            yield from _of_batch(batch, describer, config, name)
            batch = []
    yield from _of_batch(batch, describer, config, name)


def _of_batch(
    batch: list[Window], describer: Describer, config: WindowConfig, name: str
) -> Iterator[Segment]:
    heard = [window for window in batch if level(window.wave_S) >= config.silence]
    told = iter(describer.describe([window.wave_S for window in heard], config.n_best) if heard else [])
    loud = {id(window) for window in heard}
    for window in batch:
        captions = next(told) if id(window) in loud else [Scored(SILENCE, 1.0)]
        yield Segment(
            file=name,
            start=window.start,
            end=window.end,
            text=captions[0].text,
            score=captions[0].score,
            alternatives=tuple(Alternative(one.text, one.score) for one in captions[1:]),
        )


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
