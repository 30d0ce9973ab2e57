"""Pseudo-convolutional policy gradient: sequences rewarded by their character errors (PCPG).

Luo et al. (FG 2020, arXiv 2003.03983). Every character of a drawn text is rewarded by how it
changes the edit distance to the truth; a window slides over rewards and losses, so that a
character answers for its neighbours too. The greedy text's rewards are the baseline: where
the two are equal nothing is to be learnt. The paper's window and stride could not be
verified; they are options here. Knows ids and logits; not models.

Shape suffixes: B texts, L characters, V ids, W windows.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from seqkit import errors

__all__ = ["PcpgConfig", "distances", "policy_loss", "returns", "rewards"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PcpgConfig:
    """Options of the policy gradient.

    Attributes
    ----------
    weight : of the policy's loss beside that of cross-entropy.
    window : characters that are looked at together; 1 is plain policy gradient.
    stride : from one window to the next.
    gamma : how much a reward counts for the character before.
    """

    weight: float = 0.1
    window: int = 5
    stride: int = 1
    gamma: float = 0.95

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.window < 1 or not 1 <= self.stride <= self.window:
            raise errors.UsageError("window must be at least 1, stride between 1 and it")
        if self.weight < 0 or not 0 <= self.gamma <= 1:
            raise errors.UsageError("weight must not be negative, gamma within 0 and 1")


def distances(text: Sequence[int], truth: Sequence[int]) -> npt.NDArray[np.int64]:
    """Edit distances (L + 1) of every prefix of a text, the empty one first, to the whole truth.

    Examples
    --------
    >>> distances([1, 2, 9], [1, 2, 3]).tolist()
    [3, 2, 1, 1]
    """
    row = np.arange(len(truth) + 1)
    found = [int(row[-1])]
    truth_T = np.asarray(truth)
    for number in text:
        kept = row[:-1] + (truth_T != number)
        best = np.concatenate([[row[0] + 1], np.minimum(row[1:] + 1, kept)])
        # Insertions: best[j] = min over i <= j of best[i] + (j - i).
        row = np.minimum.accumulate(best - np.arange(len(best))) + np.arange(len(best))
        found.append(int(row[-1]))
    return np.array(found)


def rewards(text: Sequence[int], truth: Sequence[int]) -> npt.NDArray[np.float64]:
    """What each character is worth: how much nearer the text comes to the truth, per character of it."""
    return -np.diff(distances(text, truth)) / max(1, len(truth))


def returns(values_L: npt.NDArray[np.float64], gamma: float) -> npt.NDArray[np.float64]:
    """Every reward with those that follow, discounted."""
    total, found = 0.0, np.zeros(len(values_L))
    for place in range(len(values_L) - 1, -1, -1):
        total = values_L[place] + gamma * total
        found[place] = total
    return found


def policy_loss(
    logits_BLV: torch.Tensor,
    drawn: Sequence[Sequence[int]],
    greedy: Sequence[Sequence[int]],
    truth: Sequence[Sequence[int]],
    config: PcpgConfig,
) -> torch.Tensor:
    """The loss whose gradient is the policy's: minus advantage times log-probability, window by window.

    Parameters
    ----------
    logits_BLV : of the characters of the drawn texts; places beyond a text do not count.
    drawn : texts as they were drawn.
    greedy : the most probable ones, as baseline.
    truth : what was said.

    Returns
    -------
    The mean over texts and windows; 0, without gradient, where drawn and greedy texts are equal.
    """
    logp_BLV = logits_BLV.float().log_softmax(dim=-1)
    total = logits_BLV.new_zeros((), dtype=torch.float32)
    for row, (one, best, said) in enumerate(zip(drawn, greedy, truth, strict=True)):
        if not one or list(one) == list(best):
            continue
        advantage_L = torch.from_numpy(_advantages(one, best, said, config)).float()
        logp_L = logp_BLV[row, : len(one)].gather(1, torch.tensor(one)[:, None])[:, 0]
        total = total - (_windows(advantage_L, config) * _windows(logp_L, config)).mean()
    return config.weight * total / max(1, len(drawn))


def _advantages(
    one: Sequence[int], best: Sequence[int], said: Sequence[int], config: PcpgConfig
) -> npt.NDArray[np.float64]:
    """Returns of a drawn text beyond those of the greedy one at the same place."""
    own_L, baseline = returns(rewards(one, said), config.gamma), returns(rewards(best, said), config.gamma)
    fitted_L = np.zeros(len(own_L))
    shared = min(len(own_L), len(baseline))
    fitted_L[:shared] = baseline[:shared]
    return own_L - fitted_L


def _windows(values_L: torch.Tensor, config: PcpgConfig) -> torch.Tensor:
    """Means (W) of windows that slide over places; a text shorter than a window is one window."""
    size = min(config.window, len(values_L))
    return values_L.unfold(0, size, config.stride).mean(dim=-1)
