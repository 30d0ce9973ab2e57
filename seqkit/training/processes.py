"""Processes that `torchrun` started, and a model's parameters divided among them (FSDP).

Each process holds a part of every parameter, of its gradient and of what the optimiser
knows of it; a layer's are gathered while it runs (Rajbhandari et al., "ZeRO", 2020; Zhao et
al., "PyTorch FSDP", 2023; here torch's `fully_shard`). This file knows the environment and torch's
processes; it does not know what is trained.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator

import torch
import torch.distributed
from torch.distributed import device_mesh, fsdp, tensor

from seqkit import errors
from seqkit.backbone import device as devices
from seqkit.training.world import ALONE, World

__all__ = ["Divided", "joined"]

#: How long processes wait for each other: the first one reads the corpus alone.
WAIT = datetime.timedelta(hours=6)
_NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class Divided(World):
    """Several processes, of which this is one; see `World`.

    Parameters
    ----------
    device : "cpu" or "cuda", where all of them compute.
    """

    def __init__(self, device: str) -> None:
        self.size = torch.distributed.get_world_size()
        self.rank = torch.distributed.get_rank()
        self.mesh = device_mesh.init_device_mesh(device, (self.size,))

    def mean(self, value: float) -> float:
        """The mean of all processes' values."""
        sum_ = torch.tensor(value, dtype=torch.float64, device=self.mesh.device_type)
        torch.distributed.all_reduce(sum_)
        return sum_.item() / self.size

    def agree(self, is_so: bool) -> bool:
        """What the first process says."""
        told = torch.tensor(int(is_so), device=self.mesh.device_type)
        torch.distributed.broadcast(told, src=0)
        return bool(told)

    def whole(self, value: torch.Tensor) -> torch.Tensor:
        """A tensor with all its parts, on every process; all of them have to ask."""
        return super().whole(value.full_tensor() if isinstance(value, tensor.DTensor) else value)

    def divide(self, whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """This process's part of a tensor, divided as another is; a single number is not divided."""
        if not whole.ndim or not isinstance(like, tensor.DTensor):
            return whole
        # Every process has read the whole tensor: nothing has to be sent.
        return tensor.distribute_tensor(
            whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None
        )

    def divide_model(self, model: torch.nn.Module) -> None:
        """Divide a model's parameters, in place: each layer of a list, and the rest."""
        lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
        for layer in (layer for each in lists for layer in each):
            fsdp.fully_shard(layer, mesh=self.mesh)
        # The rest, too, is divided again after every pass: what is saved is then never a gathered copy.
        fsdp.fully_shard(model, mesh=self.mesh, reshard_after_forward=True)

    def share(self, model: torch.nn.Module) -> int:
        """How many of a model's parameters this process holds."""
        held = (p.to_local() if isinstance(p, tensor.DTensor) else p for p in model.parameters())
        return sum(part.numel() for part in held)

    @contextlib.contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """The first process runs the block before the others do, who find what it left."""
        if not self.is_first:
            torch.distributed.barrier()
        yield
        if self.is_first:
            torch.distributed.barrier()


@contextlib.contextmanager
def joined(device: str) -> Iterator[World]:
    """The world this process is in, as the environment that `torchrun` made says.

    Parameters
    ----------
    device : "auto", "cpu" or "cuda"; with "cuda", or where "auto" finds it, each process of a machine takes
        the GPU of its number.

    Raises
    ------
    UsageError
        when the environment tells of several processes, but not how to find them.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    missing = [name for name in _NEEDED if not os.environ.get(name)]
    if missing:
        raise errors.UsageError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {missing[0]} is not set",
            hint="start it with torchrun, or unset WORLD_SIZE",
        )
    kind = devices.choose_device(device).type
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=WAIT)
    try:
        yield Divided(kind)
    finally:
        torch.distributed.destroy_process_group()
