"""How well speech is transcribed: error rates of words and characters, by modality and noise.

Knows clips, texts and transcribers; not networks. Rates are jiwer's; their intervals
hold 95 % of resamples of the clips. Babble is made of the other clips, and is the same
for all transcribers and modalities.

Shape suffixes: N clips.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jiwer
import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.io import audio, video
from seqkit.vision_speech import noise
from seqkit.vision_speech.faces import CascadeFaces, FaceConfig, FaceFinder
from seqkit.vision_speech.interface import Clip, Transcriber
from seqkit.vision_speech.manifest import Line
from seqkit.vision_speech.model import FPS, RATE
from seqkit.vision_speech.mouths import find_mouths
from seqkit.vision_speech.texts import normalised

__all__ = ["CLEAN", "MODALITIES", "Condition", "Rate", "Result", "Said", "conditions", "evaluate", "read"]

MODALITIES = ("audio", "video", "av")
#: The signal-to-noise ratio of a clip as it is.
CLEAN = float("inf")
RESAMPLES = 1000
#: Voices in babble, and clips that are transcribed at a time.
SPEAKERS, BATCH = 4, 8
#: Clips are whole in memory, so they must be short, in seconds.
LONGEST = 120.0


@dataclasses.dataclass(frozen=True)
class Said:
    """A clip with what is said in it."""

    name: str
    text: str
    clip: Clip


@dataclasses.dataclass(frozen=True)
class Condition:
    """What a transcriber is given: one of `MODALITIES`, and babble at some decibels over the sound."""

    modality: str
    decibels: float = CLEAN


@dataclasses.dataclass(frozen=True)
class Rate:
    """Errors per word or character of the truth, and what 95 % of resamples of the clips lie within."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a condition.

    Attributes
    ----------
    words, characters : error rates.
    texts : what was transcribed, by clip.
    """

    condition: Condition
    words: Rate
    characters: Rate
    texts: dict[str, str]


def read(
    lines: Sequence[Line], *, finder: FaceFinder | None = None, advance: Callable[[float], None] | None = None
) -> list[Said]:
    """Clips of a list, with the modalities that they have.

    Raises
    ------
    DataError
        if a clip cannot be read, is longer than `LONGEST`, or nothing is said in it.
    """
    finder = CascadeFaces() if finder is None else finder
    found = []
    for line in lines:
        if not line.text:
            raise errors.DataError("has no text to compare with", file=str(line.file))
        found.append(Said(line.name, line.text, _clip(line, finder)))
        if advance is not None:
            advance(1)
    return found


def _clip(line: Line, finder: FaceFinder) -> Clip:
    wave_S = audio.load(line.file, RATE, LONGEST + 1) if video.has_sound(line.file) else None
    frames: list[npt.NDArray[np.uint8]] = []
    if video.has_video(line.file):
        for frame in video.read_frames(line.file, fps=FPS):
            frames.append(frame.grey_HW)
            if len(frames) > LONGEST * FPS:
                break
    count = len(frames) or (0 if wave_S is None else -(-len(wave_S) * FPS // RATE))
    if not 0 < count <= LONGEST * FPS:
        raise errors.DataError(f"is not between 0 and {LONGEST:.0f} s long", file=str(line.file))
    if wave_S is not None:
        size = count * RATE // FPS
        wave_S = np.pad(wave_S[:size], (0, max(0, size - len(wave_S))))
    if not frames:
        return Clip(count, wave_S)
    mouths = find_mouths(frames, finder, faces=FaceConfig())
    return Clip(count, wave_S, mouths.grey_THW, mouths.seen_T)


def conditions(
    clips: Sequence[Said], uses: frozenset[str], modalities: Sequence[str], decibels: Sequence[float]
) -> list[Condition]:
    """Conditions that all of some clips, and a transcriber, allow; lips hear no noise.

    Raises
    ------
    UsageError
        if there is none, or a modality is none of `MODALITIES`.
    """
    unknown = [modality for modality in modalities if modality not in MODALITIES]
    if unknown:
        raise errors.UsageError(f"{unknown[0]!r} is none of {', '.join(MODALITIES)}", hint="--modality")
    sound = "audio" in uses and all(said.clip.wave_S is not None for said in clips)
    sight = "video" in uses and all(said.clip.mouths_THW is not None for said in clips)
    able = {"audio": sound, "video": sight, "av": sound and sight}
    asked = [modality for modality in modalities if able[modality]]
    if not asked or not clips:
        raise errors.UsageError(f"neither {' nor '.join(modalities)} is there in all clips and in the model")
    return [
        Condition(modality, level)
        for modality in asked
        for level in ((CLEAN,) if modality == "video" else decibels)
    ]


def evaluate(
    transcriber: Transcriber,
    clips: Sequence[Said],
    asked: Sequence[Condition],
    *,
    seed: int = 0,
    advance: Callable[[float], None] | None = None,
) -> list[Result]:
    """Error rates of a transcriber under some conditions.

    Raises
    ------
    UsageError
        if there are too few clips to make babble of.
    """
    return [_result(transcriber, clips, condition, seed, advance) for condition in asked]


def _result(
    transcriber: Transcriber,
    clips: Sequence[Said],
    condition: Condition,
    seed: int,
    advance: Callable[[float], None] | None,
) -> Result:
    texts: list[str] = []
    for first in range(0, len(clips), BATCH):
        places = range(first, min(first + BATCH, len(clips)))
        heard = transcriber.transcribe([_given(clips, place, condition, seed) for place in places])
        texts += [normalised(one.text) for one in heard]
        if advance is not None:
            advance(len(places))
    truth = [said.text for said in clips]
    return Result(
        condition,
        _rate(truth, texts, jiwer.process_words, seed),
        _rate(truth, texts, jiwer.process_characters, seed),
        {said.name: text for said, text in zip(clips, texts, strict=True)},
    )


def _given(clips: Sequence[Said], place: int, condition: Condition, seed: int) -> Clip:
    """A clip as a condition has it; its babble depends on seed and place alone."""
    clip = clips[place].clip
    wave_S = None if condition.modality == "video" else clip.wave_S
    if wave_S is not None and condition.decibels != CLEAN:
        rng = np.random.default_rng((seed, place))
        others = [said.clip.wave_S for index, said in enumerate(clips) if index != place]
        voices = [other_S for other_S in others if other_S is not None and len(other_S)]
        babble_S = noise.babble(voices, len(wave_S), rng, speakers=SPEAKERS)
        wave_S = noise.at_snr(wave_S, babble_S, condition.decibels)
    if condition.modality == "audio":
        return Clip(clip.frames, wave_S)
    return Clip(clip.frames, wave_S, clip.mouths_THW, clip.seen_T)


def _rate(
    truth: Sequence[str], texts: Sequence[str], process: Callable[[str, str], jiwer.WordOutput], seed: int
) -> Rate:
    """Errors of all clips over units of all clips, and its interval."""
    counts_N2 = np.array([_counts(process(*pair)) for pair in zip(truth, texts, strict=True)], np.float64)
    rng = np.random.default_rng(seed)
    drawn_RN = rng.integers(len(counts_N2), size=(RESAMPLES, len(counts_N2)))
    sums_R2 = counts_N2[drawn_RN].sum(axis=1)
    low, high = np.percentile(sums_R2[:, 0] / sums_R2[:, 1], [2.5, 97.5])
    errors_, units = counts_N2.sum(axis=0)
    return Rate(float(errors_ / units), float(low), float(high))


def _counts(output: jiwer.WordOutput) -> tuple[int, int]:
    """Errors, and words or characters of the truth."""
    wrong = output.substitutions + output.deletions
    return wrong + output.insertions, output.hits + wrong
