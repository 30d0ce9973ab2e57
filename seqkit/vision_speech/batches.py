"""Batches of clips for a step: drawn, disturbed and padded, all from the step's number.

Knows examples and arrays; not models. Of a step everything random follows from the
seed and the step's number, so a run that was stopped goes on as if it had not been.

Shape suffixes: B clips, S samples, T frames, H rows, W columns, L characters.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from seqkit import errors
from seqkit.vision_speech import noise
from seqkit.vision_speech.corpus import SAMPLES_PER_FRAME, Example
from seqkit.vision_speech.model import FPS, Batch
from seqkit.vision_speech.texts import END, PAD, START, Alphabet

__all__ = ["MODALITIES", "DisturbConfig", "Labelled", "Sampler", "plain", "vocabulary"]

MODALITIES = ("audio", "video", "both")
#: What a frame is labelled when nobody speaks, and when nothing is known of it.
PAUSE, UNKNOWN = 0, -100


@dataclasses.dataclass(frozen=True, kw_only=True)
class DisturbConfig:
    """What is done to clips so that a model learns more from few."""

    noisy: float = 0.5
    """Share of clips with babble over the sound."""
    loudest: float = -8.0
    """Least signal-to-noise ratio of babble, in dB."""
    softest: float = 15.0
    """Greatest one."""
    flip: float = 0.5
    """Share of clips whose pictures are mirrored."""
    shift: int = 3
    """Most pixels that a clip's pictures are moved."""
    zoom: float = 0.08
    """Largest share that pictures are made larger or smaller."""
    spans: int = 2
    """Spans of time that are hidden, in each modality apart."""
    span: int = 10
    """Longest of them, in frames."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if not 0 <= self.noisy <= 1 or not 0 <= self.flip <= 1 or not 0 <= self.zoom < 0.5:
            raise errors.UsageError("noisy and flip are shares, zoom is a share below 0.5")
        if min(self.shift, self.spans, self.span) < 0 or self.loudest > self.softest:
            raise errors.UsageError("shift, spans and span must not be negative, loudest not above softest")


@dataclasses.dataclass(frozen=True)
class Labelled:
    """A batch with what should be read in it.

    Attributes
    ----------
    batch : clips.
    ids_BL : int64; the start, a text's characters, the end, padding.
    lengths_B : int64; how many characters each text has, start and end not counted.
    words_BT : int64; the word said in every frame, `PAUSE` for none, `UNKNOWN` beyond what is known.
    """

    batch: Batch
    ids_BL: torch.Tensor
    lengths_B: torch.Tensor
    words_BT: torch.Tensor


def vocabulary(examples: Sequence[Example]) -> dict[str, int]:
    """Numbers of all words whose times are known, from 1."""
    words = sorted({word.text for example in examples for word in example.line.words})
    return {word: number for number, word in enumerate(words, start=1)}


class Sampler:
    """Batches by the number of their step.

    Parameters
    ----------
    examples : what is drawn from; each once before any is drawn again.
    size : clips in a batch.
    seed : everything random follows from it and the step's number.
    shares : how often a batch has sound only, pictures only, both.
    disturb : what is done to clips.
    words : numbers of words.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        size: int,
        seed: int,
        shares: dict[str, float],
        disturb: DisturbConfig,
        words: dict[str, int],
    ) -> None:
        self.examples, self.size, self.seed = examples, size, seed
        self.disturb, self.words = disturb, words
        total = sum(shares.values())
        self.odds = [shares.get(name, 0.0) / total for name in MODALITIES]

    def at(self, step: int) -> Labelled:
        """The batch of a step."""
        rng = np.random.default_rng((self.seed, step))
        chosen = [self.examples[index] for index in self._indices(step)]
        modality = MODALITIES[int(rng.choice(len(MODALITIES), p=self.odds))]
        waves = [self._wave(example, rng) for example in chosen] if modality != "video" else None
        mouths = [_moved(example.mouths_THW, self.disturb, rng) for example in chosen]
        batch = _padded(chosen, waves, mouths if modality != "audio" else None)
        batch = dataclasses.replace(
            batch,
            heard_BT=_but_spans(batch.real_BT, self.disturb, rng),
            seen_BT=None
            if batch.seen_BT is None
            else batch.seen_BT & _but_spans(batch.real_BT, self.disturb, rng),
        )
        return _labelled(batch, chosen, self.words)

    def _indices(self, step: int) -> list[int]:
        """Places in an endless row of shuffled rounds over all examples."""
        count = len(self.examples)
        places = range(step * self.size, (step + 1) * self.size)
        rounds = {place // count for place in places}
        orders = {
            number: np.random.default_rng((self.seed, 1_000_003, number)).permutation(count)
            for number in rounds
        }
        return [int(orders[place // count][place % count]) for place in places]

    def _wave(self, example: Example, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        wave_S = _floats(example)
        if rng.random() < self.disturb.noisy:
            others = [
                _floats(self.examples[int(index)])
                for index in rng.choice(len(self.examples), size=8)
                if self.examples[int(index)] is not example
            ]
            if len(others) >= 2:
                speakers = int(rng.integers(1, min(5, len(others)) + 1))
                voices_S = noise.babble(others, len(wave_S), rng, speakers=speakers)
                ratio = float(rng.uniform(self.disturb.loudest, self.disturb.softest))
                wave_S = noise.at_snr(wave_S, voices_S, ratio)
        return wave_S * np.float32(10 ** rng.uniform(-0.5, 0.5))


def plain(
    examples: Sequence[Example],
    modality: str,
    words: dict[str, int],
    waves: Sequence[npt.NDArray[np.float32]] | None = None,
) -> Labelled:
    """Examples as they are, by one of `MODALITIES`; `waves` (float32) instead of their own, if given."""
    if waves is None:
        waves = [_floats(example) for example in examples]
    mouths = [np.asarray(example.mouths_THW) for example in examples]
    batch = _padded(examples, waves if modality != "video" else None, mouths if modality != "audio" else None)
    return _labelled(batch, examples, words)


def _floats(example: Example) -> npt.NDArray[np.float32]:
    return np.multiply(example.wave_S, 1 / 32768, dtype=np.float32)


def _padded(
    examples: Sequence[Example],
    waves: Sequence[npt.NDArray[np.float32]] | None,
    mouths: Sequence[npt.NDArray[np.uint8]] | None,
) -> Batch:
    frames = [example.frames for example in examples]
    longest = max(frames)
    waves_BS = mouths_BTHW = seen_BT = None
    if waves is not None:
        waves_BS = torch.zeros(len(frames), longest * SAMPLES_PER_FRAME)
        for row, wave_S in enumerate(waves):
            waves_BS[row, : len(wave_S)] = torch.from_numpy(wave_S)
    if mouths is not None:
        mouths_BTHW = torch.zeros(len(frames), longest, *mouths[0].shape[1:], dtype=torch.uint8)
        seen_BT = torch.zeros(len(frames), longest, dtype=torch.bool)
        for row, (example, mouths_THW) in enumerate(zip(examples, mouths, strict=True)):
            mouths_BTHW[row, : len(mouths_THW)] = torch.from_numpy(np.array(mouths_THW))
            seen_BT[row, : example.frames] = torch.from_numpy(np.array(example.seen_T))
    return Batch(frames_B=torch.tensor(frames), waves_BS=waves_BS, mouths_BTHW=mouths_BTHW, seen_BT=seen_BT)


def _labelled(batch: Batch, examples: Sequence[Example], words: dict[str, int]) -> Labelled:
    alphabet = Alphabet()
    spelled = [alphabet.encode(example.line.text) for example in examples]
    longest = max(map(len, spelled))
    ids_BL = torch.full((len(spelled), longest + 2), PAD)
    for row, ids in enumerate(spelled):
        ids_BL[row, : len(ids) + 2] = torch.tensor([START, *ids, END])
    words_BT = torch.full(batch.real_BT.shape, UNKNOWN)
    for row, example in enumerate(examples):
        if example.line.words:
            words_BT[row, : example.frames] = PAUSE
        for word in example.line.words:
            first, end = round(word.start * FPS), round(word.end * FPS)
            words_BT[row, first : min(end, example.frames)] = words.get(word.text, UNKNOWN)
    return Labelled(batch, ids_BL, torch.tensor([len(ids) for ids in spelled]), words_BT)


def _moved(
    mouths_THW: npt.NDArray[np.uint8], disturb: DisturbConfig, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """All of a clip's pictures, mirrored, zoomed and moved alike; edges are repeated."""
    rows, columns = mouths_THW.shape[1:]
    mirrored = rng.random() < disturb.flip
    ratio = 1 + rng.uniform(-disturb.zoom, disturb.zoom)
    down, across = rng.uniform(-disturb.shift, disturb.shift, size=2)
    row_places = _places(rows, ratio, down)
    column_places = _places(columns, ratio, across)
    if mirrored:
        column_places = column_places[::-1]
    return np.asarray(mouths_THW)[:, row_places][:, :, column_places]


def _places(count: int, ratio: float, shift: float) -> npt.NDArray[np.int64]:
    """Which of so many pixels is seen at each place."""
    centre = (count - 1) / 2
    places = np.rint((np.arange(count) - centre) * ratio + centre + shift)
    return np.clip(places, 0, count - 1).astype(np.int64)


def _but_spans(real_BT: torch.Tensor, disturb: DisturbConfig, rng: np.random.Generator) -> torch.Tensor:
    """Everything but a few spans of time, which count as missing."""
    kept_BT = real_BT.clone()
    for row in kept_BT:
        for _ in range(disturb.spans):
            length = int(rng.integers(0, disturb.span + 1))
            start = int(rng.integers(0, max(1, len(row) - length)))
            row[start : start + length] = False
    return kept_BT
