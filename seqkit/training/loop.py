"""The training loop: AdamW, warm-up and cosine, clipping, a budget, and checkpoints to go on from.

Knows a model's parameters and a function from a step's number to its loss, whole or
in parts; not what is trained or on what, or how a model is divided among processes. The function must draw
whatever is random from its step's number, so a run that was stopped and resumed sees what it would have seen.
A checkpoint is one safetensors file whose header holds the rest as JSON; it is
written aside and renamed, so it is whole at any moment. It is written between steps only: what fails
within one leaves the last.
"""

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import safetensors
import torch

from seqkit import errors
from seqkit.io import tensor_files
from seqkit.training import interrupts
from seqkit.training.world import ALONE, World

__all__ = ["LoopConfig", "Progress", "learning_rate_at", "train"]

CHECKPOINT = "checkpoint.safetensors"
FORMAT = "seqkit training 1"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long and how fast to train."""

    steps: int
    """Steps of the whole schedule."""
    learning_rate: float = 1e-3
    """Peak rate, reached at the end of the warm-up."""
    warmup: int = 30
    """Steps of linear warm-up."""
    weight_decay: float = 0.01
    """AdamW's decay, on matrices only."""
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    evaluate_every: int = 200
    """Steps between two evaluations; 0 for none before the end."""
    checkpoint_seconds: float = 60.0
    """Longest time between two checkpoints."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.steps < 1:
            raise errors.UsageError(f"steps must be at least 1, got {self.steps}", hint="--steps")
        if not self.learning_rate > 0 or not self.clip > 0:
            raise errors.UsageError("learning_rate and clip must be above 0")
        if min(self.warmup, self.evaluate_every, self.weight_decay, self.checkpoint_seconds) < 0:
            raise errors.UsageError(
                "warmup, evaluate_every, weight_decay, checkpoint_seconds must not be negative"
            )


@dataclasses.dataclass(kw_only=True)
class Progress:
    """What a run has done so far."""

    step: int = 0
    """Steps done."""
    losses: list[float] = dataclasses.field(default_factory=list)
    """The loss of every step."""
    evaluations: list[dict[str, float]] = dataclasses.field(default_factory=list)
    """What the evaluations returned, each with its "step"."""
    seconds: float = 0.0
    """Wall time, over all the sessions of the run."""
    finished: bool = False
    """Whether the schedule is complete."""


def learning_rate_at(step: int, config: LoopConfig) -> float:
    """Rate of a step: linear warm-up, then half a cosine down to a hundredth of the peak."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def train(
    model: torch.nn.Module,
    loss_at: Callable[[int], torch.Tensor | Iterable[torch.Tensor]],
    config: LoopConfig,
    directory: Path,
    *,
    resume: bool = True,
    minutes: float | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    on_step: Callable[[Progress], None] | None = None,
    fingerprint: str = "",
    world: World = ALONE,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Train until the schedule or the time is over; what is done is in the checkpoint.

    Parameters
    ----------
    model : trained in place; parameters that need no gradient stay as they are.
    loss_at : the loss of a step, from its number; called in training mode. Or parts that add up to it:
        each is differentiated before the next is asked for, so that only one is in memory.
    directory : where the checkpoint lies.
    resume : go on from the checkpoint there, if any; otherwise start over.
    minutes : stop after this many by `clock`, with a checkpoint; the schedule is not shortened.
    evaluate : called in evaluation mode every `evaluate_every` steps and at the end.
    on_step : told the progress after every step.
    fingerprint : what the run is; a checkpoint of another run is refused.
    world : the processes that the model is divided among; the loss is the mean of theirs.
    clock : seconds, by which `minutes` count: `time.process_time` where a machine is shared.

    Returns
    -------
    The progress, over all the sessions of the run.

    Raises
    ------
    DataError
        when the checkpoint is damaged or another run's, or a loss or a gradient is not finite.
    KeyboardInterrupt
        after the step that Ctrl-C came in, with a checkpoint; a second one acts at once.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / CHECKPOINT
    optimizer = _make_optimizer(model, config)
    progress = Progress()
    if resume and path.exists():
        progress = _restore(path, model, optimizer, fingerprint, world)
    began, saved_at, seconds_before = time.monotonic(), time.monotonic(), progress.seconds
    end = math.inf if minutes is None else clock() + 60 * minutes
    model.train()
    with interrupts.deferred() as interruption:
        while progress.step < config.steps:
            if world.agree(clock() > end or interruption.is_asked):
                break
            _take_step(model, optimizer, loss_at, config, progress, world)
            progress.seconds = seconds_before + time.monotonic() - began
            due = config.evaluate_every and progress.step % config.evaluate_every == 0
            if evaluate is not None and (due or progress.step == config.steps):
                _evaluate(model, evaluate, progress)
            if world.agree(time.monotonic() - saved_at >= config.checkpoint_seconds):
                _save(path, model, optimizer, progress, fingerprint, world)
                saved_at = time.monotonic()
            if on_step is not None:
                on_step(progress)
        progress.finished = progress.step >= config.steps
        _save(path, model, optimizer, progress, fingerprint, world)
    interruption.pass_on()
    model.eval()
    return progress


def _make_optimizer(model: torch.nn.Module, config: LoopConfig) -> torch.optim.AdamW:
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim == 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim != 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))


def _take_step(
    model: torch.nn.Module,
    optimizer: torch.optim.AdamW,
    loss_at: Callable[[int], torch.Tensor | Iterable[torch.Tensor]],
    config: LoopConfig,
    progress: Progress,
    world: World,
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(progress.step, config)
    optimizer.zero_grad(set_to_none=True)
    given = loss_at(progress.step)
    loss = 0.0
    for part in (given,) if isinstance(given, torch.Tensor) else given:
        part.backward()
        loss += part.item()
    loss = world.mean(loss)
    if not math.isfinite(loss):
        raise errors.DataError(f"the loss of step {progress.step} is {loss}", hint="a lower learning_rate")
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    if not math.isfinite(world.whole(norm).item()):
        raise errors.DataError(
            f"the gradient of step {progress.step} is not finite", hint="a lower learning_rate"
        )
    optimizer.step()
    progress.losses.append(loss)
    progress.step += 1


def _evaluate(model: torch.nn.Module, evaluate: Callable[[], dict[str, float]], progress: Progress) -> None:
    model.eval()
    progress.evaluations.append({"step": progress.step, **evaluate()})
    model.train()


def _names(model: torch.nn.Module, optimizer: torch.optim.AdamW) -> dict[str, torch.nn.Parameter]:
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {name: p for name, p in model.named_parameters() if id(p) in trained}


def _distinct(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The model's tensors by name; those that are tied, once."""
    found: dict[int, tuple[str, torch.Tensor]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        found.setdefault(id(value), (name, value.detach()))
    return dict(found.values())


def _state(model: torch.nn.Module, optimizer: torch.optim.AdamW) -> Iterator[tuple[str, torch.Tensor]]:
    """All that a checkpoint holds of both."""
    for name, value in _distinct(model).items():
        yield f"model.{name}", value
    for name, parameter in _names(model, optimizer).items():
        for key, value in optimizer.state.get(parameter, {}).items():
            yield f"optimizer.{key}.{name}", value


def _save(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.AdamW,
    progress: Progress,
    fingerprint: str,
    world: World,
) -> None:
    tensors = {}
    for name, value in _state(model, optimizer):
        whole = world.whole(value)
        if world.is_first:
            tensors[name] = whole
    if not world.is_first:
        return
    tensors["random_state"] = torch.get_rng_state()
    header = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "progress": json.dumps(dataclasses.asdict(progress)),
    }
    for left in path.parent.glob(f".{path.stem}.*"):
        left.unlink()  # by a process that was killed while it wrote
    tensor_files.save(path, tensors, header)


def _restore(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.AdamW, fingerprint: str, world: World
) -> Progress:
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # not a mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise errors.DataError(f"damaged checkpoint: {error}", file=str(path), hint="--no-resume") from error
    if header.get("format") != FORMAT or header.get("fingerprint") != fingerprint:
        raise errors.DataError("checkpoint of another run", file=str(path), hint="--no-resume starts over")
    saved = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    present = _distinct(model)
    if set(saved) != set(present):
        raise errors.DataError("checkpoint of another model", file=str(path), hint="--no-resume starts over")
    model.load_state_dict({name: world.divide(saved[name], present[name]) for name in saved}, strict=False)
    for name, parameter in _names(model, optimizer).items():
        keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"optimizer.{key}.{name}" in tensors]
        optimizer.state[parameter] = {
            key: world.divide(tensors[f"optimizer.{key}.{name}"], parameter) for key in keys
        }
    torch.set_rng_state(tensors["random_state"])
    return Progress(**json.loads(header["progress"]))
