"""A language model of characters for joint decoding: n-grams counted in transcripts.

Knows lines of text and ids; not sounds. Orders are interpolated as Witten and Bell do
(IEEE Trans. Inf. Theory 1991), so every continuation has a probability and they sum to 1.

Shape suffixes: V ids.
"""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.io import compression
from seqkit.vision_speech.texts import END, START, Alphabet, normalised

__all__ = ["CharacterModel", "read"]

ALPHABET = Alphabet()
#: Characters that the longest context has; with the one that follows they fill 60 of 64 bits.
CONTEXT = 9
#: Bits that a character takes in a key.
BITS = 6
#: Lines of a file of transcripts beyond these are refused: it is no such file.
MOST_LINES = 2_000_000


class CharacterModel:
    """Probabilities of the next character.

    Parameters
    ----------
    lines : normalised texts; lines that are there more than once count once.

    Examples
    --------
    >>> model = CharacterModel(["set red", "set blue"])
    >>> ids = Alphabet().encode("set ")
    >>> float(np.exp(model.log_probs(ids)).sum().round(9))
    1.0
    >>> Alphabet().decode([int(model.log_probs(Alphabet().encode("set b")).argmax())])
    'l'
    """

    def __init__(self, lines: Iterable[str], alphabet: Alphabet = ALPHABET) -> None:
        self.size = alphabet.size
        if self.size > 1 << BITS:
            raise errors.UsageError(f"an alphabet of {self.size} characters is too large")
        spelled = [(START, *alphabet.encode(line), END) for line in dict.fromkeys(lines)]
        if not spelled:
            raise errors.DataError("there is no text to learn a language from")
        # Everything in one row, and how far into its line each character is.
        ids_N = np.fromiter(itertools.chain.from_iterable(spelled), np.int64)
        place_N = np.concatenate([np.arange(len(ids)) for ids in spelled])
        self._counts = [_counted(ids_N, place_N, length) for length in range(CONTEXT + 1)]
        self._known: dict[tuple[int, ...], npt.NDArray[np.float64]] = {}

    def log_probs(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """Log-probabilities (V,) of what follows some characters, the start not among them."""
        context = (START, *ids)[-CONTEXT:]
        if context not in self._known:
            self._known[context] = np.log(self._interpolated(context))
        return self._known[context]

    def _interpolated(self, context: tuple[int, ...]) -> npt.NDArray[np.float64]:
        shares_V = np.full(self.size, 1.0 / (self.size - 2))
        shares_V[[0, START]] = 1e-12  # never said
        shares_V /= shares_V.sum()
        for length in range(len(context) + 1):
            first = _key(context[len(context) - length :]) << BITS
            keys, counts = self._counts[length]
            low, high = np.searchsorted(keys, [first, first + (1 << BITS)])
            if low == high:
                break
            total, kinds = counts[low:high].sum(), high - low
            counts_V = np.zeros(self.size)
            counts_V[keys[low:high] - first] = counts[low:high]
            shares_V = (counts_V + kinds * shares_V) / (total + kinds)
        return shares_V


def _key(context: Sequence[int]) -> int:
    """A whole number for a context; contexts of one length have different ones."""
    key = 0
    for number in context:
        key = key << BITS | number
    return key


def _counted(
    ids_N: npt.NDArray[np.int64], place_N: npt.NDArray[np.int64], length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Keys of all contexts of a length with what follows, in order, and how often each is there."""
    ends = np.flatnonzero(place_N >= max(1, length))
    keys_N = np.zeros(len(ends), np.int64)
    for back in range(length, -1, -1):
        keys_N = keys_N << BITS | ids_N[ends - back]
    keys, counts = np.unique(keys_N, return_counts=True)
    return keys, counts


def read(path: str | Path, leave_out: Iterable[str] = ()) -> CharacterModel:
    """A model of the lines of a text file, plain or compressed; of a table (TSV) the last column counts.

    Parameters
    ----------
    leave_out : texts that are not to be counted, such as those of a test.

    Raises
    ------
    DataError
        if the file cannot be read or holds no text.
    """
    try:
        with compression.open_input(path) as stream:
            texts = (raw.decode("utf-8").rsplit("\t", 1)[-1] for raw in itertools.islice(stream, MOST_LINES))
            lines = [normalised(text) for text in texts]
    except OSError as error:
        raise errors.DataError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    except UnicodeDecodeError as error:
        raise errors.DataError("cannot be read as text in UTF-8", file=str(path)) from error
    left_out = {normalised(text) for text in leave_out}
    kept = [line for line in lines if line and line not in left_out]
    if not kept:
        raise errors.DataError("holds no text", file=str(path))
    return CharacterModel(kept)
