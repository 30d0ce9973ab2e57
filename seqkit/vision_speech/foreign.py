"""Speech checkpoints that transformers loads, behind the `Transcriber` interface: sound only.

Whisper-style (text without word times) and wav2vec 2.0-style CTC (with them). A folder on
disk only: nothing is fetched, no code of a checkpoint is run, weights are safetensors.

Shape suffixes: S samples, T frames of the model, V ids.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

from seqkit import errors
from seqkit.vision_speech import ctc
from seqkit.vision_speech.interface import Clip, Heard, Word
from seqkit.vision_speech.model import RATE

__all__ = ["CTC_KINDS", "CtcTranscriber", "WhisperTranscriber", "load"]

#: CTC checkpoints by their `model_type`, and the class that holds them.
CTC_KINDS = {
    "wav2vec2": "Wav2Vec2ForCTC",
    "hubert": "HubertForCTC",
    "wavlm": "WavLMForCTC",
    "wav2vec2-conformer": "Wav2Vec2ConformerForCTC",
}
WHISPER = "whisper"


class WhisperTranscriber:
    """See `Transcriber`.

    Parameters
    ----------
    model, processor : transformers'.
    """

    uses = frozenset({"audio"})

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model.eval(), processor

    @torch.inference_mode()
    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        """See `Transcriber.transcribe`; a clip without sound has no text."""
        return [Heard("", 0.0) if clip.wave_S is None else self._heard(clip.wave_S) for clip in clips]

    def _heard(self, wave_S: npt.NDArray[np.float32]) -> Heard:
        features = self.processor.feature_extractor(wave_S, sampling_rate=RATE, return_tensors="pt")
        output = self.model.generate(
            input_features=features["input_features"],
            do_sample=False,
            max_new_tokens=min(200, self.model.config.max_target_positions - 8),
            return_dict_in_generate=True,
            output_scores=True,
        )
        logprobs = self.model.compute_transition_scores(
            output.sequences, output.scores, normalize_logits=True
        )
        told = logprobs[0][torch.isfinite(logprobs[0])]
        text = self.processor.tokenizer.decode(output.sequences[0], skip_special_tokens=True)
        return Heard(" ".join(text.split()), float(told.mean()) if len(told) else 0.0)


class CtcTranscriber:
    """See `Transcriber`.

    Parameters
    ----------
    model, processor : transformers'.
    """

    uses = frozenset({"audio"})

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model.eval(), processor
        self._blank = int(processor.tokenizer.pad_token_id)

    @torch.inference_mode()
    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        """See `Transcriber.transcribe`; a clip without sound has no text."""
        return [Heard("", 0.0) if clip.wave_S is None else self._heard(clip.wave_S) for clip in clips]

    def _heard(self, wave_S: npt.NDArray[np.float32]) -> Heard:
        read = self.processor.feature_extractor(wave_S, sampling_rate=RATE, return_tensors="pt")
        log_TV = self.model(input_values=read["input_values"]).logits[0].log_softmax(dim=-1).numpy()
        ids = ctc.greedy(log_TV, self._blank)
        seconds = len(wave_S) / RATE / len(log_TV)
        words = self._words(ids, ctc.align(log_TV, ids, self._blank), seconds)
        text = " ".join(word.text for word in words)
        return Heard(text, float(log_TV.max(axis=1).mean()), words)

    def _words(self, ids: list[int], spans: list[tuple[int, int]], seconds: float) -> tuple[Word, ...]:
        """Words between the tokenizer's delimiters."""
        tokenizer = self.processor.tokenizer
        parted: list[list[int]] = [[]]
        for place, number in enumerate(ids):
            if number == tokenizer.word_delimiter_token_id:
                parted.append([])
            elif number not in tokenizer.all_special_ids:
                parted[-1].append(place)
        return tuple(
            Word(
                "".join(tokenizer.convert_ids_to_tokens([ids[place] for place in places])).lower(),
                spans[places[0]][0] * seconds,
                spans[places[-1]][1] * seconds,
            )
            for places in parted
            if places
        )


def load(folder: Path) -> WhisperTranscriber | CtcTranscriber:
    """A checkpoint from its folder.

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
    if kind != WHISPER and kind not in CTC_KINDS:
        known = ", ".join([WHISPER, *CTC_KINDS])
        raise errors.DataError(
            f"model_type {kind!r} is none of {known}", file=str(config), hint="--audio-model"
        )
    name = "WhisperForConditionalGeneration" if kind == WHISPER else CTC_KINDS[kind]
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = getattr(transformers, name).from_pretrained(folder, use_safetensors=True, **safe)
        processor = transformers.AutoProcessor.from_pretrained(folder, **safe)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise errors.DataError(f"cannot be loaded: {reason}", file=str(folder)) from error
    return (WhisperTranscriber if kind == WHISPER else CtcTranscriber)(model, processor)
