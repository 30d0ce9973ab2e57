"""How well a model reads: error rates of its greedy CTC text, for choosing and for watching a run.

Knows models and labelled batches; not files. The error rates of whole transcription
are measured by `evaluation`.
"""

from collections.abc import Sequence

import jiwer
import torch

from seqkit.vision_speech import ctc
from seqkit.vision_speech.batches import MODALITIES, plain
from seqkit.vision_speech.corpus import Example
from seqkit.vision_speech.model import Batch, SpeechModel
from seqkit.vision_speech.texts import Alphabet

__all__ = ["error_rates", "greedy_texts"]


@torch.no_grad()
def greedy_texts(model: SpeechModel, batch: Batch) -> list[str]:
    """Texts of the best CTC paths of every clip."""
    states_BTD, _ = model.encode(batch)
    log_BTV = model.ctc(states_BTD).float().log_softmax(dim=-1).cpu().numpy()
    alphabet = Alphabet(model.config.characters)
    return [
        " ".join(alphabet.decode(ctc.greedy(log_TV[: int(frames)])).split())
        for log_TV, frames in zip(log_BTV, batch.frames_B, strict=True)
    ]


def error_rates(
    model: SpeechModel, examples: Sequence[Example], modalities: Sequence[str] = MODALITIES, size: int = 16
) -> dict[str, float]:
    """Word error rate, in percent, by each modality."""
    truth = [example.line.text for example in examples]
    rates = {}
    for modality in modalities:
        texts: list[str] = []
        for first in range(0, len(examples), size):
            texts += greedy_texts(model, plain(examples[first : first + size], modality, {}).batch)
        rates[modality] = 100 * float(jiwer.wer(truth, texts))
    return rates
