"""What tensors a checkpoint has to hold: checked by name, shape and kind of numbers, before any is used.

Sizes come from a config that is not trusted, so nothing is made of them until tensors
of these sizes were found. This file does not know any layout.
"""

from collections.abc import Iterable, Mapping

import torch

from seqkit import errors

__all__ = ["Shape", "require"]

Shape = tuple[int, ...]


def require(
    weights: Mapping[str, torch.Tensor], shapes: Iterable[tuple[str, Shape]], *, spare: Iterable[str] = ()
) -> None:
    """Check that a checkpoint holds just these tensors.

    Parameters
    ----------
    shapes : names and shapes of what it has to hold, told one by one.
    spare : what else it may hold: parts of names.

    Raises
    ------
    DataError
        naming the first tensor that is missing, not known, of another shape, or not of floating-point
        numbers.

    Examples
    --------
    >>> require({"a": torch.zeros(2), "a.inv_freq": torch.zeros(9)}, [("a", (2,))], spare=["inv_freq"])
    """
    known = set()
    for name, shape in shapes:
        if name not in weights:
            raise errors.DataError(f"the checkpoint has no tensor {name}")
        if tuple(weights[name].shape) != shape:
            raise errors.DataError(
                f"{name} is {tuple(weights[name].shape)}, and should be {shape} as the config tells"
            )
        if weights[name].dtype not in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
            told = str(weights[name].dtype).removeprefix("torch.")
            raise errors.DataError(f"{name} is of {told}; quantised weights are not supported")
        known.add(name)
    spare = tuple(spare)
    for name in sorted(set(weights) - known):
        if not any(part in name for part in spare):
            raise errors.DataError(f"tensor {name} is not known in this layout")
