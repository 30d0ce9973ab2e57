"""What transcribes: clips in, texts with times out.

Interfaces only: knows neither files nor networks.

Shape suffixes: S samples, T frames (25 per second), H rows, W columns.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Clip", "Heard", "Transcriber", "Word"]


@dataclasses.dataclass(frozen=True)
class Clip:
    """What is heard and seen of a window.

    Attributes
    ----------
    frames : T.
    wave_S : float32 at 16 kHz, S about 640 T; None without sound.
    mouths_THW : uint8 pictures; None without video.
    seen_T : bool; which frames have a face. None where there are no pictures.
    """

    frames: int
    wave_S: npt.NDArray[np.float32] | None = None
    mouths_THW: npt.NDArray[np.uint8] | None = None
    seen_T: npt.NDArray[np.bool_] | None = None


@dataclasses.dataclass(frozen=True)
class Word:
    """A word and when it is said, in seconds from the clip's start."""

    text: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Heard:
    """What was said in a clip.

    Attributes
    ----------
    text : empty for nothing.
    score : how sure that is, in nats per character, at most 0.
    words : with times; empty where a model knows none.
    """

    text: str
    score: float
    words: tuple[Word, ...] = ()


class Transcriber(Protocol):
    """Anything that transcribes clips."""

    @property
    def uses(self) -> frozenset[str]:
        """ "audio" and "video": what it can make something of."""

    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        """What is said in each of some clips."""
