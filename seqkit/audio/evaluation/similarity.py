"""A score by sentence vectors with a penalty for faulty language, in the manner of FENSE.

Zhou et al. (ICASSP 2022): cosine of caption and references, times 0.1 where the language
is faulty. Theirs takes Sentence-BERT and a trained detector of faults; here any encoder is
handed in, and faults are found by rules, so figures compare with each other only.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from seqkit import errors

__all__ = ["similarity"]

#: What is left of a score where the language is faulty.
LEFT = 0.1


def similarity(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    encode: Callable[[Sequence[str]], npt.NDArray[np.float32]],
    is_faulty: Callable[[str], bool],
) -> list[float]:
    """The score of every clip: mean cosine with its references, a tenth of it where faulty.

    Parameters
    ----------
    encode : texts to unit vectors (N, W).
    is_faulty : whether a caption's language is.

    Raises
    ------
    UsageError
        if numbers do not match, or a clip has no reference.

    Examples
    --------
    >>> def encode(texts):
    ...     return np.array([[1.0, 0.0] if "dog" in text else [0.0, 1.0] for text in texts])
    >>> similarity(["a dog", "rain"], [["the dog"], ["a dog", "rain"]], encode, lambda text: False)
    [1.0, 0.5]
    """
    if len(candidates) != len(references) or not all(references):
        raise errors.UsageError("similarity needs references for every caption")
    said = encode(list(candidates))
    scores = []
    for vector, text, others in zip(said, candidates, references, strict=True):
        mean = float(np.mean(encode(list(others)) @ vector))
        scores.append(mean * LEFT if is_faulty(text) else mean)
    return scores
