"""A score by sentence vectors with a penalty for faulty language, in the manner of FENSE.

Zhou et al. (ICASSP 2022): cosine of caption and references, times 1 - 0.9 = 0.1 where the language is
faulty. Theirs takes Sentence-BERT and a trained detector of faults; here any encoder is handed in, and
faults are found by rules, so figures compare with each other only.

Shape suffixes: N texts, W width of vectors.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from seqkit import errors

__all__ = ["PENALTY", "Encode", "similarity"]

PENALTY = 0.9
"""The share of a score that faulty language costs."""
Encode = Callable[[Sequence[str]], npt.NDArray[np.floating]]
"""Texts to unit vectors (N, W)."""


def similarity(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    encode: Encode,
    is_faulty: Callable[[str], bool],
) -> list[float]:
    """The score of every clip, -1 to 1: mean cosine with its references, a tenth of it where faulty.

    Parameters
    ----------
    encode : texts to unit vectors (N, W).
    is_faulty : whether a caption's language is.

    Raises
    ------
    UsageError
        if numbers do not match, a clip has no reference, or the encoder makes no such vectors.

    Examples
    --------
    >>> def encode(texts):
    ...     return np.array([[1.0, 0.0] if "dog" in text else [0.0, 1.0] for text in texts])
    >>> similarity(["a dog", "rain"], [["the dog"], ["a dog", "rain"]], encode, lambda text: False)
    [1.0, 0.5]
    """
    if len(candidates) != len(references) or not all(references):
        raise errors.UsageError("similarity needs references for every caption")
    texts = [*candidates, *(text for others in references for text in others)]
    vectors_NW = np.asarray(encode(texts))
    if vectors_NW.ndim != 2 or len(vectors_NW) != len(texts) or not np.isfinite(vectors_NW).all():
        raise errors.UsageError(f"an encoder made {vectors_NW.shape} of {len(texts)} texts, or is not finite")
    scores, place = [], len(candidates)
    for vector_W, text, others in zip(vectors_NW, candidates, references, strict=False):
        mean = float(np.mean(vectors_NW[place : place + len(others)] @ vector_W))
        scores.append(mean * (1 - PENALTY) if is_faulty(text) else mean)
        place += len(others)
    return scores
