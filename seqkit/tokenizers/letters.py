"""The alphabet of nucleotide tokenizers: IUPAC letters as numbers, and the special tokens before them.

Letters are upper-case ASCII in uint8 arrays, as `seqkit.io` reads them: lower case
has been folded and U read as T. This file knows letters; it does not know tokens
of several letters.
"""

from collections.abc import Mapping

import numpy as np

from seqkit import errors

__all__ = ["LETTERS", "ROLES", "SPECIALS", "codes_of", "letters_of", "require_letters", "special_ids"]

#: Special tokens; their ids are their places.
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>", "<mask>", "<cls>", "<sep>")
#: What special tokens are for.
ROLES = ("pad", "bos", "eos", "unk", "mask", "cls", "sep")
#: IUPAC letters, the four bases first.
LETTERS = "ACGTRYSWKMBDHVN"

#: Other names of special tokens, by role.
_ALSO = {"bos": ("<s>",), "eos": ("</s>",), "unk": ("<oov>",)}
_NO_LETTER = 255
_CODE = np.full(256, _NO_LETTER, dtype=np.uint8)
_CODE[np.frombuffer(LETTERS.encode(), dtype=np.uint8)] = np.arange(len(LETTERS), dtype=np.uint8)
_ASCII = np.frombuffer(LETTERS.encode(), dtype=np.uint8)


def special_ids(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """The ids of special tokens by role, of those that a vocabulary has; "<mask>" and "[MASK]" are one.

    GENERator's names for the first, the last and the unknown token are known as well.

    Examples
    --------
    >>> special_ids({"[PAD]": 3, "A": 5, "<mask>": 4})
    {'pad': 3, 'mask': 4}
    """
    spelled = ((role, (f"<{role}>", f"[{role.upper()}]", *_ALSO.get(role, ()))) for role in ROLES)
    found = {role: [vocabulary[text] for text in texts if text in vocabulary] for role, texts in spelled}
    return {role: ids[0] for role, ids in found.items() if ids}


def codes_of(letters_L: np.ndarray) -> np.ndarray:
    """Numbers (uint8) of letters: A0 C1 G2 T3, then the ambiguous ones; 255 for anything else.

    Examples
    --------
    >>> codes_of(np.frombuffer(b"ACGTN?", dtype=np.uint8)).tolist()
    [0, 1, 2, 3, 14, 255]
    """
    return _CODE[letters_L]


def letters_of(codes_L: np.ndarray) -> np.ndarray:
    """The letters of numbers."""
    return _ASCII[codes_L]


def require_letters(letters_L: np.ndarray, alphabet: str = LETTERS) -> None:
    """Refuse letters that are not of an alphabet.

    Raises
    ------
    DataError
        naming the first such letter and its place, from 1.
    """
    allowed = np.zeros(256, dtype=np.bool_)
    allowed[np.frombuffer(alphabet.encode(), dtype=np.uint8)] = True
    strange = ~allowed[letters_L]
    if strange.any():
        place = int(strange.argmax())
        letter = chr(letters_L[place])
        raise errors.DataError(
            f"letter {letter!r} at place {place + 1:,} is not in the tokenizer's alphabet {alphabet}"
        )
