"""Windows over blocks of any length, and which of them are silent.

Knows samples; not files or models. Memory holds one window, however long a sound is.

Shape suffixes: S samples.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from seqkit import errors

__all__ = ["Window", "level", "windows"]

Wave = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Window:
    """A stretch of a sound.

    Attributes
    ----------
    start, end : in seconds.
    wave_S : its samples.
    """

    start: float
    end: float
    wave_S: Wave


def windows(blocks: Iterable[Wave], rate: int, seconds: float, shortest: float = 1.0) -> Iterator[Window]:
    """Windows of a length, one after the other; a last one that is too short joins the one before.

    Parameters
    ----------
    blocks : samples, in order, in pieces of any length.
    rate : samples per second.
    seconds : length of a window.
    shortest : of the last window, unless it is the only one.

    Raises
    ------
    UsageError
        when the length is not positive.

    Examples
    --------
    >>> [(one.start, one.end) for one in windows([np.zeros(25, np.float32)], rate=10, seconds=1.0)]
    [(0.0, 1.0), (1.0, 2.5)]
    """
    size, least = round(seconds * rate), round(shortest * rate)
    if size < 1:
        raise errors.UsageError(f"a window of {seconds} s is empty", hint="--window")
    held: list[Wave] = []
    count, start = 0, 0
    for block_S in blocks:
        held.append(block_S)
        count += len(block_S)
        while count >= size + least:
            whole_S = np.concatenate(held)
            yield Window(start / rate, (start + size) / rate, whole_S[:size])
            held, count, start = [whole_S[size:]], count - size, start + size
    if count:
        whole_S = np.concatenate(held)
        # What is left is a window and less than the shortest, or less than both.
        yield Window(start / rate, (start + count) / rate, whole_S)


def level(wave_S: Wave) -> float:
    """Root mean square in dB below full scale; -inf for nothing but zeros.

    Examples
    --------
    >>> round(level(np.full(10, 0.1, np.float32)), 3)
    -20.0
    """
    power = float(np.mean(np.square(wave_S, dtype=np.float64))) if len(wave_S) else 0.0
    return float(10 * np.log10(power)) if power > 0 else -np.inf
