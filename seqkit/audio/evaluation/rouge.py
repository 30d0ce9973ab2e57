"""ROUGE-L (Lin 2004): the longest run of words in common, gaps allowed; recall counts more (beta 1.2)."""

from collections.abc import Sequence

from seqkit import errors
from seqkit.audio.evaluation.ngrams import words

__all__ = ["rouge_l"]

BETA = 1.2


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """The score of every clip, 0 to 1: the best precision and the best recall over its references.

    Raises
    ------
    UsageError
        if numbers do not match, or a clip has no reference.

    Examples
    --------
    >>> rouge_l(["a dog barks"], [["a dog barks"]])
    [1.0]
    """
    if len(candidates) != len(references) or not all(references):
        raise errors.UsageError("ROUGE-L needs references for every caption")
    return [_score(words(text), others) for text, others in zip(candidates, references, strict=True)]


def _score(said: Sequence[str], references: Sequence[str]) -> float:
    if not said:
        return 0.0
    precision = recall = 0.0
    for text in references:
        truth = words(text)
        common = _common(said, truth)
        precision = max(precision, common / len(said))
        recall = max(recall, common / len(truth) if truth else 0.0)
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, against in enumerate(other, start=1):
            held = row[place]
            row[place] = before + 1 if word == against else max(row[place], row[place - 1])
            before = held
    return row[-1]
