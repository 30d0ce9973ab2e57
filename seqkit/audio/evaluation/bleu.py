"""BLEU (Papineni et al., ACL 2002) over a corpus, with several references and the nearest length."""

import collections
import math
from collections.abc import Sequence

from seqkit import errors
from seqkit.audio.evaluation.ngrams import counts, words

__all__ = ["bleu"]


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]], longest: int = 4) -> list[float]:
    """BLEU-1 to BLEU-`longest` of all captions together, 0 to 1.

    Raises
    ------
    UsageError
        if numbers do not match, or a clip has no reference.

    Examples
    --------
    >>> bleu(["a dog barks"], [["a dog barks", "dogs bark"]], longest=2)
    [1.0, 1.0]
    """
    if len(candidates) != len(references) or not all(references):
        raise errors.UsageError("BLEU needs references for every caption")
    right, all_ = [0] * longest, [0] * longest
    length, wanted = 0, 0
    for text, others in zip(candidates, references, strict=True):
        said, truth = words(text), [words(other) for other in others]
        length += len(said)
        wanted += min((abs(len(other) - len(said)), len(other)) for other in truth)[1]
        tables = [counts(other, longest) for other in truth]
        for n, table in enumerate(counts(said, longest)):
            most: collections.Counter[tuple[str, ...]] = collections.Counter()
            for other in tables:
                most |= other[n]
            right[n] += (table & most).total()
            all_[n] += table.total()
    penalty = 1.0 if length >= wanted else (math.exp(1 - wanted / length) if length else 0.0)
    shares = [a / b if b else 0.0 for a, b in zip(right, all_, strict=True)]
    return [penalty * _geometric_mean(shares[:n]) for n in range(1, longest + 1)]


def _geometric_mean(shares: Sequence[float]) -> float:
    if not all(shares):
        return 0.0
    return math.exp(sum(map(math.log, shares)) / len(shares))
