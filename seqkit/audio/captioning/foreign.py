"""Audio-to-text checkpoints that transformers loads, behind the same interface.

Whisper- and Qwen2-Audio-style.
A folder on disk only: nothing is fetched, no code of a checkpoint is run, weights are
safetensors. The score of a caption is the mean probability of its tokens, which is no
calibrated probability that it is right.

Shape suffixes: S samples, L tokens.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seqkit.audio.captioning.interface import Scored
from seqkit.models import folders, listening

__all__ = ["KINDS", "ForeignDescriber", "load"]

#: Kinds of checkpoints by their `model_type`, and the class that holds them.
KINDS = {
    "whisper": "WhisperForConditionalGeneration",
    "qwen2_audio": "Qwen2AudioForConditionalGeneration",
}
#: What an instructed model is asked.
PROMPT = "<|audio_bos|><|AUDIO|><|audio_eos|>Describe the sound in one sentence:"


class ForeignDescriber:
    """See `Describer`.

    Parameters
    ----------
    model, processor : transformers'.
    prompt : what an instructed model is asked, with its place for the sound; None for others.
    most_tokens : longest caption.
    """

    def __init__(self, model: Any, processor: Any, *, prompt: str | None, most_tokens: int = 48) -> None:
        self.model, self.processor = model.eval(), processor
        self.prompt, self.most_tokens = prompt, most_tokens
        self.rate = int(processor.feature_extractor.sampling_rate)

    @torch.inference_mode()
    def describe(self, waves: Sequence[npt.NDArray[np.float32]], n_best: int = 1) -> list[list[Scored]]:
        """See `Describer.describe`; one wave at a time, with as many beams as captions are asked for."""
        return [self._captions(wave_S, n_best) for wave_S in waves]

    def _captions(self, wave_S: npt.NDArray[np.float32], n_best: int) -> list[Scored]:
        read = self._read(wave_S)
        # The place of a sound is no word; a model that said it would ask for a second sound.
        place = getattr(self.model.config, "audio_token_id", None)
        unsaid = {} if self.prompt is None or place is None else {"suppress_tokens": [int(place)]}
        with folders.quiet():
            sequences = self.model.generate(
                **read,
                max_new_tokens=self._room(),
                do_sample=False,
                num_beams=max(1, n_best),
                num_return_sequences=n_best,
                **unsaid,
            )
        given = read["input_ids"].shape[1] if "input_ids" in read else 0
        found = []
        for ids_L in sequences:
            mean = listening.mean_logprob(self.model, read, ids_L, given)
            text = self.processor.tokenizer.decode(ids_L[given:], skip_special_tokens=True)
            found.append(Scored(" ".join(text.split()), math.exp(mean), mean))
        return sorted(found, key=lambda one: -one.score)

    def _room(self) -> int:
        """Tokens that may be said, beside those that stand before them."""
        positions = getattr(self.model.config, "max_target_positions", None)
        return self.most_tokens if positions is None else max(1, min(self.most_tokens, positions - 8))

    def _read(self, wave_S: npt.NDArray[np.float32]) -> dict[str, Any]:
        if self.prompt is None:
            features = self.processor.feature_extractor(
                wave_S, sampling_rate=self.rate, return_tensors="pt", return_attention_mask=True
            )
            return {
                "input_features": features["input_features"],
                "attention_mask": features["attention_mask"],
            }
        return dict(
            self.processor(text=self.prompt, audio=wave_S, sampling_rate=self.rate, return_tensors="pt")
        )


def load(folder: Path) -> ForeignDescriber:
    """A checkpoint of one of `KINDS` from its folder.

    Raises
    ------
    DataError
        when a file is missing or damaged, or the kind is another; named.
    """
    model, processor = listening.load(folder, KINDS, "--model")
    asked = PROMPT if listening.kind_of(folder) == "qwen2_audio" else None
    return ForeignDescriber(model, processor, prompt=asked)
