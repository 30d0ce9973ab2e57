"""Three ways to learn a task: a model fine-tuned, a network from nothing, a regression on k-mers.

And the files in which measurements are kept, so that what was interrupted goes on, and
several processes can share a folder. Baselines learn from the whole training split;
fine-tuning from what it reads within its time. This file does not know tasks.

Shape suffixes: N sequences, C classes.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from seqkit import errors
from seqkit.backbone import device as devices
from seqkit.genomics.finetune import task, tuning
from seqkit.genomics.finetune.examples import Example
from seqkit.genomics.tasks import convolution, counting
from seqkit.genomics.tasks.split import Split
from seqkit.io import atomic
from seqkit.models import genomic

__all__ = [
    "METHODS",
    "Examples",
    "Learnt",
    "LearningConfig",
    "keep",
    "kept",
    "learn",
    "make_folder",
    "require_names",
    "weights_of",
]

METHODS = ("model", "cnn", "k-mers")
Kept = TypeVar("Kept")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """How is learnt.

    Attributes
    ----------
    model : see `seqkit.models.genomic.load`.
    minutes : for training a model or a network once; on a processor its own time, so that others who use it
        take nothing away.
    epochs, learning_rate, dtype : of fine-tuning.
    both_strands : a sequence and its reverse complement mean the same.
    """

    model: str
    minutes: float
    epochs: int
    learning_rate: float
    dtype: str
    device: str
    offline: bool
    both_strands: bool

    def settings(self, method: str) -> dict[str, Any]:
        """What a measurement of a method depends on."""
        found: dict[str, Any] = {}
        if method != "k-mers":
            found |= {"minutes": self.minutes}
        if method == "model":
            found |= {"epochs": self.epochs, "learning_rate": self.learning_rate, "dtype": self.dtype}
        return found


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The splits of a task, "train", "dev" and "test", and what they pose."""

    splits: Mapping[str, list[Example]]
    posed: task.Task

    def split(self, name: str) -> Split:
        """A split in numbers."""
        chosen = self.splits[name]
        return Split([example.letters_L for example in chosen], np.array(task.targets_of(self.posed, chosen)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Learnt:
    """What came of it.

    Attributes
    ----------
    guess_N : classes of the test split.
    seen : training sequences that were read, each time counted.
    seconds : of training and predicting.
    chosen : what the dev split chose.
    """

    guess_N: np.ndarray
    seen: int
    seconds: float
    chosen: dict[str, Any]


def learn(method: str, config: LearningConfig, data: Examples, seed: int) -> Learnt:
    """Learn from the training split, choose by the dev split, and guess the test split.

    Parameters
    ----------
    method : one of `METHODS`.
    seed : draws all that is random.
    """
    began = time.monotonic()
    way = {"model": _model, "cnn": _network, "k-mers": _regression}[method]
    shares_NC, seen, chosen = way(config, data, seed)
    seconds = round(time.monotonic() - began, 1)
    return Learnt(guess_N=shares_NC.argmax(axis=1), seen=seen, seconds=seconds, chosen=chosen)


def require_names(flag: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Refuse names that are not known, and none at all.

    Raises
    ------
    UsageError
        naming the first one and the flag.
    """
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None or not given:
        raise errors.UsageError(f"{unknown!r} is none of {', '.join(known)}", hint=flag)


def make_folder(folder: Path) -> Path:
    """The folder, made where it is not there.

    Raises
    ------
    OutputError
        when it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.output_error(error, folder) from error
    return folder


def kept(path: Path, settings: Mapping[str, Any], made: Callable[[dict[str, Any]], Kept]) -> Kept | None:
    """An earlier measurement of the same settings; None where there is none that is whole.

    Parameters
    ----------
    made : the measurement of what its file says; may raise what damaged files lead to.
    """
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        return made(described) if described["settings"] == settings else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def keep(path: Path, measurement: Any) -> None:
    """Write a measurement, a dataclass, whole or not at all."""
    with atomic.atomic_file(path) as file:
        file.write(json.dumps(dataclasses.asdict(measurement)).encode())


def weights_of(model: str, *, offline: bool) -> str:
    """A digest of a model's weights: a measurement of another model is none of this one."""
    loaded = genomic.load(model, device="cpu", offline=offline)
    digest = hashlib.sha256()
    for value in loaded.network.state_dict().values():
        digest.update(value.float().numpy().tobytes())
    return digest.hexdigest()[:16]


def _model(config: LearningConfig, data: Examples, seed: int) -> tuple[np.ndarray, int, dict[str, Any]]:
    """The model, fine-tuned."""
    loaded = genomic.load(config.model, device=config.device, offline=config.offline)
    options = tuning.TuneConfig(
        epochs=config.epochs,
        minutes=config.minutes,
        learning_rate=config.learning_rate,
        dtype=config.dtype,
        both_strands=config.both_strands,
        pooling="mean+max",
        truncate=True,
        seed=seed,
    )
    tuned, history = tuning.tune(
        loaded, data.splits["train"], data.splits["dev"], data.posed, options, clock=_clock(config)
    )
    shares_NC = np.stack(tuned.probabilities(data.splits["test"], truncate=True))
    chosen = {"step": history.best_step, "steps": history.steps, "planned": history.planned_steps}
    return shares_NC, history.steps * options.batch_size, chosen


def _clock(config: LearningConfig) -> Callable[[], float]:
    is_processor = devices.choose_device(config.device).type == "cpu"
    return time.process_time if is_processor else time.monotonic


def _network(config: LearningConfig, data: Examples, seed: int) -> tuple[np.ndarray, int, dict[str, Any]]:
    """The convolutional network, from nothing."""
    train, test = data.split("train"), data.split("test")
    options = convolution.ConvolutionConfig(both_strands=config.both_strands, minutes=config.minutes)
    found = convolution.fit(
        train, data.split("dev"), np.random.default_rng(seed), options, clock=time.process_time
    )
    return found.probabilities(test.letters), found.trained * len(train), {"epoch": found.epochs}


def _regression(config: LearningConfig, data: Examples, seed: int) -> tuple[np.ndarray, int, dict[str, Any]]:
    """The regression on k-mers."""
    train, test = data.split("train"), data.split("test")
    rng = np.random.default_rng(seed)
    found = counting.fit(train, data.split("dev"), rng, both_strands=config.both_strands)
    return found.probabilities(test.letters), len(train), {"k": found.k, "penalty": found.penalty}
