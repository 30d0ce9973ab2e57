"""How well speech is transcribed: error rates of words and characters, by modality and noise.

Knows clips with texts and transcribers; not files or networks. Errors are counted by
jiwer; intervals hold 95 % of resamples of the clips. Babble is made of the other clips,
and is the same for all transcribers and modalities.

Shape suffixes: N clips, R resamples.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import jiwer
import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.vision_speech import noise
from seqkit.vision_speech.corpus import Example
from seqkit.vision_speech.interface import Clip, Transcriber
from seqkit.vision_speech.texts import normalised

__all__ = ["MODALITIES", "Cell", "Rate", "clip_of", "evaluate", "rates"]

MODALITIES = ("audio", "video", "av")
RESAMPLES = 1000
#: Voices in babble, and clips that are transcribed at a time.
SPEAKERS, BATCH = 4, 8


@dataclasses.dataclass(frozen=True)
class Rate:
    """Errors per word or character of the truth, and what 95 % of resamples of the clips lie within."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Cell:
    """What came of one modality at one level of noise.

    Attributes
    ----------
    modality : one of `MODALITIES`.
    decibels : signal-to-noise ratio of the babble; None without any.
    words, characters : error rates.
    texts : what was transcribed, by clip.
    """

    modality: str
    decibels: float | None
    words: Rate
    characters: Rate
    texts: dict[str, str]


def evaluate(
    transcriber: Transcriber,
    examples: Sequence[Example],
    *,
    modalities: Sequence[str] = MODALITIES,
    decibels: Sequence[float] = (),
    seed: int = 0,
    advance: Callable[[float], None] = lambda amount: None,
) -> list[Cell]:
    """Error rates by each modality that there is, without noise and with each level of babble.

    What a transcriber has no use for is left out, and so is what no clip has.

    Parameters
    ----------
    decibels : signal-to-noise ratios; lips alone hear no noise, so they have none.
    seed : of babble and of resamples.
    advance : told how many clips were transcribed.

    Raises
    ------
    UsageError
        if a modality is none of `MODALITIES` or none can be used, or clips are too few to make babble of.
    DataError
        if a clip has no text.
    """
    unknown = [modality for modality in modalities if modality not in MODALITIES]
    if unknown:
        raise errors.UsageError(f"{unknown[0]!r} is none of {', '.join(MODALITIES)}", hint="--modalities")
    needs = {"audio": {"audio"}, "video": {"video"}, "av": {"audio", "video"}}
    usable = [modality for modality in modalities if needs[modality] <= transcriber.uses & _there(examples)]
    if not usable:
        raise errors.UsageError(
            f"the model or the clips have no {' or '.join(modalities)}", hint="--modalities"
        )
    for example in examples:
        if not example.line.text:
            raise errors.DataError("has no text to compare with", file=str(example.line.file))
    return [
        _cell(transcriber, examples, modality, level, seed, advance)
        for modality in usable
        for level in ((None,) if modality == "video" else (None, *decibels))
    ]


def clip_of(
    examples: Sequence[Example], place: int, modality: str, decibels: float | None = None, seed: int = 0
) -> Clip:
    """One clip by a modality, with babble of the others over it; the babble is by seed and place alone."""
    example = examples[place]
    wave_S = None if modality == "video" else _floats(example)
    if wave_S is not None and decibels is not None:
        voices = [_floats(other) for index, other in enumerate(examples) if index != place]
        rng = np.random.default_rng((seed, place))
        babble_S = noise.babble(voices, len(wave_S), rng, speakers=SPEAKERS)
        wave_S = noise.at_snr(wave_S, babble_S, decibels)
    if modality == "audio":
        return Clip(example.frames, wave_S)
    return Clip(example.frames, wave_S, np.asarray(example.mouths_THW), np.asarray(example.seen_T))


def rates(pairs: Iterable[tuple[str, str]], seed: int = 0) -> tuple[Rate, Rate]:
    """Word and character error rates of pairs of what was said and what was understood.

    Examples
    --------
    >>> words, characters = rates([("set red", "set rod"), ("now", "now")])
    >>> round(words.value, 3), round(characters.value, 3)
    (0.333, 0.1)
    """
    words, characters = [], []
    for truth, text in pairs:
        words.append(_counts(jiwer.process_words(truth, text)))
        characters.append(_counts(jiwer.process_characters(truth, text)))
    return _rate(words, seed), _rate(characters, seed)


def _there(examples: Sequence[Example]) -> set[str]:
    """What any clip has."""
    there = {
        "audio": any(one.wave_S.any() for one in examples),
        "video": any(one.seen_T.any() for one in examples),
    }
    return {name for name, has in there.items() if has}


def _cell(
    transcriber: Transcriber,
    examples: Sequence[Example],
    modality: str,
    decibels: float | None,
    seed: int,
    advance: Callable[[float], None],
) -> Cell:
    texts: list[str] = []
    for first in range(0, len(examples), BATCH):
        places = range(first, min(first + BATCH, len(examples)))
        clips = [clip_of(examples, place, modality, decibels, seed) for place in places]
        texts += [normalised(heard.text) for heard in transcriber.transcribe(clips)]
        advance(len(places))
    words, characters = rates(
        ((example.line.text, text) for example, text in zip(examples, texts, strict=True)), seed
    )
    named = {example.line.name: text for example, text in zip(examples, texts, strict=True)}
    return Cell(modality, decibels, words, characters, named)


def _floats(example: Example) -> npt.NDArray[np.float32]:
    return np.multiply(example.wave_S, 1 / 32768, dtype=np.float32)


def _counts(output: jiwer.WordOutput | jiwer.CharacterOutput) -> tuple[int, int]:
    """Errors, and words or characters of the truth."""
    missed = output.substitutions + output.deletions
    return missed + output.insertions, output.hits + missed


def _rate(counts: Sequence[tuple[int, int]], seed: int) -> Rate:
    """Errors of all clips over units of all clips, and its interval."""
    if not counts:
        raise errors.UsageError("there are no clips to evaluate")
    counts_N2 = np.array(counts, np.float64)
    rng = np.random.default_rng(seed)
    drawn_RN = rng.integers(len(counts), size=(RESAMPLES, len(counts)))
    sums_R2 = counts_N2[drawn_RN].sum(axis=1)
    low, high = np.percentile(sums_R2[:, 0] / sums_R2[:, 1], [2.5, 97.5])
    wrong, units = counts_N2.sum(axis=0)
    return Rate(float(wrong / units), float(low), float(high))
