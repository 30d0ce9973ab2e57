"""Sentences to unit vectors: a small Transformer that learned a large one's space.

The teacher (MiniLM) is used when training only. Knows token ids; not sounds or files.

Shape suffixes: B sentences, L tokens, D width, W width of vectors.
"""

import dataclasses

import torch
from torch import nn

from seqkit.backbone.config import BackboneConfig
from seqkit.backbone.sequence import SequenceModel

__all__ = ["SentenceConfig", "SentenceEncoder", "distillation_loss"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentenceConfig:
    """Sizes of a sentence encoder."""

    vocab_size: int = 2048
    """Of the tokenizer."""
    d_model: int = 192
    """D."""
    heads: int = 4
    """Heads of attention."""
    layers: int = 2
    """Layers."""
    width: int = 384
    """W."""


class SentenceEncoder(nn.Module):
    """Token ids to unit vectors: the mean of the last states, then a linear layer.

    Examples
    --------
    >>> encoder = SentenceEncoder(SentenceConfig(vocab_size=20, d_model=8, heads=2, layers=1, width=6))
    >>> encoder(torch.tensor([[4, 5, 6], [7, 0, 0]])).norm(dim=-1).round(decimals=4).tolist()
    [1.0, 1.0]
    """

    def __init__(self, config: SentenceConfig) -> None:
        super().__init__()
        self.config = config
        self.network = SequenceModel(
            BackboneConfig(
                vocab_size=config.vocab_size,
                d_model=config.d_model,
                heads=config.heads,
                layout="encoder",
                encoder_layers=config.layers,
                dropout=0.05,
            )
        )
        self.out = nn.Linear(config.d_model, config.width)

    def forward(self, ids_BL: torch.Tensor) -> torch.Tensor:
        """Unit vectors (B, W); padding (0) is not read."""
        real_BL = ids_BL != 0
        states_BLD = self.network.states(ids_BL, attention_mask=real_BL.long())
        total_BD = (states_BLD * real_BL[..., None]).sum(dim=1)
        mean_BD = total_BD / real_BL.sum(dim=1, keepdim=True).clamp(min=1)
        return nn.functional.normalize(self.out(mean_BD), dim=-1)


def distillation_loss(own_BW: torch.Tensor, teacher_BW: torch.Tensor) -> torch.Tensor:
    """How far vectors are from the teacher's, and how far the cosines between sentences are."""
    near = 1 - (own_BW * teacher_BW).sum(dim=-1).mean()
    between = (own_BW @ own_BW.T - teacher_BW @ teacher_BW.T).square().mean()
    return near + between
