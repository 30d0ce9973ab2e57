"""Words of captions, and how often runs of them occur.

Words are lower case, without punctuation; clitics stay with their word. The tokenizer of
the Penn Treebank, which others use, also parts "isn't" into "is n't". Knows texts only.
"""

import collections
import re
from collections.abc import Sequence

__all__ = ["Counts", "counts", "words"]

Counts = collections.Counter[tuple[str, ...]]


def words(text: str) -> list[str]:
    """Words of a caption.

    Examples
    --------
    >>> words("A dog's bark - loud, then (faint).")
    ['a', "dog's", 'bark', 'loud', 'then', 'faint']
    """
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())


def counts(sentence: Sequence[str], longest: int = 4) -> list[Counts]:
    """How often each run of 1, 2, ... words occurs, one counter for each length."""
    return [
        collections.Counter(tuple(sentence[place : place + n]) for place in range(len(sentence) - n + 1))
        for n in range(1, longest + 1)
    ]
