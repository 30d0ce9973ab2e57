"""Characters and their ids: one alphabet for CTC and the decoder.

Knows text; not sounds or models.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["ALPHABET", "BLANK", "END", "PAD", "START", "Alphabet", "normalised"]

#: CTC's blank and the decoder's padding are one id, because neither ever stands for a character.
PAD = BLANK = 0
START = 1
END = 2
#: What is written in transcripts, from id 3 on.
ALPHABET = " abcdefghijklmnopqrstuvwxyz'0123456789"


def normalised(text: str) -> str:
    """Lower case, no accents, no punctuation but the apostrophe, single spaces.

    Examples
    --------
    >>> normalised("  Bin BLUE, at f2… café ")
    'bin blue at f2 cafe'
    """
    plain = unicodedata.normalize("NFKD", text).replace("\u2019", "'").lower()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[^a-z0-9' ]+", " ", plain).split())


@dataclasses.dataclass(frozen=True)
class Alphabet:
    """Ids of characters.

    Examples
    --------
    >>> Alphabet().encode("set red")
    [22, 8, 23, 3, 21, 8, 7]
    >>> Alphabet().decode([1, 22, 8, 23, 2, 0])
    'set'
    """

    characters: str = ALPHABET

    @property
    def size(self) -> int:
        """Ids, those of padding, start and end included."""
        return len(self.characters) + 3

    def encode(self, text: str) -> list[int]:
        """Ids of a normalised text; characters outside the alphabet are left out."""
        return [self.characters.index(letter) + 3 for letter in text if letter in self.characters]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids, up to the first end; ids that are no character are left out."""
        letters = []
        for number in ids:
            if number == END:
                break
            if 3 <= number < self.size:
                letters.append(self.characters[number - 3])
        return "".join(letters)
