"""Words of captions, and how often runs of them occur.

Words are parted much as the Penn Treebank does it (others call its Java tokenizer before they count):
lower case, clitics apart ("isn't" is "is n't", "dog's" is "dog 's"), hyphens within words kept, punctuation
dropped. What differs from the Java program: abbreviations lose their full stop ("a.m." is "a m"), words
parted by a slash are two words, symbols such as % or & are dropped, and of the words that it parts
("gonna", "cannot") only the common ones are. Knows texts only.
"""

import collections
import re
from collections.abc import Iterator, Sequence

__all__ = ["Counts", "counts", "words"]

Counts = collections.Counter[tuple[str, ...]]

_PIECE = re.compile(
    r"n't\b|'(?:s|m|d|re|ve|ll)\b"  # clitics that were apart already, so that parting twice changes nothing
    r"|\d+(?:[.,:]\d+)+"
    r"|[^\W_]+(?:['-][^\W_]+)*"
)
_CLITIC = re.compile(r"(.+)(n't|'(?:s|m|d|re|ve|ll))")
_PARTED = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "gimme": ("gim", "me"),
    "lemme": ("lem", "me"),
}


def words(text: str) -> list[str]:
    """Words of a caption.

    Examples
    --------
    >>> words("A dog's high-pitched bark - it isn't loud, then (faint).")
    ['a', 'dog', "'s", 'high-pitched', 'bark', 'it', 'is', "n't", 'loud', 'then', 'faint']
    """
    plain = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [word for piece in _PIECE.findall(plain) for word in _parted(piece)]


def _parted(piece: str) -> Iterator[str]:
    found = _CLITIC.fullmatch(piece)
    if found:
        yield from _parted(found[1])
        yield found[2]
    else:
        yield from _PARTED.get(piece, (piece,))


def counts(sentence: Sequence[str], longest: int = 4) -> list[Counts]:
    """How often each run of 1, 2, ... words occurs, one counter for each length.

    Examples
    --------
    >>> counts(["a", "dog", "a"], longest=2)[0]
    Counter({('a',): 2, ('dog',): 1})
    """
    return [
        collections.Counter(tuple(sentence[place : place + n]) for place in range(len(sentence) - n + 1))
        for n in range(1, longest + 1)
    ]
