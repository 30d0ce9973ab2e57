"""What training of captions minimises: cross-entropy with smoothing, and InfoNCE.

Wu et al. (ICASSP 2024, arXiv 2309.17352). Knows tensors only; each part has a weight, 0 is off.

Shape suffixes: B pairs, L tokens, V vocabulary, W width of vectors.
"""

import torch
from torch import nn

from seqkit import errors

__all__ = ["caption_loss", "info_nce"]


def caption_loss(logits_BLV: torch.Tensor, targets_BL: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy per token; 0 is padding and does not count."""
    return nn.functional.cross_entropy(
        logits_BLV.float().flatten(0, 1), targets_BL.flatten(), ignore_index=0, label_smoothing=smoothing
    )


def info_nce(clips_BW: torch.Tensor, texts_BW: torch.Tensor, temperature: float) -> torch.Tensor:
    """Symmetric InfoNCE of unit vectors whose rows belong together (van den Oord et al. 2018).

    Raises
    ------
    UsageError
        when the temperature is not positive.

    Examples
    --------
    >>> vectors = torch.eye(4)
    >>> bool(info_nce(vectors, vectors, 0.1) < info_nce(vectors, vectors.roll(1, 0), 0.1))
    True
    """
    if not temperature > 0:
        raise errors.UsageError(f"a temperature of {temperature} is not positive")
    scores_BB = clips_BW @ texts_BW.T / temperature
    places_B = torch.arange(len(scores_BB), device=scores_BB.device)
    there = nn.functional.cross_entropy(scores_BB, places_B)
    back = nn.functional.cross_entropy(scores_BB.T, places_B)
    return (there + back) / 2
