"""MoCo v2 on mouths: the visual trunk learns single pictures before it is shown any text.

Chen et al. (arXiv 2003.04297): two views of a picture are drawn together, away from a queue of others
that a slowly moving copy has seen. A flat convolution stands in front for the one over time that the
speech model has. Knows pictures; not clips' sounds or texts.

Shape suffixes: B pictures, H rows, W columns, D width of vectors, Q pictures in the queue.
"""

import copy
import dataclasses

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from seqkit import errors
from seqkit.vision_speech.stems import Trunk

__all__ = ["MocoConfig", "MocoTask", "PictureEncoder", "views"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MocoConfig:
    """How the trunk is trained."""

    widths: tuple[int, ...] = (16, 32, 64, 128)
    """Channels of the trunk, as in the speech model."""
    width: int = 64
    """D."""
    queue: int = 2048
    """Q."""
    momentum: float = 0.99
    """How much of the copy stays in a step."""
    temperature: float = 0.2
    """Of InfoNCE."""
    batch: int = 128
    """B."""
    shift: int = 5
    """Most pixels that a view is moved."""
    seed: int = 0
    """Everything random follows from it."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if not 0 < self.momentum < 1 or not self.temperature > 0:
            raise errors.UsageError("momentum must be within 0 and 1, temperature above 0")
        if min(self.width, self.queue, self.batch) < 1 or self.queue % self.batch:
            raise errors.UsageError("the queue must be a whole number of batches")


class PictureEncoder(nn.Module):
    """A picture to a unit vector: flat stem, trunk, two linear layers.

    Examples
    --------
    >>> encoder = PictureEncoder(MocoConfig(widths=(4, 8), width=6))
    >>> encoder(torch.zeros(3, 40, 64)).shape
    torch.Size([3, 6])
    """

    def __init__(self, config: MocoConfig) -> None:
        super().__init__()
        first, last = config.widths[0], config.widths[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.trunk = Trunk(config.widths)
        self.head = nn.Sequential(nn.Linear(last, last), nn.ReLU(), nn.Linear(last, config.width))

    def forward(self, pictures_BHW: torch.Tensor) -> torch.Tensor:
        """Unit vectors (B, D)."""
        return nn.functional.normalize(self.head(self.trunk(self.stem(pictures_BHW[:, None]))), dim=-1)


class MocoTask(nn.Module):
    """The encoder, its slow copy and the queue, with the pictures they learn from.

    Parameters
    ----------
    pictures_NHW : uint8; N at least a batch.
    """

    queue_QD: torch.Tensor

    def __init__(self, pictures_NHW: npt.NDArray[np.uint8], config: MocoConfig) -> None:
        super().__init__()
        if len(pictures_NHW) < config.batch:
            raise errors.DataError(f"{len(pictures_NHW)} pictures are fewer than a batch of {config.batch}")
        self.config, self._pictures_NHW = config, pictures_NHW
        self.encoder = PictureEncoder(config)
        self.slow = copy.deepcopy(self.encoder).requires_grad_(False)
        generator = torch.Generator().manual_seed(config.seed)
        queue_QD = torch.randn(config.queue, config.width, generator=generator)
        self.register_buffer("queue_QD", nn.functional.normalize(queue_QD, dim=-1))

    def loss_at(self, step: int) -> torch.Tensor:
        """InfoNCE of a step's pictures; the queue and the copy move on."""
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        places = rng.choice(len(self._pictures_NHW), size=config.batch, replace=False)
        one, other = (views(self._pictures_NHW[np.sort(places)], config, rng) for _ in range(2))
        self._follow()
        own_BD = self.encoder(one)
        with torch.no_grad():
            keys_BD = self.slow(other)
        right_B = (own_BD * keys_BD).sum(dim=-1, keepdim=True)
        scores = torch.cat([right_B, own_BD @ self.queue_QD.clone().T], dim=1) / config.temperature
        loss = nn.functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long))
        first = step * config.batch % config.queue
        with torch.no_grad():
            self.queue_QD[first : first + config.batch] = keys_BD
        return loss

    @torch.no_grad()
    def _follow(self) -> None:
        for slow, fast in zip(self.slow.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.config.momentum)


def views(pictures_BHW: npt.NDArray[np.uint8], config: MocoConfig, rng: np.random.Generator) -> torch.Tensor:
    """Pictures as numbers, each moved, mirrored, made lighter or darker, and blurred by chance."""
    x_BHW = torch.from_numpy(np.array(pictures_BHW)).float() / 127.5 - 1
    moved = []
    for picture_HW in x_BHW:
        down, across = (int(value) for value in rng.integers(-config.shift, config.shift + 1, size=2))
        padded = nn.functional.pad(picture_HW[None, None], [config.shift] * 4, mode="replicate")[0, 0]
        top, left = config.shift + down, config.shift + across
        view_HW = padded[top : top + picture_HW.shape[0], left : left + picture_HW.shape[1]]
        if rng.random() < 0.5:
            view_HW = view_HW.flip(-1)
        moved.append(view_HW * float(rng.uniform(0.6, 1.4)) + float(rng.uniform(-0.3, 0.3)))
    stacked_B1HW = torch.stack(moved)[:, None]
    blurred = nn.functional.avg_pool2d(stacked_B1HW, 3, stride=1, padding=1, count_include_pad=False)
    blur_B = torch.from_numpy(rng.random(len(moved)) < 0.3)[:, None, None, None]
    return torch.where(blur_B, blurred, stacked_B1HW)[:, 0]
