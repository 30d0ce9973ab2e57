"""Losses, as functions of what a network returns; they know nothing of networks or data.

Shape suffixes: B pairs in a batch, D dimensions, N tokens, n of them at a time, V tokens of the vocabulary.
"""

from collections.abc import Callable

import torch
from torch.nn import functional
from torch.utils import checkpoint

__all__ = ["info_nce", "token_loss_sums"]


def info_nce(left_BD: torch.Tensor, right_BD: torch.Tensor, temperature: float) -> torch.Tensor:
    """Contrast every pair with all others of its batch, in both directions.

    Parameters
    ----------
    left_BD, right_BD : unit vectors; row i of one belongs to row i of the other.
    temperature : what similarities are divided by.

    Returns
    -------
    A scalar, the mean cross-entropy of finding the partner.

    Notes
    -----
    The symmetric InfoNCE of Radford et al., "Learning Transferable Visual Models
    From Natural Language Supervision", 2021, with a fixed temperature.

    Examples
    --------
    >>> float(info_nce(torch.eye(4), torch.eye(4), temperature=0.01)) < 1e-6
    True
    """
    similarity_BB = left_BD @ right_BD.T / temperature
    partner_B = torch.arange(len(left_BD), device=left_BD.device)
    forwards = functional.cross_entropy(similarity_BB, partner_B)
    backwards = functional.cross_entropy(similarity_BB.T, partner_B)
    return (forwards + backwards) / 2


def token_loss_sums(
    read_out: Callable[[torch.Tensor], torch.Tensor],
    states_ND: torch.Tensor,
    labels_N: torch.Tensor,
    *,
    z_weight: float = 0.0,
    chunk: int = 4096,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of tokens with z-loss, and without, both summed, in nats and float32.

    Logits are made `chunk` tokens at a time and, where gradients are asked for, made again in the backward
    pass, so the table of all of them is never held.

    Parameters
    ----------
    read_out : logits (n, V) of states (n, D).
    states_ND, labels_N : tokens' states, and what each should tell.
    z_weight : weight of the squared logarithm of the sum of exponentiated logits, which keeps logits
        small (z-loss: de Brebisson and Vincent, arXiv 1604.08859; PaLM, arXiv 2204.02311).

    Examples
    --------
    >>> total, plain = token_loss_sums(lambda x: x, torch.zeros(3, 2), torch.tensor([0, 1, 1]), z_weight=1.0)
    >>> round(float(plain), 4), round(float(total - plain), 4)
    (2.0794, 1.4414)
    """

    def of_some(states_nD: torch.Tensor, labels_n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits_nV = read_out(states_nD).float()
        told_n = functional.log_softmax(logits_nV, dim=-1).gather(-1, labels_n[:, None])[:, 0]
        if not z_weight:
            return -told_n.sum(), told_n.new_zeros(())
        partition_n = logits_nV.gather(-1, labels_n[:, None])[:, 0] - told_n
        return -told_n.sum(), partition_n.square().sum()

    plain = states_ND.new_zeros((), dtype=torch.float32)
    squares = states_ND.new_zeros((), dtype=torch.float32)
    for states_nD, labels_n in zip(states_ND.split(chunk), labels_N.split(chunk), strict=True):
        if states_nD.requires_grad and len(states_ND) > chunk:
            some, squared = checkpoint.checkpoint(of_some, states_nD, labels_n, use_reentrant=False)
        else:
            some, squared = of_some(states_nD, labels_n)
        plain, squares = plain + some, squares + squared
    return plain + z_weight * squares, plain
