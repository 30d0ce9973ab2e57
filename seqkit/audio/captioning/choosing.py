"""Which describer a name or a folder is: the package's own, or a checkpoint that transformers loads.

Knows names and kinds of folders; not how any describer works.
"""

from pathlib import Path
from typing import Any

import torch

from seqkit import errors
from seqkit.audio.captioning import describer as own
from seqkit.audio.captioning import ranking
from seqkit.audio.captioning.folder import MODEL_TYPE
from seqkit.audio.captioning.interface import Describer
from seqkit.backbone import device as devices
from seqkit.models import listening

__all__ = ["describer"]

#: What options are called on the command line.
_SWITCHES = {
    "method": "--decoder",
    "candidates": "--candidates",
    "temperature": "--temperature",
    "top_p": "--top-p",
    "classifier": "--classifier",
    "seed": "--seed",
    "likelihood": "--likelihood-weight",
    "similarity": "--similarity-weight",
    "filter_faults": "--fluency-filter",
}


def describer(
    name: str,
    *,
    n_best: int = 1,
    method: str | None = None,
    candidates: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    likelihood: float | None = None,
    similarity: float | None = None,
    filter_faults: bool | None = None,
    classifier: str | None = None,
    seed: int | None = None,
    device: str = "cpu",
    threads: int = 0,
    offline: bool = False,
) -> Describer:
    """The describer of a name.

    Parameters
    ----------
    name : of a model that comes with the package, or a folder.
    n_best : captions that will be asked for.
    method, candidates, temperature, top_p, classifier, seed : see `describer.DescribeConfig`; None is as
        there.
    likelihood, similarity, filter_faults : see `ranking.RankConfig`; None is as there.
    device : see `seqkit.backbone.device.choose_device`.
    threads : 0 leaves them as they are.
    offline : nothing is fetched; as nothing is here at any time, for the command line's sake only.

    Raises
    ------
    DataError
        when a model is damaged.
    UsageError
        when there is no such model or device, or an option is out of range or has no effect.
    """
    if threads:
        torch.set_num_threads(threads)
    searching = _told(
        method=method,
        candidates=candidates,
        temperature=temperature,
        top_p=top_p,
        classifier=classifier,
        seed=seed,
    )
    weighing = _told(likelihood=likelihood, similarity=similarity, filter_faults=filter_faults)
    place = devices.choose_device(device)
    if name != own.DEFAULT and Path(name).is_dir() and listening.kind_of(Path(name)) != MODEL_TYPE:
        from seqkit.audio.captioning import foreign

        for option in {**searching, **weighing}:
            raise errors.UsageError(
                f"{_SWITCHES[option]} has no effect on a checkpoint that transformers loads: "
                "it searches with as many beams as captions are asked for",
                file=name,
            )
        return foreign.load(Path(name), place)
    config = own.DescribeConfig(**searching, ranking=ranking.RankConfig(**weighing))
    _require_effect(searching, config, n_best)
    return own.load(name, config, place)


def _told(**options: Any) -> dict[str, Any]:
    """Options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _require_effect(given: dict[str, Any], config: own.DescribeConfig, n_best: int) -> None:
    """Refuse what another way of searching would use, and more captions than are looked for."""
    used = {"sample": ("temperature", "top_p", "seed"), "conditional": ("classifier",)}
    useful = used.get(config.method, ())
    for option in sorted({name for names in used.values() for name in names} - set(useful)):
        if option in given:
            raise errors.UsageError(f"{_SWITCHES[option]} has no effect on --decoder {config.method}")
    if n_best > config.candidates:
        raise errors.UsageError(
            f"{n_best} captions cannot be chosen from {config.candidates} candidates", hint="--candidates"
        )
