"""Lips for a model of sound that stays as it is: gated cross-attention into its decoder's layers.

Alayrac et al. (Flamingo, NeurIPS 2022) and, for Whisper, Rouditchenko et al. (Interspeech 2024).
Gates are tanh(0) at first, so a model says what it said before until they are trained; its own
weights never change. Knows Whisper-style decoders and visual vectors; not how these are made.

Shape suffixes: B clips, L tokens, T frames, D width of the decoder, W width of visual vectors.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from seqkit import errors

__all__ = ["GatedCrossAttention", "VisualStream", "attach"]


class GatedCrossAttention(nn.Module):
    """What a layer reads, with what is seen added through two gates that begin closed.

    Examples
    --------
    >>> layer = GatedCrossAttention(width=8, visual_width=6, heads=2)
    >>> x_BLD = torch.randn(1, 3, 8)
    >>> bool((layer(x_BLD, torch.randn(1, 5, 6)) == x_BLD).all())
    True
    """

    def __init__(self, width: int, visual_width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.seen = nn.LayerNorm(width), nn.Linear(visual_width, width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.attention_gate = nn.Parameter(torch.zeros(()))
        self.feed_forward_gate = nn.Parameter(torch.zeros(()))

    def forward(
        self, x_BLD: torch.Tensor, visual_BTW: torch.Tensor, real_BT: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The states (B, L, D) with what is seen added; `real_BT` says which frames are no padding."""
        seen_BTD = self.seen(visual_BTW)
        padding = None if real_BT is None else ~real_BT
        attended, _ = self.attention(
            self.norm(x_BLD), seen_BTD, seen_BTD, key_padding_mask=padding, need_weights=False
        )
        x_BLD = x_BLD + torch.tanh(self.attention_gate) * attended
        return x_BLD + torch.tanh(self.feed_forward_gate) * self.feed_forward(x_BLD)


class VisualStream(nn.Module):
    """Gates for every layer of a decoder, and what it sees at the moment.

    Made by `attach`; only its own weights are to be trained and saved.
    """

    def __init__(self, layers: nn.ModuleList, width: int, visual_width: int, heads: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(GatedCrossAttention(width, visual_width, heads) for _ in layers)
        self._seen: tuple[torch.Tensor, torch.Tensor | None] | None = None
        for gate, layer in zip(self.gates, layers, strict=True):
            layer.register_forward_pre_hook(self._hook(gate), with_kwargs=True)

    @contextlib.contextmanager
    def seeing(self, visual_BTW: torch.Tensor, real_BT: torch.Tensor | None = None) -> Iterator[None]:
        """Within the block the decoder sees this; outside it is the model that it was.

        Beam search repeats clips: rows of the decoder must be a multiple of the clips.
        """
        self._seen = (visual_BTW, real_BT)
        try:
            yield
        finally:
            self._seen = None

    def _hook(self, gate: nn.Module) -> Any:
        def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if self._seen is None:
                return None
            if args:
                return (self._added(gate, args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": self._added(gate, kwargs["hidden_states"])}

        return look

    def _added(self, gate: nn.Module, x_BLD: torch.Tensor) -> torch.Tensor:
        assert self._seen is not None
        visual_BTW, real_BT = self._seen
        times = len(x_BLD) // len(visual_BTW)
        if times > 1:
            visual_BTW = visual_BTW.repeat_interleave(times, dim=0)
            real_BT = None if real_BT is None else real_BT.repeat_interleave(times, dim=0)
        added: torch.Tensor = gate(x_BLD, visual_BTW, real_BT)
        return added


def attach(model: Any, visual_width: int) -> VisualStream:
    """Gates into the decoder of a Whisper-style model, which is frozen.

    Raises
    ------
    UsageError
        if the model has no decoder of that kind.
    """
    try:
        layers, config = model.model.decoder.layers, model.config
        width, heads = int(config.d_model), int(config.decoder_attention_heads)
    except AttributeError as error:
        raise errors.UsageError(
            "lips can be attached to Whisper-style models only", hint="--audio-model"
        ) from error
    model.requires_grad_(False)
    return VisualStream(layers, width, visual_width, heads)
