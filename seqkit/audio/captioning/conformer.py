"""Conformer adapter: a convolution that thins frames, then blocks of attention and convolution.

Gulati et al. (Interspeech 2020, arXiv 2005.08100), as between sound encoder and decoder
in Wu et al. (ICASSP 2024, arXiv 2309.17352), where the convolution has stride 3. Knows
frames; not sounds or words. Padding changes nothing.

Shape suffixes: B clips, U frames, D width, E frames after thinning, H heads.
"""

import torch
from torch import nn

__all__ = ["ConformerAdapter"]


class _FeedForward(nn.Sequential):
    """Half a step of a feed-forward layer."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )


class _Convolution(nn.Module):
    """Gated depthwise convolution; layer norm stands for batch norm, which padding would disturb."""

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.inner = nn.LayerNorm(width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BED: torch.Tensor, real_BE: torch.Tensor) -> torch.Tensor:
        gated = nn.functional.glu(self.gate(self.norm(x_BED)), dim=-1) * real_BE[..., None]
        mixed = self.depthwise(gated.transpose(1, 2)).transpose(1, 2)
        return self.dropout(self.out(nn.functional.silu(self.inner(mixed))))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.before, self.after = _FeedForward(width, dropout), _FeedForward(width, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.convolution = _Convolution(width, kernel, dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x_BED: torch.Tensor, real_BE: torch.Tensor) -> torch.Tensor:
        x_BED = x_BED + 0.5 * self.before(x_BED)
        y_BED = self.attention_norm(x_BED)
        attended, _ = self.attention(y_BED, y_BED, y_BED, key_padding_mask=~real_BE, need_weights=False)
        x_BED = x_BED + attended
        x_BED = x_BED + self.convolution(x_BED, real_BE)
        return self.norm(x_BED + 0.5 * self.after(x_BED))


class ConformerAdapter(nn.Module):
    """Frames of an encoder to fewer frames of the decoder's width.

    Parameters
    ----------
    before, width : of frames before and after.
    blocks, heads, kernel : of the Conformer; the kernel is odd.
    stride : frames that become one.

    Examples
    --------
    >>> adapter = ConformerAdapter(8, 16, blocks=1, heads=2, kernel=3, stride=3)
    >>> frames_BED, real_BE = adapter(torch.zeros(2, 10, 8), torch.ones(2, 10, dtype=torch.bool))
    >>> frames_BED.shape, real_BE.shape
    (torch.Size([2, 4, 16]), torch.Size([2, 4]))
    """

    def __init__(
        self,
        before: int,
        width: int,
        *,
        blocks: int = 2,
        heads: int = 4,
        kernel: int = 7,
        stride: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.thin = nn.Conv1d(before, width, stride, stride=stride)
        self.blocks = nn.ModuleList(_Block(width, heads, kernel, dropout) for _ in range(blocks))

    def forward(self, frames_BUD: torch.Tensor, real_BU: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames (B, E, D) and which of them are real (B, E); E is U over the stride, rounded up."""
        lacking = -frames_BUD.shape[1] % self.stride
        frames_BUD = nn.functional.pad(frames_BUD * real_BU[..., None], (0, 0, 0, lacking))
        real_BE = nn.functional.pad(real_BU, (0, lacking)).unflatten(1, (-1, self.stride)).any(dim=-1)
        x_BED = self.thin(frames_BUD.transpose(1, 2)).transpose(1, 2)
        # Where a clip has no frame at all, its blocks look at the first, so that nothing is divided by 0.
        seen_BE = real_BE | (~real_BE.any(dim=1, keepdim=True) & (torch.arange(real_BE.shape[1]) == 0))
        for block in self.blocks:
            x_BED = block(x_BED, seen_BE)
        return x_BED.masked_fill(~real_BE[..., None], 0.0), real_BE
