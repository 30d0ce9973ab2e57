"""Ctrl-C and a scheduler's SIGTERM wait until what runs is at a place where it can stop.

Knows signals; not what runs, or what it saves before it stops.
"""

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Interruption", "deferred"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclasses.dataclass
class Interruption:
    """Which signal came, if any."""

    number: int | None = None

    @property
    def is_asked(self) -> bool:
        """Whether to stop."""
        return self.number is not None

    def pass_on(self) -> None:
        """Do what the signal would have done at once, if there was one."""
        if self.number is not None:
            signal.raise_signal(self.number)


@contextlib.contextmanager
def deferred() -> Iterator[Interruption]:
    """Keep the first signal for later; a second one acts at once.

    A signal that is ignored stays ignored, and a thread other than the main one, which gets no signals,
    keeps none.

    Examples
    --------
    >>> with deferred() as interruption:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interruption.is_asked
    True
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    kept = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]

    def keep(number: int, frame: FrameType | None) -> None:
        interruption.number = number
        restore()

    def restore() -> None:
        for number in kept:
            signal.signal(number, before[number])

    for number in kept:
        signal.signal(number, keep)
    try:
        yield interruption
    finally:
        restore()
