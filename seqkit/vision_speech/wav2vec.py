"""wav2vec 2.0 on sound: a small model learns waves before it is shown any text.

Baevski et al. (NeurIPS 2020, arXiv 2006.11477), by transformers' own classes; what it
leaves is a folder in their layout. Knows waves; not lips or texts.

Shape suffixes: B clips, S samples, T frames of the model (about 50 per second), N negatives.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import nn

from seqkit import errors
from seqkit.vision_speech.wavestem import WaveSizes

__all__ = ["Wav2VecConfig", "Wav2VecTask", "feature_extractor", "hidden_spans", "negative_places"]

#: Frames of a hidden span.
SPAN = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wav2VecConfig:
    """Sizes and how the model is trained."""

    hidden: int = 192
    """Width of the Transformer."""
    layers: int = 4
    """Its layers."""
    heads: int = 4
    """Heads of attention."""
    channels: int = 128
    """Channels of the convolutions over samples."""
    masked: float = 0.5
    """Share of frames that are hidden, in spans of 10."""
    negatives: int = 50
    """N."""
    batch: int = 8
    """B."""
    seconds: float = 3.0
    """Longest piece of a clip."""
    warmest: float = 2.0
    """Temperature of choosing codes at the beginning."""
    coolest: float = 0.5
    """Temperature at the end."""
    seed: int = 0
    """Everything random follows from it."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.hidden % self.heads or min(self.layers, self.channels, self.negatives, self.batch) < 1:
            raise errors.UsageError("hidden must be a multiple of heads; sizes at least 1")
        if not 0 < self.masked < 1 or not 0 < self.coolest <= self.warmest:
            raise errors.UsageError("masked is a share, temperatures are above 0 and fall")

    def theirs(self) -> transformers.Wav2Vec2Config:
        """Options of transformers' class."""
        sizes = WaveSizes(
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=2 * self.hidden,
            conv_dim=(self.channels,) * 7,
        )
        return sizes.theirs(
            vocab_size=32,
            codevector_dim=self.hidden,
            proj_codevector_dim=self.hidden,
            num_negatives=self.negatives,
            mask_time_prob=self.masked,
        )


def feature_extractor() -> transformers.Wav2Vec2FeatureExtractor:
    """What brings waves to the model as it learned them: 16 kHz, of mean 0 and variance 1."""
    return transformers.Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=16_000,
        padding_value=0.0,
        do_normalize=True,
        return_attention_mask=True,
    )


class Wav2VecTask(nn.Module):
    """A model with the waves that it learns from.

    Parameters
    ----------
    waves : int16 or float32 (S,), at 16 kHz.
    steps : of the whole schedule, over which the temperature falls.
    """

    def __init__(self, waves: Sequence[npt.NDArray[np.generic]], config: Wav2VecConfig, steps: int) -> None:
        super().__init__()
        if not waves:
            raise errors.DataError("there is no sound to learn from")
        self.config, self._waves, self._steps = config, waves, steps
        self.model = transformers.Wav2Vec2ForPreTraining(config.theirs())

    def temperature(self, step: int) -> float:
        """Of a step: from the warmest to the coolest, by a constant factor."""
        share = min(1.0, step / max(1, self._steps))
        return self.config.warmest * math.exp(share * math.log(self.config.coolest / self.config.warmest))

    def loss_at(self, step: int) -> torch.Tensor:
        """Contrastive and diversity loss of a step, per hidden frame."""
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        torch.manual_seed(int(rng.integers(2**31)))
        waves_BS = torch.stack([self._piece(rng) for _ in range(config.batch)])
        frames = int(self.model._get_feat_extract_output_lengths(waves_BS.shape[1]))
        hidden_BT = hidden_spans(config.batch, frames, config.masked, rng)
        negatives_BTN = negative_places(hidden_BT, config.negatives, rng)
        self.model.set_gumbel_temperature(self.temperature(step))
        output = self.model(
            waves_BS,
            mask_time_indices=torch.from_numpy(hidden_BT),
            sampled_negative_indices=torch.from_numpy(negatives_BTN),
        )
        loss: torch.Tensor = output.loss / max(1, int(hidden_BT.sum()))
        return loss

    def _piece(self, rng: np.random.Generator) -> torch.Tensor:
        """A stretch of a clip, of mean 0 and variance 1, with silence where the clip is shorter."""
        wave_S = self._waves[int(rng.integers(len(self._waves)))]
        size = round(self.config.seconds * 16_000)
        start = int(rng.integers(0, max(1, len(wave_S) - size + 1)))
        piece_S = torch.from_numpy(np.asarray(wave_S[start : start + size], dtype=np.float32))
        piece_S = (piece_S - piece_S.mean()) / (piece_S.std() + 1e-5)
        return nn.functional.pad(piece_S, (0, size - len(piece_S)))


def hidden_spans(rows: int, frames: int, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which frames are hidden (B, T): spans that may overlap, so many that without overlap the share is met.

    At least two frames of every row are hidden and one is not, where there are three.
    """
    hidden_BT = np.zeros((rows, frames), bool)
    span = min(SPAN, max(1, frames - 1))
    count = max(1, round(share * frames / span))
    for row_T in hidden_BT:
        for start in rng.integers(0, frames - span + 1, size=count):
            row_T[start : start + span] = True
        if row_T.all():
            row_T[int(rng.integers(frames))] = False
    return hidden_BT


def negative_places(
    hidden_BT: npt.NDArray[np.bool_], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """For every hidden frame other hidden frames of its row (B, T, N), as places in all rows together."""
    rows, frames = hidden_BT.shape
    places_BTN = np.zeros((rows, frames, count), np.int64)
    for row in range(rows):
        hidden = np.flatnonzero(hidden_BT[row])
        if len(hidden) > 1:
            # A step of 1 to all but one around the ring of hidden frames never comes back to its start.
            steps = rng.integers(1, len(hidden), size=(len(hidden), count))
            others = (np.arange(len(hidden))[:, None] + steps) % len(hidden)
            places_BTN[row, hidden] = hidden[others]
        places_BTN[row] += row * frames
    return places_BTN
