"""The stem that hears waves: a wav2vec 2.0 model, brought to the rate of speech frames.

Baevski et al. (NeurIPS 2020), by transformers' own class, as in Pan et al. (ACL 2022): its
frames, of 20 ms, are joined in pairs by a linear map. Knows waves and sizes; not files. Like the
other stems it is independent of padding.

Shape suffixes: B clips, S samples, T frames (25 per second), U frames of wav2vec 2.0, H its width,
D model size.
"""

import dataclasses
import math
from typing import Any

import torch
import transformers
from torch import nn

from seqkit import errors

__all__ = ["UNUSED", "WaveSizes", "WaveStem"]

#: What stands for hidden frames in self-supervision, and for nothing here.
UNUSED = "masked_spec_embed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveSizes:
    """Sizes of a wav2vec 2.0 model, named as transformers names them."""

    hidden_size: int = 192
    """H."""
    num_hidden_layers: int = 4
    """Layers of the Transformer."""
    num_attention_heads: int = 4
    """Its heads of attention."""
    intermediate_size: int = 384
    """Width of its feed-forward layers."""
    conv_dim: tuple[int, ...] = (128,) * 7
    """Channels of each convolution over samples."""
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    """Their widths."""
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    """Their steps."""
    conv_bias: bool = False
    """Whether they have a bias."""
    feat_extract_norm: str = "layer"
    """How they are normalised: every layer by frame (layer), or the first one over time (group)."""
    do_stable_layer_norm: bool = True
    """Whether the Transformer normalises before its sub-layers."""
    num_conv_pos_embeddings: int = 32
    """Width of the convolution that tells positions."""
    num_conv_pos_embedding_groups: int = 8
    """Its groups."""

    def __post_init__(self) -> None:
        """Check every field once."""
        counts = [value for value in dataclasses.asdict(self).values() if type(value) is int]
        if min(*counts, *self.conv_dim, *self.conv_kernel, *self.conv_stride) < 1:
            raise errors.UsageError("sizes of wav2vec 2.0 must be at least 1")
        if not len(self.conv_dim) == len(self.conv_kernel) == len(self.conv_stride) > 0:
            raise errors.UsageError("conv_dim, conv_kernel and conv_stride must be of one length")
        if any(kernel < stride for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True)):
            raise errors.UsageError("conv_kernel must not be less than conv_stride")
        if self.feat_extract_norm not in ("layer", "group"):
            raise errors.UsageError("feat_extract_norm must be layer or group")
        for name in ("num_attention_heads", "num_conv_pos_embedding_groups"):
            if self.hidden_size % getattr(self, name):
                raise errors.UsageError(f"hidden_size must be a multiple of {name}")

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(self.conv_stride)

    @property
    def field(self) -> int:
        """Samples that a frame is made of."""
        samples, step = 1, 1
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            samples += (kernel - 1) * step
            step *= stride
        return samples

    def theirs(self, **more: object) -> transformers.Wav2Vec2Config:
        """Options of transformers' class; `more` beside the sizes."""
        return transformers.Wav2Vec2Config(**{"layerdrop": 0.0, **dataclasses.asdict(self), **more})

    @classmethod
    def of(cls, config: transformers.Wav2Vec2Config) -> "WaveSizes":
        """The sizes of transformers' options.

        Raises
        ------
        UsageError
            if they make no model, or ask for parts that the stem does not have.
        """
        if config.add_adapter or config.hidden_act != "gelu" or config.feat_extract_activation != "gelu":
            raise errors.UsageError("has an adapter or other activations than gelu, which are not supported")
        told: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            value = getattr(config, field.name)
            told[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**told)


class WaveStem(nn.Module):
    """A wav2vec 2.0 model over waves, then a linear map over all of its frames in one of speech.

    Parameters
    ----------
    sizes : of the model.
    d_model : D.
    samples : in a frame of speech; a multiple of `sizes.hop`.
    dropout : after the Transformer's sub-layers, in training.

    Examples
    --------
    >>> sizes = WaveSizes(hidden_size=16, num_hidden_layers=1, intermediate_size=16, conv_dim=(8,) * 7)
    >>> stem = WaveStem(sizes, d_model=12, samples=640, dropout=0.0).eval()
    >>> stem(torch.zeros(2, 6400), torch.ones(2, 10, dtype=torch.bool)).shape
    torch.Size([2, 10, 12])
    """

    def __init__(self, sizes: WaveSizes, d_model: int, samples: int, dropout: float) -> None:
        super().__init__()
        self.sizes, self.samples = sizes, samples
        # Spans of time are hidden by whoever makes the batches, in the same way for every stem.
        hidden = {"mask_time_prob": 0.0, "apply_spec_augment": False}
        self.wave = transformers.Wav2Vec2Model(
            sizes.theirs(hidden_dropout=dropout, attention_dropout=dropout, **hidden)
        )
        self.out = nn.Linear(samples // sizes.hop * sizes.hidden_size, d_model)

    def forward(self, waves_BS: torch.Tensor, real_BT: torch.Tensor) -> torch.Tensor:
        """Vectors (B, T, D) of waves (B, 640 T); `real_BT` says which frames are not padding."""
        lengths_B = real_BT.sum(dim=1) * self.samples
        # So many zeros around the wave that every frame is in the middle of what it is made of.
        around = self.sizes.field - self.sizes.hop
        waves_BS = nn.functional.pad(_normalised(waves_BS, lengths_B), (around // 2, around - around // 2))
        states_BUH = self._states(waves_BS, lengths_B + around)
        states_BTH = states_BUH.reshape(*real_BT.shape, -1)
        return self.out(states_BTH) * real_BT[..., None]

    def _states(self, waves_BS: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        if self.sizes.feat_extract_norm == "layer":
            real_BS = torch.arange(waves_BS.shape[1], device=waves_BS.device) < lengths_B[:, None]
            return self.wave(waves_BS, attention_mask=real_BS.long()).last_hidden_state
        # A norm over time would see the padding.
        rows = [
            self.wave(wave_S[None, : int(length)]).last_hidden_state[0]
            for wave_S, length in zip(waves_BS, lengths_B, strict=True)
        ]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _normalised(waves_BS: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """Waves of mean 0 and variance 1, as wav2vec 2.0 learned them; beyond their lengths 0."""
    real_BS = torch.arange(waves_BS.shape[1], device=waves_BS.device) < lengths_B[:, None]
    count_B1 = lengths_B[:, None].clamp(min=1)
    waves_BS = waves_BS * real_BS
    waves_BS = (waves_BS - waves_BS.sum(dim=1, keepdim=True) / count_B1) * real_BS
    variance_B1 = waves_BS.square().sum(dim=1, keepdim=True) / count_B1
    return waves_BS / (variance_B1 + 1e-7).sqrt()
