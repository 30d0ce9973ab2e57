"""Fine-tuning: a model of nucleotides learns a task from labelled examples.

All weights or low-rank updates; stops when the dev split no longer gains, keeps the
best weights, and calibrates on the same split. This file knows the order of these; it
does not know files, or how any of them works.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from seqkit import errors
from seqkit.backbone import lora
from seqkit.genomics.finetune import calibration, measures, predictor, task
from seqkit.genomics.finetune.examples import Example
from seqkit.genomics.finetune.folder import TunedModel
from seqkit.genomics.finetune.rows import Batches, Row, rows_of
from seqkit.genomics.finetune.task import Task
from seqkit.models.genomic import GenomicModel
from seqkit.training import loop

__all__ = ["History", "TuneConfig", "tune"]

#: Steps that are timed to see how many fit into the time.
TIMED = 8
#: Share of the time that steps take; the rest is for evaluations.
FOR_STEPS = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """How a model is fine-tuned.

    Attributes
    ----------
    epochs : how often every example is seen, at most.
    minutes : time for training; the schedule is shortened to what fits. None: no limit.
    evaluations : of the dev split in an epoch.
    patience : evaluations without gain after which training stops.
    metric : what is to gain; empty: the first of `measures.NAMES`.
    rank, alpha : of low-rank updates; rank 0 trains all weights.
    pooling : see `seqkit.backbone.prediction.POOLINGS`.
    warmup : share of the steps.
    both_strands : see a sequence as often from its other strand, and average both when predicting.
    truncate : read the beginning of what is beyond the model's context.
    dtype : what products of matrices are computed in while training, "float32" or "bfloat16"; weights and
        predictions are float32.
    seed : draws head, order and dropout.

    Raises
    ------
    UsageError
        when a value is out of range.
    """

    epochs: int = 10
    minutes: float | None = None
    evaluations: int = 1
    patience: int = 3
    metric: str = ""
    batch_size: int = 32
    learning_rate: float = 3e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    dropout: float = 0.1
    rank: int = 0
    alpha: float = 16.0
    pooling: str = "mean"
    both_strands: bool = False
    truncate: bool = False
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without a model."""
        for name in ("epochs", "evaluations", "patience", "batch_size"):
            if getattr(self, name) < 1:
                flag = f"--{name.replace('_', '-')}"
                raise errors.UsageError(f"{name} is {getattr(self, name)}, not at least 1", hint=flag)
        if self.rank < 0 or not self.alpha > 0 or self.seed < 0:
            raise errors.UsageError("rank and seed must not be negative, alpha above 0", hint="--lora")
        if not 0 <= self.warmup < 1 or not 0 <= self.dropout < 1:
            raise errors.UsageError("warmup and dropout are at least 0 and below 1", hint="--dropout")
        if self.dtype not in ("float32", "bfloat16"):
            raise errors.UsageError(f"{self.dtype!r} is no type to train in", hint="--dtype float32|bfloat16")
        if not self.learning_rate > 0 or self.weight_decay < 0:
            raise errors.UsageError(
                f"a learning rate of {self.learning_rate} is not above 0", hint="--learning-rate"
            )
        if self.minutes is not None and not self.minutes > 0:
            raise errors.UsageError(f"{self.minutes} minutes are not above 0", hint="--minutes")


@dataclasses.dataclass(kw_only=True)
class History:
    """What training did.

    Attributes
    ----------
    losses : of every step.
    evaluations : of the dev split, each with its "step".
    best_step : whose weights were kept.
    planned_steps, steps : of the schedule, and those done.
    seconds : of training, evaluations included.
    error_before, error_after : expected calibration error on the dev split.
    """

    losses: list[float] = dataclasses.field(default_factory=list)
    evaluations: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_step: int = 0
    planned_steps: int = 0
    steps: int = 0
    seconds: float = 0.0
    error_before: float = 0.0
    error_after: float = 0.0


OnStep = Callable[[loop.Progress, int], None]


def tune(
    model: GenomicModel,
    train: Sequence[Example],
    dev: Sequence[Example],
    posed: Task,
    config: TuneConfig,
    on_step: OnStep | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[TunedModel, History]:
    """Fine-tune a model, whose network is changed in place.

    Parameters
    ----------
    train, dev : what is learnt from; and what weights, when to stop, and the temperature are chosen by.
    posed : what the examples pose, as `task.task_of` the training examples.
    on_step : told the progress, and the planned number of steps, after every step.
    clock : seconds, by which the configuration's minutes count.

    Raises
    ------
    DataError
        as `rows.rows_of` and `task.targets_of`; and when the loss is not finite.
    UsageError
        when the model cannot do what is asked for.
    """
    began = time.monotonic()
    pooling = "none" if posed.per_base else config.pooling
    built = predictor.build(model, posed.outputs, pooling=pooling, dropout=config.dropout, seed=config.seed)
    if config.rank:
        _adapt(built, config)
    both = config.both_strands and not posed.per_base
    data = _Data.of(model, train, posed, config, both)
    tuned = TunedModel(base=model, predictor=built, task=posed, both_strands=both)
    judge = _Judge(tuned, dev, config)
    history = _run(built, data, judge, config, on_step, clock)
    judge.restore()
    lora.merge(built)
    built.requires_grad_(True).eval()
    tuned = _calibrated(tuned, judge, history)
    history.seconds = time.monotonic() - began
    return tuned, history


def _adapt(built: predictor.Predictor, config: TuneConfig) -> None:
    built.network.requires_grad_(False)
    generator = torch.Generator().manual_seed(config.seed)
    lora.attach(built.network.decoder_layers, rank=config.rank, alpha=config.alpha, generator=generator)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Data:
    """Training examples as rows, of both strands where wanted, their targets, and their order."""

    strands: tuple[list[Row], ...]
    targets: list[np.ndarray]
    batches: Batches
    posed: Task
    seed: int
    half: bool

    @classmethod
    def of(
        cls, model: GenomicModel, examples: Sequence[Example], posed: Task, config: TuneConfig, both: bool
    ) -> "_Data":
        if not examples:
            raise errors.DataError("there is nothing to train on")
        strands = tuple(
            rows_of(model, examples, truncate=config.truncate, other_strand=other)
            for other in ((False, True) if both else (False,))
        )
        lengths_N = np.array([row.ids_T.size for row in strands[0]])
        return cls(
            strands=strands,
            targets=task.targets_of(posed, examples),
            batches=Batches(lengths_N, size=config.batch_size, seed=config.seed),
            posed=posed,
            seed=config.seed,
            half=config.dtype == "bfloat16",
        )

    def loss_at(self, built: predictor.Predictor, step: int) -> torch.Tensor:
        """The loss of a step, by its number alone but for dropout."""
        chosen = self.batches.of(step)
        turned = np.zeros(len(chosen), dtype=np.int64)
        if len(self.strands) > 1:
            turned = np.random.default_rng([self.seed, 1, step]).integers(2, size=len(chosen))
        rows = [self.strands[strand][at] for strand, at in zip(turned, chosen, strict=True)]
        with torch.autocast(built.network.device.type, torch.bfloat16, enabled=self.half):
            answers = built(rows)
        targets = _stacked(self.posed, [self.targets[at] for at in chosen], rows)
        return task.loss_of(self.posed, answers, targets.to(answers.device))


def _stacked(posed: Task, targets: list[np.ndarray], rows: list[Row]) -> torch.Tensor:
    if posed.per_base:
        owned = [target[: row.owner_L.size] for target, row in zip(targets, rows, strict=True)]
        return torch.from_numpy(np.concatenate(owned))
    return torch.from_numpy(np.stack(targets))


class _Settled(Exception):
    """The dev split gains no more."""


class _Judge:
    """Measures the dev split, remembers the best weights, and tells when there is no more gain."""

    def __init__(self, tuned: TunedModel, dev: Sequence[Example], config: TuneConfig) -> None:
        self.tuned, self.dev, self.config = tuned, list(dev), config
        self.metric = measures.first_measure(tuned.task, config.metric)
        self.targets = task.targets_of(tuned.task, self.dev)
        self.best, self.best_number, self.stale, self.number = (-np.inf, -np.inf), -1, 0, 0
        self._weights: dict[str, torch.Tensor] = {}
        if not self.dev:
            raise errors.DataError("the dev split is empty", hint="--dev")
        # What is wrong with the dev split should show before the training, not after it.
        rows_of(tuned.base, self.dev, truncate=config.truncate)

    def __call__(self) -> dict[str, float]:
        answers = self.tuned.answers(self.dev, truncate=self.config.truncate)
        posed = self.tuned.task
        shares = [task.probabilities(posed, answer) for answer in answers]
        value = measures.measures_of(posed, self.targets, shares)[self.metric](None)
        loss = self.loss(answers, 1.0)
        if (value, -loss) > self.best:
            self.best, self.best_number, self.stale = (value, -loss), self.number, 0
            self._weights = {name: p.detach().clone() for name, p in self._trained()}
        else:
            self.stale += 1
        self.number += 1
        return {self.metric: value, "dev loss": loss}

    def loss(self, answers: list[np.ndarray], temperature: float) -> float:
        """Mean loss of the dev split at a temperature."""
        posed = self.tuned.task
        truth, answers_PC = measures.flat(posed, self.targets, answers)
        scaled = torch.from_numpy(answers_PC / np.float32(temperature))
        return float(task.loss_of(posed, scaled, torch.from_numpy(truth)))

    def restore(self) -> None:
        """Give the model its best weights back."""
        with torch.no_grad():
            for name, parameter in self._trained():
                if name in self._weights:
                    parameter.copy_(self._weights[name])

    def _trained(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [(name, p) for name, p in self.tuned.predictor.named_parameters() if p.requires_grad]


def _run(
    built: predictor.Predictor,
    data: _Data,
    judge: _Judge,
    config: TuneConfig,
    on_step: OnStep | None,
    clock: Callable[[], float],
) -> History:
    """Train until the schedule or the gain is over."""
    history = History(planned_steps=_planned(built, data, config, clock))
    every = max(1, min(data.batches.per_epoch, history.planned_steps // 2) // config.evaluations)
    schedule = loop.LoopConfig(
        steps=history.planned_steps,
        learning_rate=config.learning_rate,
        warmup=round(config.warmup * history.planned_steps),
        weight_decay=config.weight_decay,
        evaluate_every=every,
        checkpoint_seconds=1e9,
    )

    def after_step(progress: loop.Progress) -> None:
        history.losses, history.evaluations = progress.losses, progress.evaluations
        history.steps = progress.step
        if on_step is not None:
            on_step(progress, history.planned_steps)
        if judge.stale >= config.patience:
            raise _Settled

    with tempfile.TemporaryDirectory() as aside, torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        try:
            loop.train(
                built,
                lambda step: data.loss_at(built, step),
                schedule,
                Path(aside),
                minutes=config.minutes,
                evaluate=judge,
                on_step=after_step,
                clock=clock,
            )
        except _Settled:
            built.eval()
    if not history.evaluations or history.evaluations[-1]["step"] < history.steps:
        # The time was over between two evaluations.
        history.evaluations.append({"step": history.steps, **judge()})
    history.best_step = int(history.evaluations[judge.best_number]["step"])
    return history


def _planned(built: predictor.Predictor, data: _Data, config: TuneConfig, clock: Callable[[], float]) -> int:
    """Steps of the schedule: of all epochs, or what fits into the time."""
    steps = config.epochs * data.batches.per_epoch
    if config.minutes is None:
        return steps
    began = 0.0
    for step in range(TIMED + 1):
        if step == 1:
            began = clock()  # the first one warms up
        data.loss_at(built, step).backward()
        built.zero_grad(set_to_none=True)
    fitting = FOR_STEPS * 60 * config.minutes * TIMED / max(clock() - began, 1e-9)
    return max(1, min(steps, int(fitting)))


def _calibrated(tuned: TunedModel, judge: _Judge, history: History) -> TunedModel:
    """With the temperature that fits the dev split best."""
    posed = tuned.task
    if posed.kind == "regression":
        return tuned
    answers = tuned.answers(judge.dev, truncate=judge.config.truncate)
    temperature = calibration.fit_temperature(lambda at: judge.loss(answers, at))
    for field, at in (("error_before", 1.0), ("error_after", temperature)):
        shares = [task.probabilities(posed, answer, at) for answer in answers]
        setattr(history, field, measures.confidence(posed, judge.targets, shares))
    return dataclasses.replace(tuned, temperature=temperature)
