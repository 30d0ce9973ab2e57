"""One process, or several that a model's parameters are divided among.

Knows how they agree, and how a divided tensor becomes whole and back; not what
is trained.
"""

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["ALONE", "World"]


class World:
    """A single process: nothing is divided."""

    size = 1
    rank = 0

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """The mean of all processes' values."""
        return value

    def agree(self, is_so: bool) -> bool:
        """What the first process says."""
        return is_so

    def whole(self, value: torch.Tensor) -> torch.Tensor:
        """A tensor with all its parts, on every process."""
        return value.contiguous()

    def divide(self, whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """This process's part of a tensor, divided as another is; a single number is not divided."""
        return whole

    def divide_model(self, model: torch.nn.Module) -> None:
        """Divide a model's parameters, in place."""

    def share(self, model: torch.nn.Module) -> int:
        """How many of a model's parameters this process holds."""
        return sum(parameter.numel() for parameter in model.parameters())

    @contextlib.contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """The first process runs the block before the others do, who find what it left."""
        yield


ALONE = World()
