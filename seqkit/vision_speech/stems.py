"""Stems: what turns log-mel frames and mouth pictures into vectors at the rate of speech frames.

Knows convolutions; not Transformers, texts or files. Both stems are independent of
padding: frames beyond a sequence's end count as zeros at every layer.

Shape suffixes: B clips, T frames (25 per second), U log-mel frames (4 to a frame), M mel bands,
H rows, W columns, C channels, D model size.
"""

import torch
from torch import nn

__all__ = ["MELS_PER_FRAME", "AudioStem", "Trunk", "VisualStem"]

#: Log-mel frames to a frame of speech.
MELS_PER_FRAME = 4


class AudioStem(nn.Module):
    """Two convolutions over log-mel energies, each halving their rate.

    Examples
    --------
    >>> stem = AudioStem(mels=80, d_model=32)
    >>> stem(torch.zeros(2, 40, 80), torch.ones(2, 10, dtype=torch.bool)).shape
    torch.Size([2, 10, 32])
    """

    def __init__(self, mels: int, d_model: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(mels, d_model, 3, stride=2, padding=1)
        self.second = nn.Conv1d(d_model, d_model, 3, stride=2, padding=1)

    def forward(self, mels_BUM: torch.Tensor, real_BT: torch.Tensor) -> torch.Tensor:
        """Vectors (B, T, D) of log-mel energies (B, 4 T, M); `real_BT` says which frames are not padding."""
        real_BU = real_BT.repeat_interleave(MELS_PER_FRAME, dim=1)
        x_BCU = (mels_BUM * real_BU[..., None]).transpose(1, 2)
        x_BCU = nn.functional.gelu(self.first(x_BCU)) * real_BU[:, None, ::2]
        x_BCT = nn.functional.gelu(self.second(x_BCU)) * real_BT[:, None]
        return x_BCT.transpose(1, 2)


class _Residual(nn.Module):
    """Two convolutions beside a way around them (He et al., CVPR 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.around = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        inner = nn.functional.relu(self.first_norm(self.first(x_NCHW)))
        return nn.functional.relu(self.second_norm(self.second(inner)) + self.around(x_NCHW))


class Trunk(nn.Module):
    """Residual blocks over single pictures; what self-supervision trains.

    Parameters
    ----------
    widths : channels before the blocks, and after each of them; the second block and those after it halve
        rows and columns.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths
        self.blocks = nn.Sequential(
            *(
                _Residual(before, after, 1 if number == 0 else 2)
                for number, (before, after) in enumerate(zip(widths, widths[1:], strict=False))
            )
        )

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Vectors (N, C) of maps (N, C0, H, W): means over places."""
        return self.blocks(x_NCHW).mean(dim=(2, 3))


class VisualStem(nn.Module):
    """A convolution over time and place, then a residual trunk over every frame.

    Stafylakis and Tzimiropoulos (Interspeech 2017), as in Pan et al. (ACL 2022), smaller.

    Examples
    --------
    >>> stem = VisualStem(d_model=32, widths=(8, 8, 16))
    >>> stem(torch.zeros(2, 5, 40, 64), torch.ones(2, 5, dtype=torch.bool)).shape
    torch.Size([2, 5, 32])
    """

    def __init__(self, d_model: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, widths[0], (5, 5, 5), stride=(1, 2, 2), padding=(2, 2, 2), bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.trunk = Trunk(widths)
        self.out = nn.Linear(widths[-1], d_model)

    def forward(self, mouths_BTHW: torch.Tensor, real_BT: torch.Tensor) -> torch.Tensor:
        """Vectors (B, T, D) of pictures with values of about -2 to 2; padding gives zeros."""
        mouths_BTHW = mouths_BTHW * real_BT[..., None, None]
        x_BCTHW = self.stem(mouths_BTHW[:, None])
        x_NCHW = x_BCTHW.transpose(1, 2)[real_BT]  # N real frames: batch statistics see no padding
        x_NCHW = nn.functional.relu(self.stem_norm(x_NCHW))
        x_NCHW = nn.functional.max_pool2d(x_NCHW, 3, stride=2, padding=1)
        x_ND = self.out(self.trunk(x_NCHW.contiguous(memory_format=torch.channels_last)))
        x_BTD = x_ND.new_zeros(*real_BT.shape, x_ND.shape[-1])
        x_BTD[real_BT] = x_ND
        return x_BTD
