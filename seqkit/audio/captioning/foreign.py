"""Audio-to-text checkpoints that transformers loads, behind the same interface.

Whisper- and Qwen2-Audio-style.
A folder on disk only: nothing is fetched, no code of a checkpoint is run, weights are
safetensors. The score of a caption is the mean probability of its tokens, which is no
calibrated probability that it is right.

Shape suffixes: S samples, L tokens.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

from seqkit import errors
from seqkit.audio.captioning.interface import Scored

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
        output = self.model.generate(
            **read,
            max_new_tokens=self.most_tokens,
            do_sample=False,
            num_beams=max(1, n_best),
            num_return_sequences=n_best,
            return_dict_in_generate=True,
            output_scores=True,
        )
        logprobs = self.model.compute_transition_scores(
            output.sequences, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
        )
        new = output.sequences[:, -logprobs.shape[1] :]
        found = []
        for ids, row in zip(new, logprobs, strict=True):
            told = row[torch.isfinite(row) & (row < 0)]
            mean = float(told.mean()) if len(told) else 0.0
            text = " ".join(self.processor.tokenizer.decode(ids, skip_special_tokens=True).split())
            found.append(Scored(text, math.exp(mean), mean))
        return sorted(found, key=lambda one: -one.score)

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
    config = folder / "config.json"
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(config)) from error
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise errors.DataError(f"model_type {kind!r} is none of {known}", file=str(config), hint="--model")
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = getattr(transformers, KINDS[kind]).from_pretrained(folder, use_safetensors=True, **safe)
        processor = transformers.AutoProcessor.from_pretrained(folder, **safe)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise errors.DataError(f"cannot be loaded: {reason}", file=str(folder)) from error
    return ForeignDescriber(model, processor, prompt=PROMPT if kind == "qwen2_audio" else None)
