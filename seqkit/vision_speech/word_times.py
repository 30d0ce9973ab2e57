"""When words are said: where CTC has their characters, within the part of a clip that is loud.

Knows readings and waves; not models. CTC tells what is said more exactly than when: it may say the
characters of the first word before the speaker does, and the last ones anywhere in the silence after
them. Sound tells where the silence is. On the clips of GRID that are kept out, starts and ends are 0.07 s
off with sound, and 0.14 s by lips alone.

Shape suffixes: S samples, T frames, V ids.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.vision_speech import ctc
from seqkit.vision_speech.corpus import SAMPLES_PER_FRAME
from seqkit.vision_speech.decoding import Reading
from seqkit.vision_speech.interface import Word
from seqkit.vision_speech.model import FPS
from seqkit.vision_speech.texts import BLANK, Alphabet

__all__ = ["loud_part", "words_of"]

#: Frames between two characters of a word that are still part of it: within words there are at most 2,
#: after the last word of a sentence there may be many.
LONGEST_GAP = 3
#: Most frames that a word begins before its first character, where CTC has a space there.
LEAD = 4
#: A frame is loud above the middle, in dB, of the quietest tenth and the loudest twentieth, if so far apart.
QUIET, LOUD, LEAST_RANGE = 0.1, 0.95, 15.0
#: Of a character outside the loud part.
UNLIKELY = -1e3
_SPACE = 3


def words_of(
    reading: Reading, alphabet: Alphabet, wave_S: npt.NDArray[np.float32] | None = None
) -> tuple[Word, ...]:
    """Words with the times at which CTC has their characters; none where CTC cannot say the text.

    Parameters
    ----------
    wave_S : the clip's sound, if there is any.
    """
    ids = list(reading.ids)
    log_TV = reading.log_TV
    if wave_S is not None:
        log_TV = _silenced(log_TV, *loud_part(wave_S, len(log_TV)))
    try:
        spans = ctc.align(log_TV, ids, BLANK)
    except errors.UsageError:
        return ()
    words: list[Word] = []
    letters: list[int] = []
    for place in range(len(ids) + 1):
        if place < len(ids) and ids[place] != _SPACE:
            letters.append(place)
        elif letters:
            text = alphabet.decode(ids[letter] for letter in letters)
            start, end = _extent([spans[letter] for letter in letters])
            if letters[0]:
                # Where words are not parted by a pause, one begins where the other ends.
                start = max(spans[letters[0] - 1][0], start - LEAD)
            words.append(Word(text, start / FPS, end / FPS))
            letters = []
    return tuple(words)


def loud_part(wave_S: npt.NDArray[np.float32], frames: int) -> tuple[int, int]:
    """First loud frame and the one after the last; all frames where none is much louder than others.

    Examples
    --------
    >>> wave_S = np.random.default_rng(0).normal(size=6400).astype(np.float32)
    >>> wave_S[:1280] *= 0.001
    >>> loud_part(wave_S, 10)
    (2, 10)
    """
    held_S = np.zeros(frames * SAMPLES_PER_FRAME)
    samples = min(len(held_S), len(wave_S))
    held_S[:samples] = wave_S[:samples]
    power_T = np.square(held_S).reshape(frames, SAMPLES_PER_FRAME).mean(axis=1)
    level_T = 10 * np.log10(power_T + 1e-10)
    quiet, loud = np.quantile(level_T, (QUIET, LOUD))
    if loud - quiet < LEAST_RANGE:
        return 0, frames
    places = np.flatnonzero(level_T > (quiet + loud) / 2)
    return int(places[0]), int(places[-1]) + 1


def _silenced(log_TV: npt.NDArray[np.float32], first: int, end: int) -> npt.NDArray[np.float32]:
    """With characters unlikely outside some frames; still possible, for where a text does not fit in."""
    silenced_TV = log_TV.copy()
    for outside in (slice(0, first), slice(end, None)):
        silenced_TV[outside, BLANK + 1 :] += UNLIKELY
    return silenced_TV


def _extent(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """First frame of a word and the one after its last; characters after a long gap do not count."""
    start, end = spans[0]
    for following, until in spans[1:]:
        if following - end > LONGEST_GAP:
            break
        end = until
    return start, end
