"""What describes sounds: waves in, captions with scores out.

Interfaces only: knows neither files nor networks.

Shape suffixes: S samples.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Describer", "Scored"]


@dataclasses.dataclass(frozen=True)
class Scored:
    """A caption and what it is worth.

    Attributes
    ----------
    text : a sentence without line breaks.
    score : what captions of a clip are ranked by; within 0 and 1 where a model is calibrated.
    logprob : mean log-probability of a token, in nats; None where nothing was generated.
    similarity : cosine of the clip's and the caption's vectors; None where a model has none.
    """

    text: str
    score: float
    logprob: float | None = None
    similarity: float | None = None


class Describer(Protocol):
    """Anything that describes waves."""

    rate: int
    """Samples per second of the waves that it takes."""

    def describe(self, waves: Sequence[npt.NDArray[np.float32]], n_best: int = 1) -> list[list[Scored]]:
        """Captions (at least one) of every wave (S,), best first; the same alone and with others."""
