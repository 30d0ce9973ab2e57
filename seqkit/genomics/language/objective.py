"""The loss of a batch: a module, so that its parameters can be divided among processes.

The output layer is applied only to tokens with a label, some at a time, and
computed again in the backward pass: a table of all logits is never held. This file
knows the model and labels; it does not know where batches come from.

Shape suffixes: B rows, T tokens, N tokens with a label, D model size, V tokens of the vocabulary.
"""

import torch
from torch import nn

from seqkit.backbone.sequence import IGNORED, SequenceModel
from seqkit.training import objectives

__all__ = ["LanguageLoss"]

#: Logits that are held at a time: on a processor what its cache holds, elsewhere what keeps it busy.
LOGITS = {"cpu": 2**21}
MANY_LOGITS = 2**25


class LanguageLoss(nn.Module):
    """Sums of cross-entropy over the labels of a batch.

    Parameters
    ----------
    network : the model.
    z_loss : weight of the squared log-partition function.
    """

    def __init__(self, network: SequenceModel, *, z_loss: float = 0.0) -> None:
        super().__init__()
        self.network, self.z_loss = network, z_loss

    def forward(
        self, ids_BT: torch.Tensor, labels_BT: torch.Tensor, packed_BT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is made smaller, and the cross-entropy within it, both summed over labels, in nats.

        Parameters
        ----------
        ids_BT, labels_BT, packed_BT : see `seqkit.genomics.language.batches.Batch`.
        """
        real_BT = packed_BT >= 0
        is_padded, is_packed = not bool(real_BT.all()), bool((packed_BT > 0).any())
        states_BTD = self.network.states(
            ids_BT, real_BT if is_padded else None, packed_BT.clamp(min=0) if is_packed else None
        )
        counts_BT = labels_BT != IGNORED
        logits = LOGITS.get(states_BTD.device.type, MANY_LOGITS)
        return objectives.token_loss_sums(
            self.network.read_out,
            states_BTD[counts_BT],
            labels_BT[counts_BT],
            z_weight=self.z_loss,
            chunk=max(1, logits // self.network.config.vocab_size),
        )
