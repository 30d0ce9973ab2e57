"""What training minimises: CTC and cross-entropy of characters, and of words per frame where known.

Pan et al. (ACL 2022): `0.2 CTC + 0.8 CE`, with smoothing. Words per frame stand for
their first stage, which trains the visual front on single words. Knows tensors; not
batches' making or loops.

Shape suffixes: B clips, T frames, L characters, V ids, D model size.
"""

import dataclasses

import torch
from torch import nn

from seqkit import errors
from seqkit.vision_speech.batches import UNKNOWN, Labelled
from seqkit.vision_speech.model import SpeechModel
from seqkit.vision_speech.texts import BLANK, PAD

__all__ = ["LossConfig", "SpeechLoss", "ctc_loss"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """How much each part counts."""

    ctc: float = 0.2
    """Weight of CTC."""
    attention: float = 0.8
    """Weight of the decoder's cross-entropy."""
    words: float = 0.0
    """Weight of the words per frame, told by each modality's encoder."""
    smoothing: float = 0.1
    """Share of a character's probability that is spread over all (decoder)."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if min(self.ctc, self.attention, self.words) < 0 or not 0 <= self.smoothing < 1:
            raise errors.UsageError("weights must not be negative, smoothing within 0 and 1")
        if not self.ctc + self.attention + self.words:
            raise errors.UsageError("some part of the loss must count")


class SpeechLoss(nn.Module):
    """A model with what is only needed to train it.

    Parameters
    ----------
    words : words that are told per frame, the pause not counted.
    """

    def __init__(self, model: SpeechModel, words: int) -> None:
        super().__init__()
        self.model = model
        self.words = nn.Linear(model.config.d_model, words + 1)

    def forward(self, labelled: Labelled, config: LossConfig) -> torch.Tensor:
        """The weighted sum of the parts, for one batch."""
        batch, model = labelled.batch, self.model
        audio_BTD, video_BTD = model.hear(batch), model.see(batch)
        total = torch.zeros(())
        if config.words:
            for encoded_BTD in (audio_BTD, video_BTD):
                if encoded_BTD is not None:
                    total = total + config.words * _word_loss(self.words(encoded_BTD), labelled.words_BT)
        if not config.ctc and not config.attention:
            return total
        fused_BTD = model.fused(audio_BTD, video_BTD, batch)
        real_BT = batch.real_BT
        states_BTD = model.joint.get_encoder()(
            inputs_embeds=fused_BTD, attention_mask=real_BT.long()
        ).last_hidden_state
        if config.ctc:
            total = total + config.ctc * ctc_loss(model.ctc(states_BTD), labelled)
        if config.attention:
            logits_BLV = model.spell(states_BTD, real_BT, labelled.ids_BL[:, :-1])
            total = total + config.attention * nn.functional.cross_entropy(
                logits_BLV.float().flatten(0, 1),
                labelled.ids_BL[:, 1:].flatten(),
                ignore_index=PAD,
                label_smoothing=config.smoothing,
            )
        return total


def ctc_loss(logits_BTV: torch.Tensor, labelled: Labelled) -> torch.Tensor:
    """Negative log-likelihood per character, mean over clips; clips too short for their text count 0."""
    log_TBV = logits_BTV.float().log_softmax(dim=-1).transpose(0, 1)
    loss_B = nn.functional.ctc_loss(
        log_TBV,
        labelled.ids_BL[:, 1:-1],
        labelled.batch.frames_B,
        labelled.lengths_B,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    return (loss_B / labelled.lengths_B.clamp(min=1)).mean()


def _word_loss(logits_BTW: torch.Tensor, words_BT: torch.Tensor) -> torch.Tensor:
    if bool((words_BT == UNKNOWN).all()):
        return logits_BTW.sum() * 0
    return nn.functional.cross_entropy(
        logits_BTW.float().flatten(0, 1), words_BT.flatten(), ignore_index=UNKNOWN, label_smoothing=0.1
    )
