"""CIDEr-D (Vedantam et al., CVPR 2015): consensus of a caption with several references.

Runs of 1 to 4 words, weighted by how few clips' references have them; counts clipped to
the reference's; a Gaussian penalty of differing length (sigma 6); times 10.
"""

import collections
import math
from collections.abc import Sequence

from seqkit import errors
from seqkit.audio.evaluation.ngrams import Counts, counts, words

__all__ = ["cider_d"]

LONGEST, SIGMA, SCALE = 4, 6.0, 10.0


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """The score of every clip, 0 to 10 (1 is about what people reach among themselves on some data).

    Parameters
    ----------
    candidates : a caption for every clip.
    references : captions of people, at least one for every clip; they also give how rare words are, so there
        must be at least two clips.

    Raises
    ------
    UsageError
        if numbers do not match, there is only one clip, or one has no reference.

    Examples
    --------
    >>> [round(x, 2) for x in cider_d(["a dog barks", "rain"], [["a dog barks"], ["rain falls"]])]
    [7.5, 1.74]
    """
    if len(candidates) != len(references) or len(candidates) < 2 or not all(references):
        raise errors.UsageError("CIDEr-D needs at least two clips, each with a caption and references")
    told = [counts(words(text), LONGEST) for text in candidates]
    truth = [[counts(words(text), LONGEST) for text in texts] for texts in references]
    rarity = _rarity(truth)
    return [
        sum(_similarity(one, other, rarity) for other in others) / len(others) * SCALE
        for one, others in zip(told, truth, strict=True)
    ]


class _Rarity:
    """Logarithms of how few clips have a run of words."""

    def __init__(self, clips: dict[tuple[str, ...], int], total: int) -> None:
        self._clips, self._total = clips, math.log(total)

    def of(self, run: tuple[str, ...]) -> float:
        return self._total - math.log(max(1, self._clips.get(run, 0)))


def _rarity(truth: Sequence[Sequence[Sequence[Counts]]]) -> _Rarity:
    clips: dict[tuple[str, ...], int] = collections.Counter()
    for texts in truth:
        for run in {run for text in texts for table in text for run in table}:
            clips[run] += 1
    return _Rarity(clips, len(truth))


def _similarity(one: Sequence[Counts], other: Sequence[Counts], rarity: _Rarity) -> float:
    """Mean cosine over lengths of runs, clipped and with the penalty of length."""
    difference = one[1].total() - other[1].total()  # in runs of two words, as the authors' code counts
    penalty = math.exp(-(difference**2) / (2 * SIGMA**2))
    return sum(_cosine(a, b, rarity) * penalty for a, b in zip(one, other, strict=True)) / LONGEST


def _cosine(one: Counts, other: Counts, rarity: _Rarity) -> float:
    own = {run: count * rarity.of(run) for run, count in one.items()}
    theirs = {run: count * rarity.of(run) for run, count in other.items()}
    norms = math.sqrt(sum(x * x for x in own.values()) * sum(x * x for x in theirs.values()))
    if not norms:
        return 0.0
    return sum(min(value, theirs[run]) * theirs[run] for run, value in own.items() if run in theirs) / norms
