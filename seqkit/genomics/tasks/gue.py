"""GUE, the benchmark of DNABERT-2 (Zhou et al., arXiv 2306.15006): a model fine-tuned, beside its baselines.

Every measurement, of a task, a method and a seed, is a file of its own. This file knows
the benchmark's tasks and files; it does not know how is learnt, nor how results are shown.

Shape suffixes: N sequences.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from seqkit import errors
from seqkit.genomics.finetune import examples, task
from seqkit.genomics.tasks import learning

__all__ = ["METHODS", "PUBLISHED", "TASKS", "GueConfig", "Run", "measure"]

#: Tasks, and whether a sequence and its reverse complement mean the same: a protein binds either strand, a
#: promoter has a direction.
TASKS = {
    "mouse/0": True,
    "mouse/2": True,
    "prom/prom_300_tata": False,
    "prom/prom_core_all": False,
    "tf/0": True,
    "tf/1": True,
    "tf/2": True,
}
METHODS = learning.METHODS
#: The regression has nothing random in it.
WITHOUT_CHANCE = ("k-mers",)
#: MCC in percent of DNABERT-2 (117 M parameters), from the tables of its paper as later papers quote them;
#: those of the other tasks are left out because they could not be checked.
PUBLISHED = {"prom/prom_core_all": 69.37, "tf/0": 71.99, "tf/1": 76.06, "tf/2": 66.52}
_SPLITS = ("train", "dev", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GueConfig:
    """What is measured.

    Attributes
    ----------
    data : folder of the benchmark, with a folder of train.csv, dev.csv and test.csv for each task.
    model : see `seqkit.models.genomic.load`.
    tasks, methods : of `TASKS` and `METHODS`.
    seeds : how many.
    minutes : for training a model or a network once.
    most : training sequences that are used, or None for all; of every method.
    epochs : of fine-tuning, at most.
    out : folder of the measurements.

    Raises
    ------
    UsageError
        when there is no such task or method, or a number is out of range.
    """

    data: Path
    model: str
    out: Path
    tasks: tuple[str, ...] = tuple(TASKS)
    methods: tuple[str, ...] = METHODS
    seeds: int = 3
    minutes: float = 1.5
    most: int | None = None
    epochs: int = 12
    learning_rate: float = 1e-3
    dtype: str = "bfloat16"
    device: str = "auto"
    offline: bool = False

    def __post_init__(self) -> None:
        """Check names and numbers."""
        learning.require_names("--tasks", self.tasks, tuple(TASKS))
        learning.require_names("--methods", self.methods, METHODS)
        if self.seeds < 1 or not self.minutes > 0 or (self.most is not None and self.most < 2):
            raise errors.UsageError("seeds and minutes must be above 0, and at least 2 sequences used")

    def learning(self, name: str) -> learning.LearningConfig:
        """How a task is learnt."""
        return learning.LearningConfig(
            model=self.model,
            minutes=self.minutes,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            dtype=self.dtype,
            device=self.device,
            offline=self.offline,
            both_strands=TASKS[name],
        )

    def settings(self, name: str, method: str) -> dict[str, Any]:
        """What a measurement of a method on a task depends on."""
        return {"most": self.most, **self.learning(name).settings(method)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A measurement.

    Attributes
    ----------
    task, method, seed : of what.
    settings : as `GueConfig.settings`; of a model with the SHA-256 of its weights.
    train, seen : training sequences there are, and those that were read, each time counted.
    seconds : of training and predicting.
    chosen : what the dev split chose.
    truth, guess : classes of the test split, a digit for each.
    known : places of test sequences that stand in the training split as well.
    """

    task: str
    method: str
    seed: int
    settings: dict[str, Any]
    train: int
    seen: int
    seconds: float
    chosen: dict[str, Any]
    truth: str
    guess: str
    known: tuple[int, ...]


def measure(config: GueConfig, tell: Callable[[str], None] = lambda line: None) -> list[Run]:
    """Measure what is not measured yet; what another seed, method or task has is kept.

    Parameters
    ----------
    tell : told every measurement when it is done.

    Returns
    -------
    All measurements that were asked for, those of earlier calls with the same settings included.

    Raises
    ------
    DataError
        when a split is missing or damaged.
    """
    weights = learning.weights_of(config.model, offline=config.offline) if "model" in config.methods else ""
    folder = learning.make_folder(config.out / "runs")
    runs = []
    for name in config.tasks:
        data: learning.Examples | None = None
        for seed in range(config.seeds):
            for method in config.methods:
                if seed and method in WITHOUT_CHANCE:
                    continue
                settings = config.settings(name, method)
                settings |= {"weights": weights} if method == "model" else {}
                path = folder / f"{name.replace('/', '.')}-{method}-{seed}.json"
                run = learning.kept(path, settings, _made)
                if run is None:
                    data = data or _read(config, name)
                    run = _measured(config, data, name, method, seed, settings)
                    learning.keep(path, run)
                    tell(_line(run))
                runs.append(run)
    return runs


def _made(described: dict[str, Any]) -> Run:
    return Run(**{**described, "known": tuple(described["known"])})


def _line(run: Run) -> str:
    right = sum(true == guessed for true, guessed in zip(run.truth, run.guess, strict=True))
    return (
        f"{run.task} {run.method} seed {run.seed}: {100 * right / max(1, len(run.truth)):.1f} % right, "
        f"{run.seconds:.0f} s, {run.seen:,} sequences read"
    )


def _read(config: GueConfig, name: str) -> learning.Examples:
    splits = {
        split: list(examples.read(config.data / name / f"{split}.csv", examples.Columns()))
        for split in _SPLITS
    }
    if config.most is not None and len(splits["train"]) > config.most:
        order = np.random.default_rng(0).permutation(len(splits["train"]))[: config.most]
        splits["train"] = [splits["train"][at] for at in order]
    posed = task.task_of("classification", splits["train"], ("label",))
    if posed.outputs > 10:
        raise errors.DataError(f"{posed.outputs} classes, more than 10", file=str(config.data / name))
    return learning.Examples(splits=splits, posed=posed)


def _measured(
    config: GueConfig, data: learning.Examples, name: str, method: str, seed: int, settings: dict[str, Any]
) -> Run:
    found = learning.learn(method, config.learning(name), data, seed)
    return Run(
        task=name,
        method=method,
        seed=seed,
        settings=settings,
        train=len(data.splits["train"]),
        seen=found.seen,
        seconds=found.seconds,
        chosen=found.chosen,
        truth=_digits(data.split("test").classes_N),
        guess=_digits(found.guess_N),
        known=_known(data),
    )


def _known(data: learning.Examples) -> tuple[int, ...]:
    """Places of test sequences that stand in the training split as well."""
    seen = {example.letters_L.tobytes() for example in data.splits["train"]}
    return tuple(at for at, example in enumerate(data.splits["test"]) if example.letters_L.tobytes() in seen)


def _digits(classes_N: np.ndarray) -> str:
    return "".join(str(int(number)) for number in classes_N)
