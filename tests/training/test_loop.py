"""The loop: it learns, stops, goes on as if it had never stopped, and refuses what it cannot go on from."""

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from seqkit import errors
from seqkit.training import curves, loop

CONFIG = loop.LoopConfig(steps=30, learning_rate=0.05, warmup=3, evaluate_every=10, checkpoint_seconds=0)


def make_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))


def loss_of(model: torch.nn.Module, step: int) -> torch.Tensor:
    x = torch.from_numpy(np.random.default_rng([7, step]).normal(size=(16, 4)).astype(np.float32))
    # Drawn from torch's own state too, which a checkpoint must keep.
    noise = 0.01 * torch.randn(16, 1)
    return (model(x) - x.sum(1, keepdim=True) + noise).square().mean()


def run(
    directory: Path, *, stop_at: int | None = None, **options: object
) -> tuple[loop.Progress, torch.nn.Module]:
    model = make_model()

    def loss_at(step: int) -> torch.Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        return loss_of(model, step)

    return loop.train(model, loss_at, CONFIG, directory, **options), model  # type: ignore[arg-type]


def test_it_learns(tmp_path: Path) -> None:
    progress, model = run(tmp_path)
    assert progress.finished and progress.step == 30
    assert progress.losses[-1] < progress.losses[0] / 2
    assert not model.training


@pytest.mark.parametrize("stop_at", [1, 13, 29])
def test_killed_and_resumed_is_as_never_stopped(stop_at: int, tmp_path: Path) -> None:
    whole, model = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop_at=stop_at)
    parts, resumed = run(tmp_path / "parts")
    assert parts.losses == whole.losses
    for ours, expected in zip(resumed.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_end_and_the_checkpoint_be_written(
    number: signal.Signals, tmp_path: Path
) -> None:
    whole, _ = run(tmp_path / "whole")

    class Stopped(BaseException):
        pass

    def stop(*told: object) -> None:
        raise Stopped

    model = make_model()

    def loss_at(step: int) -> torch.Tensor:
        if step == 13:
            signal.raise_signal(number)
        return loss_of(model, step)

    before = signal.signal(number, stop)
    config = dataclasses.replace(CONFIG, checkpoint_seconds=1e9)
    try:
        with pytest.raises(Stopped):
            loop.train(model, loss_at, config, tmp_path / "parts")
    finally:
        assert signal.signal(number, before) is stop
    seen: list[int] = []
    parts, _ = run(tmp_path / "parts", on_step=lambda progress: seen.append(progress.step))
    assert seen[0] == 15  # the step that was interrupted is done, and not done again
    assert parts.losses == whole.losses


def test_a_second_signal_acts_at_once(tmp_path: Path) -> None:
    model = make_model()

    def loss_at(step: int) -> torch.Tensor:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("went on")

    with pytest.raises(KeyboardInterrupt):
        loop.train(model, loss_at, CONFIG, tmp_path)


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_what_is_not_finite_is_told_and_not_learnt(broken: str, tmp_path: Path) -> None:
    model = torch.nn.Linear(4, 1)

    def loss_at(step: int) -> torch.Tensor:
        loss = model(torch.ones(1, 4)).sum()
        if step < 4:
            return loss
        # The square root's slope at 0 has no end, though its value has.
        return loss * float("nan") if broken == "loss" else (loss - loss).abs().sqrt()

    with pytest.raises(errors.DataError, match=f"{broken} of step 4 is"):
        loop.train(model, loss_at, CONFIG, tmp_path)
    assert all(value.isfinite().all() for value in model.parameters())
    kept = safetensors.torch.load_file(tmp_path / loop.CHECKPOINT)
    assert torch.equal(kept["model.weight"], model.weight)


def test_tied_weights_are_resumed(tmp_path: Path) -> None:
    def tied() -> torch.nn.Module:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 4))
        model[2].weight = model[0].weight
        return model

    def train(steps_allowed: int) -> torch.nn.Module:
        model = tied()

        def loss_at(step: int) -> torch.Tensor:
            if step == steps_allowed:
                raise KeyboardInterrupt
            return (model(torch.ones(2, 4)) - step).square().mean()

        loop.train(model, loss_at, CONFIG, tmp_path)
        return model

    with pytest.raises(KeyboardInterrupt):
        train(7)
    resumed = train(40)
    (tmp_path / loop.CHECKPOINT).unlink()
    whole = train(40)
    assert resumed[2].weight is resumed[0].weight
    assert torch.equal(resumed[0].weight, whole[0].weight)


def test_a_checkpoint_of_another_shape_is_told(tmp_path: Path) -> None:
    run(tmp_path)
    model = torch.nn.Linear(4, 1)
    with pytest.raises(errors.DataError, match="another model"):
        loop.train(model, lambda step: model(torch.ones(1, 4)).sum(), CONFIG, tmp_path)


def test_no_resume_starts_over(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at=5)
    progress, _ = run(tmp_path, resume=False)
    assert progress.step == len(progress.losses) == 30


def test_no_time_takes_no_step(tmp_path: Path) -> None:
    progress, _ = run(tmp_path, minutes=0)
    assert progress.step <= 1 and not progress.finished


def test_evaluations_come_when_due(tmp_path: Path) -> None:
    progress, _ = run(tmp_path, evaluate=lambda: {"recall": 50.0})
    assert [found["step"] for found in progress.evaluations] == [10, 20, 30]


def test_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path, fingerprint="one")
    with pytest.raises(errors.DataError, match="another run"):
        run(tmp_path, fingerprint="two")


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    run(tmp_path)
    path = tmp_path / loop.CHECKPOINT
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(errors.DataError, match="damaged checkpoint"):
        run(tmp_path)


def test_nothing_is_left_beside_the_checkpoint(tmp_path: Path) -> None:
    run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [loop.CHECKPOINT]


def test_a_loss_that_is_no_number_stops(tmp_path: Path) -> None:
    model = make_model()
    with pytest.raises(errors.DataError, match="step 0"):
        loop.train(model, lambda step: model(torch.full((2, 4), torch.nan)).sum(), CONFIG, tmp_path)


def test_schedule() -> None:
    rates = [loop.learning_rate_at(step, CONFIG) for step in range(30)]
    assert max(rates) == pytest.approx(0.05) and rates.index(max(rates)) in (2, 3)
    assert rates[3:] == sorted(rates[3:], reverse=True) and rates[-1] < 0.002


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"learning_rate": 0.0}, {"warmup": -1}])
def test_wrong_settings_are_told(wrong: dict[str, float]) -> None:
    with pytest.raises(errors.UsageError, match=next(iter(wrong))):
        loop.LoopConfig(**{"steps": 5, **wrong})  # type: ignore[arg-type]


def test_curves(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "curves.png"
    curves.save_curves(
        path, [2.0, 1.5, 1.2], [{"step": 2, "top-50": 80.0}, {"step": 3, "top-50": 90.0}], title="a run"
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    curves.save_curves(path, [2.0], [], title="one step, nothing measured")
