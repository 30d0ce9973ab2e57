"""Pictures of a training run: the loss of every step, and what the evaluations measured.

Knows numbers and names; not what they mean.
"""

from pathlib import Path

import numpy as np

__all__ = ["save_curves"]


def save_curves(
    path: Path,
    losses: list[float],
    evaluations: list[dict[str, float]],
    *,
    title: str,
    unit: str = "recall (%)",
) -> None:
    """Draw the loss, smoothed and raw, beside the evaluations, and save a PNG.

    Parameters
    ----------
    losses : one per step.
    evaluations : dictionaries of named values, each with its "step".
    """
    from matplotlib.figure import Figure  # when a run is over: it would take memory from training

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(title)
    steps = np.arange(1, len(losses) + 1)
    left.plot(steps, losses, color="0.8", linewidth=0.8, label="each step")
    left.plot(steps, _smooth(losses), color="tab:blue", label="mean of 25 steps")
    left.set(xlabel="step", ylabel="loss (nats)", title="Training loss", yscale="log")
    left.grid(alpha=0.3)
    left.legend()
    names = [name for name in (evaluations[0] if evaluations else {}) if name != "step"]
    for name in names:
        points = [(e["step"], e[name]) for e in evaluations if name in e]
        right.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    right.set(xlabel="step", ylabel=unit, title="On held-out sequence")
    right.grid(alpha=0.3)
    if names:
        right.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _smooth(values: list[float], width: int = 25) -> np.ndarray:
    """Mean of up to `width` values, ending at each."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(0, ends - width)
    return (sums[ends] - sums[begins]) / (ends - begins)
