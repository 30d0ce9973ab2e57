"""Which describer a name or a folder is: the package's own, or a checkpoint that transformers loads.

Knows names and kinds of folders; not how any describer works.
"""

from pathlib import Path

import torch

from seqkit.audio.captioning import describer as own
from seqkit.audio.captioning.folder import MODEL_TYPE
from seqkit.audio.captioning.interface import Describer
from seqkit.models import listening

__all__ = ["describer"]


def describer(
    name: str,
    *,
    method: str = "sample",
    candidates: int = 20,
    classifier: str | None = None,
    seed: int = 0,
    threads: int = 0,
    offline: bool = False,
) -> Describer:
    """The describer of a name.

    Parameters
    ----------
    name : of a model that comes with the package, or a folder.
    method, candidates, classifier, seed : see `describer.DescribeConfig`.
    threads : 0 leaves them as they are.
    offline : nothing is fetched; as nothing is here at any time, for the command line's sake only.

    Raises
    ------
    DataError, UsageError
        when there is no such model, or it is damaged.
    """
    if threads:
        torch.set_num_threads(threads)
    config = own.DescribeConfig(method=method, candidates=candidates, classifier=classifier, seed=seed)
    if name != own.DEFAULT and Path(name).is_dir() and listening.kind_of(Path(name)) != MODEL_TYPE:
        from seqkit.audio.captioning import foreign

        return foreign.load(Path(name))
    return own.load(name, config)
