"""A language model of characters for joint decoding: n-grams counted in transcripts.

Knows lines of text and ids; not sounds. Orders are interpolated as Witten and Bell do
(IEEE Trans. Inf. Theory 1991), so every continuation has a probability and they sum to 1.

Shape suffixes: V ids.
"""

import collections
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.vision_speech.texts import END, START, Alphabet, normalised

__all__ = ["CharacterModel", "read"]

ALPHABET = Alphabet()
#: Characters that the longest context has.
CONTEXT = 9
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
        self._after: dict[tuple[int, ...], collections.Counter[int]] = {}
        for line in dict.fromkeys(lines):
            ids = (START, *alphabet.encode(line), END)
            for place in range(1, len(ids)):
                for length in range(min(CONTEXT, place) + 1):
                    context = ids[place - length : place]
                    self._after.setdefault(context, collections.Counter())[ids[place]] += 1
        if not self._after:
            raise errors.DataError("there is no text to learn a language from")
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
            followers = self._after.get(context[len(context) - length :])
            if followers is None:
                break
            total, kinds = followers.total(), len(followers)
            counts_V = np.zeros(self.size)
            counts_V[list(followers)] = list(followers.values())
            shares_V = (counts_V + kinds * shares_V) / (total + kinds)
        return shares_V


def read(path: str | Path, leave_out: Iterable[str] = ()) -> CharacterModel:
    """A model of the lines of a text file; of a table (TSV) the last column counts.

    Parameters
    ----------
    leave_out : texts that are not to be counted, such as those of a test.

    Raises
    ------
    DataError
        if the file cannot be read or holds no text.
    """
    try:
        with Path(path).open(encoding="utf-8") as stream:
            lines = [normalised(line.rsplit("\t", 1)[-1]) for line, _ in zip(stream, range(MOST_LINES))]  # noqa: B905
    except (OSError, UnicodeDecodeError) as error:
        raise errors.DataError("cannot be read as text in UTF-8", file=str(path)) from error
    left_out = {normalised(text) for text in leave_out}
    kept = [line for line in lines if line and line not in left_out]
    if not kept:
        raise errors.DataError("holds no text", file=str(path))
    return CharacterModel(kept)
