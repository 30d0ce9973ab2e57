"""Tensors written to a safetensors file, whole or not at all.

Knows why writing fails; does not know what the tensors are.
"""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from seqkit.io import atomic

__all__ = ["naming", "rounded", "save"]

_REASON = re.compile(r"\(os error (\d+)\)")


def save(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors, which are moved to the processor and laid out as their shape says.

    Parameters
    ----------
    metadata : text by name, in the file's header; the least that transformers asks for when None.

    Raises
    ------
    OutputError
        when the file cannot be written; what was there before is untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Path(folder) / "a.safetensors", {"ones": torch.ones(2)})
    ...     safetensors.torch.load_file(f"{folder}/a.safetensors")
    {'ones': tensor([1., 1.])}
    """
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic.atomic_path(path) as aside, naming(path):
        safetensors.torch.save_file(ready, aside, metadata=dict(metadata or {"format": "pt"}))


def rounded(network: torch.nn.Module, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """A network's state on the processor: weights in `dtype`, statistics of normalisation as they are.

    Nothing shares memory with the network, or with another name.

    Examples
    --------
    >>> state = rounded(torch.nn.BatchNorm1d(2), torch.float16)
    >>> state["weight"].dtype, state["running_mean"].dtype
    (torch.float16, torch.float32)
    """
    weights = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    return {
        name: tensor.detach().to("cpu", dtype if name in weights else tensor.dtype, copy=True)
        for name, tensor in network.state_dict().items()
    }


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say of every error of writing tensors in the block that it is `path` that could not be written.

    Raises
    ------
    OutputError
        with the reason that the library's own kind of error hides in its text.
    """
    try:
        yield
    except OSError as error:
        raise atomic.output_error(error, path) from error
    except safetensors.SafetensorError as error:
        found = _REASON.search(str(error))
        number = int(found[1]) if found else errno.EIO
        raise atomic.output_error(OSError(number, os.strerror(number)), path) from error
