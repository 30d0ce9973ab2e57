"""Which processes train together: one, so far; several that `torchrun` started are refused.

This file knows the environment; it does not know what the processes do.
"""

import contextlib
import os
from collections.abc import Iterator

from seqkit import errors
from seqkit.training.world import ALONE, World

__all__ = ["joined"]


@contextlib.contextmanager
def joined(device: str) -> Iterator[World]:
    """The world this process is in.

    Raises
    ------
    UsageError
        when there are several processes: each would train the whole model, and all write to one folder.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if size != "1":
        raise errors.UsageError(f"cannot train in {size} processes yet", hint="start it without torchrun")
    yield ALONE
