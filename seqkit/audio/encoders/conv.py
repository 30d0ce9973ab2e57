"""A light convolutional sound encoder for processors without an accelerator.

Residual blocks of dense 3 x 3 convolutions (He et al., arXiv 1512.03385). Depthwise ones, as MobileNet and
the teachers have them, need fewer operations and yet take seven times as long to train on a processor: a step
of 32 pieces of five seconds took 4.3 s with them, and 0.6 s with these in bfloat16. Bands are not averaged at
the end but read by a linear layer, which so knows their pitch; and what lies behind the end of a clip is set
to 0 before every convolution over time and left out of every mean, so that a clip's frames, logits and vector
do not depend on what it is batched with (in evaluation mode).

See `seqkit.audio.encoders.heard` for how it is called.

Shape suffixes: B clips, K channels, T feature frames, M mel bands, U frames of the encoder, D its width,
C classes.
"""

import dataclasses

import torch
from torch import nn

from seqkit import errors
from seqkit.audio import features
from seqkit.audio.encoders.heard import Heard, SoundEncoder, real_frames

__all__ = ["ConvConfig", "ConvEncoder"]

#: Channels after a block, and its stride over time and bands.
_BLOCKS = ((48, 2), (96, 2), (160, 2), (160, 1))
_STEM = 24
_THINNING = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvConfig:
    """Sizes of a `ConvEncoder`."""

    mel: features.LogMelConfig = dataclasses.field(default_factory=features.LogMelConfig)
    """What it reads."""
    width: int = 256
    """D, of frames and of the vector."""
    multiplier: float = 1.0
    """Times the channels of every block."""
    classes: int = 527
    """AudioSet's."""
    dropout: float = 0.2
    """Before the class logits, in training."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if min(self.width, self.classes) < 1 or not self.multiplier > 0:
            raise errors.UsageError("width, classes and multiplier must be above 0")
        if self.mel.mels % _THINNING:
            raise errors.UsageError(f"{self.mel.mels} mels are not a multiple of {_THINNING}")
        if not 0 <= self.dropout < 1:
            raise errors.UsageError(f"dropout {self.dropout} is outside [0, 1)")

    def channels(self, count: int) -> int:
        """Channels of a block, in eights."""
        return max(8, int(count * self.multiplier + 4) // 8 * 8)


class ConvEncoder(SoundEncoder):
    """Log-mel energies to 6.25 frames per second, class logits and a vector.

    Examples
    --------
    >>> encoder = ConvEncoder(ConvConfig(multiplier=0.25, width=32)).eval()
    >>> heard = encoder.hear([torch.zeros(32_000), torch.zeros(16_000)])
    >>> heard.frames_BUD.shape, heard.real_BU.sum(1).tolist(), heard.logits_BC.shape
    (torch.Size([2, 7, 32]), [7, 4], torch.Size([2, 527]))
    """

    def __init__(self, config: ConvConfig) -> None:
        super().__init__(config.mel)
        self.config, self.width, self.classes, self.thinning = config, config.width, config.classes, _THINNING
        first = config.channels(_STEM)
        self.stem = _Convolution(1, first, 5, 2)
        self.blocks = nn.ModuleList()
        for count, stride in _BLOCKS:
            self.blocks.append(_Block(first, config.channels(count), stride))
            first = config.channels(count)
        bands = config.mel.mels // _THINNING
        self.to_frames = nn.Sequential(
            nn.Linear(first * bands, config.width), nn.LayerNorm(config.width), nn.Hardswish()
        )
        self.attention = nn.Linear(config.width, 1)
        self.to_vector = nn.Sequential(nn.Linear(2 * config.width, config.width), nn.Hardswish())
        self.dropout = nn.Dropout(config.dropout)
        self.to_logits = nn.Linear(config.width, config.classes)
        # Most classes are silent most of the time: a first guess that spares the first steps.
        nn.init.constant_(self.to_logits.bias, -5.0)

    def forward(self, features_BTM: torch.Tensor, lengths_B: torch.Tensor | None = None) -> Heard:
        """What is heard in log-mel energies (B, T, M), of which the first `lengths_B` frames are real."""
        batch, length = features_BTM.shape[:2]
        real_BT = real_frames(lengths_B, batch, length, features_BTM)
        # The layout in which processors convolve fastest, in bfloat16 above all.
        x_BKTM = features_BTM[:, None].contiguous(memory_format=torch.channels_last)
        x_BKTM, real_BT = self.stem(_masked(x_BKTM, real_BT)).relu(), _thinned(real_BT, 2)
        for block in self.blocks:
            x_BKTM, real_BT = block(x_BKTM, real_BT)
        frames_BUD = self.to_frames(x_BKTM.transpose(1, 2).flatten(2)) * real_BT[:, :, None]
        vector_BD = self._pool(frames_BUD, real_BT)
        return Heard(frames_BUD, real_BT, self.to_logits(self.dropout(vector_BD)), vector_BD)

    def _pool(self, frames_BUD: torch.Tensor, real_BU: torch.Tensor) -> torch.Tensor:
        """The mean of frames beside their mean weighted by attention, which short events draw to them."""
        weights_BU = real_BU / real_BU.sum(1, keepdim=True)
        lowest = torch.finfo(frames_BUD.dtype).min
        scores_BU = self.attention(frames_BUD)[:, :, 0].masked_fill(~real_BU, lowest)
        both_B2U = torch.stack([weights_BU.to(scores_BU.dtype), scores_BU.softmax(1)], 1)
        vector_BD: torch.Tensor = self.to_vector((both_B2U @ frames_BUD).flatten(1))
        return vector_BD


class _Convolution(nn.Sequential):
    """Convolution and batch normalisation."""

    def __init__(self, inward: int, outward: int, kernel: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inward, outward, kernel, stride=stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outward),
        )


class _Block(nn.Module):
    """Two convolutions, added to what came in, which is thinned and widened where shapes differ."""

    def __init__(self, inward: int, outward: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = _Convolution(inward, outward, 3, stride)
        self.second = _Convolution(outward, outward, 3, 1)
        is_same = inward == outward and stride == 1
        self.aside = nn.Identity() if is_same else _Convolution(inward, outward, 1, stride)

    def forward(self, x_BKTM: torch.Tensor, real_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        real_BU = _thinned(real_BT, self.stride)
        y_BKUM = self.first(_masked(x_BKTM, real_BT)).relu()
        added: torch.Tensor = self.second(_masked(y_BKUM, real_BU)) + self.aside(x_BKTM)
        return added.relu(), real_BU


def _masked(x_BKTM: torch.Tensor, real_BT: torch.Tensor) -> torch.Tensor:
    """0 behind the end, where a convolution over time would look: as if the clip were alone."""
    return x_BKTM if bool(real_BT.all()) else x_BKTM * real_BT[:, None, :, None]


def _thinned(real_BT: torch.Tensor, stride: int) -> torch.Tensor:
    """Which places after a convolution are real; it gives half as many, rounded up, as this does."""
    return real_BT[:, ::stride]
