"""Attention: on the sequence itself, on a source, and PALM's partial attention on its own source states.

Keys and values go through the cache that is handed in, whichever it is. This
file knows heads and caches; it does not know who may see whom.

Shape suffixes: B sequences, n new tokens, k keys, T source tokens, D model size, H heads, G key-value heads,
E head size, X any number of heads side by side.
"""

import dataclasses

import torch
from torch import nn
from transformers.cache_utils import Cache

from seqkit.backbone.config import BackboneConfig
from seqkit.backbone.positions import rotate
from seqkit.backbone.sights import Sight

__all__ = ["CrossAttention", "PartialAttention", "SelfAttention", "Source"]

#: Pairs of a query and a key up to which weights are written out in training; see `_written_out`.
WRITTEN_OUT = 512 * 512


@dataclasses.dataclass(frozen=True)
class Source:
    """What tokens read besides their own stack.

    Attributes
    ----------
    hidden_BTD : an encoder's output; None when the cache has what follows from it, and for partial attention.
    sight : what of it they see.
    cache : where keys and values of it are kept, or None.
    """

    hidden_BTD: torch.Tensor | None = None
    sight: Sight = Sight()
    cache: Cache | None = None


def _attend(
    q_BHnE: torch.Tensor, k_BGkE: torch.Tensor, v_BGkE: torch.Tensor, sight: Sight, dropout: float
) -> torch.Tensor:
    """Attention output (B, n, H E)."""
    rows, heads, new, size = q_BHnE.shape
    groups, mask = k_BGkE.shape[1], sight.mask
    if _trains_short(q_BHnE, k_BGkE):
        return _written_out(q_BHnE, k_BGkE, v_BGkE, sight, dropout)
    if new == 1 and heads > groups:
        # Heads that share keys are so many queries of one head: nothing has to be repeated for them.
        q_BHnE = q_BHnE.reshape(rows, groups, heads // groups, size)
        if mask is not None and mask.shape[1] > 1:
            mask = mask.reshape(len(mask), groups, heads // groups, -1)
    output_BHnE = nn.functional.scaled_dot_product_attention(
        q_BHnE,
        k_BGkE,
        v_BGkE,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=sight.is_causal,
        enable_gqa=q_BHnE.shape[1] > groups,
    )
    if new == 1:
        return output_BHnE.reshape(rows, 1, heads * size)
    return output_BHnE.transpose(1, 2).reshape(rows, new, heads * size)


def _trains_short(q_BHnE: torch.Tensor, k_BGkE: torch.Tensor) -> bool:
    """Whether gradients are wanted in bfloat16, on a processor, of a table of weights that is small."""
    if q_BHnE.device.type != "cpu" or not (torch.is_grad_enabled() and q_BHnE.requires_grad):
        return False
    is_autocast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    is_short = q_BHnE.shape[2] * k_BGkE.shape[2] <= WRITTEN_OUT
    return is_short and (is_autocast or q_BHnE.dtype == torch.bfloat16)


def _written_out(
    q_BHnE: torch.Tensor, k_BGkE: torch.Tensor, v_BGkE: torch.Tensor, sight: Sight, dropout: float
) -> torch.Tensor:
    """Attention in bfloat16 by plain products of matrices, (B, n, H E).

    On a processor the fused attention's way back is slow in bfloat16: for 32 rows of 4 heads of 99 and 297
    tokens it took 46 and 185 ms forth and back, this 10 and 83; steps of training on
    4 causal rows of 512 tokens were 6 % faster.
    """
    rows, heads, new, size = q_BHnE.shape
    q, k, v = (
        x.bfloat16().repeat_interleave(heads // x.shape[1], dim=1).reshape(rows * heads, -1, size)
        for x in (q_BHnE, k_BGkE, v_BGkE)
    )
    lowest = torch.finfo(torch.bfloat16).min
    if sight.is_causal:
        hidden = torch.ones(new, k.shape[1], dtype=torch.bool).triu(1)
        mask = torch.zeros(new, k.shape[1], dtype=torch.bfloat16).masked_fill(hidden, lowest)
    elif sight.mask is None:
        mask = torch.zeros((), dtype=torch.bfloat16)
    else:
        mask = sight.mask.to(torch.bfloat16).clamp(min=lowest)
        mask = mask.expand(rows, heads, new, k.shape[1]).reshape(rows * heads, new, k.shape[1])
    scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=size**-0.5)
    weights = nn.functional.dropout(scores.softmax(dim=-1), dropout)
    output_BHnE = torch.bmm(weights, v).view(rows, heads, new, size)
    return output_BHnE.transpose(1, 2).reshape(rows, new, heads * size)


class _Heads(nn.Module):
    """What all kinds of attention share."""

    def __init__(self, config: BackboneConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.dropout = layer, config.dropout
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.out = nn.Linear(config.heads * config.head_dim, config.d_model, bias=config.bias)

    def _split(self, x_BnX: torch.Tensor) -> torch.Tensor:
        """Heads side by side as heads one behind the other, (B, X / E, n, E)."""
        rows, new, _ = x_BnX.shape
        return x_BnX.view(rows, new, -1, self.head_dim).transpose(1, 2)

    def _read(
        self, q_BHnE: torch.Tensor, k_BGkE: torch.Tensor, v_BGkE: torch.Tensor, sight: Sight
    ) -> torch.Tensor:
        dropout = self.dropout if self.training else 0.0
        return self.out(_attend(q_BHnE, k_BGkE, v_BGkE, sight, dropout))


class SelfAttention(_Heads):
    """Attention of new tokens on all tokens of their own stack."""

    def __init__(self, config: BackboneConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.sizes = [config.heads, config.kv_heads, config.kv_heads]
        self.qkv = nn.Linear(config.d_model, sum(self.sizes) * config.head_dim, bias=config.bias)

    def forward(self, x_BnD: torch.Tensor, sight: Sight, cache: Cache | None) -> torch.Tensor:
        """What the tokens read, (B, n, D)."""
        both, v = self._split(self.qkv(x_BnD)).split([self.heads + self.kv_heads, self.kv_heads], dim=1)
        if sight.rotation is not None:
            both = rotate(both, sight.rotation)
        q, k = both.split([self.heads, self.kv_heads], dim=1)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        return self._read(q, k, v, sight)


class CrossAttention(_Heads):
    """Attention on an encoder's output, whose keys and values are computed once and kept in the cache."""

    def __init__(self, config: BackboneConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.q = nn.Linear(config.d_model, config.heads * config.head_dim, bias=config.bias)
        self.kv = nn.Linear(config.d_model, 2 * config.kv_heads * config.head_dim, bias=config.bias)

    def forward(self, x_BnD: torch.Tensor, source: Source) -> torch.Tensor:
        """What the tokens read of the source, (B, n, D)."""
        k, v = self._keys_and_values(source.hidden_BTD, source.cache)
        return self._read(self._split(self.q(x_BnD)), k, v, source.sight)

    def _keys_and_values(
        self, hidden_BTD: torch.Tensor | None, cache: Cache | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if cache is not None and cache.get_seq_length(self.layer):
            held = cache.layers[self.layer]
            return held.keys, held.values
        if hidden_BTD is None:
            raise ValueError("a source that is not in the cache has to be given")
        k, v = self._split(self.kv(hidden_BTD)).chunk(2, dim=1)
        return (k, v) if cache is None else cache.update(k, v, self.layer)


class PartialAttention(CrossAttention):
    """Attention of all tokens on this layer's own source states, put through a small network (PALM).

    P1 = act(W1 S), P = W2 P1 + P1; keys and values come from P; no query is masked (arXiv 2304.04052).
    """

    def __init__(self, config: BackboneConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.first = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.second = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(self, x_BnD: torch.Tensor, source: Source) -> torch.Tensor:
        """What the tokens read of those among them, or of those before them, that are source, (B, n, D)."""
        own_BnD = None
        if source.cache is None or not source.cache.get_seq_length(self.layer):
            inner_BnD = nn.functional.gelu(self.first(x_BnD))
            own_BnD = self.second(inner_BnD) + inner_BnD
        k, v = self._keys_and_values(own_BnD, source.cache)
        return self._read(self._split(self.q(x_BnD)), k, v, source.sight)
