"""Speech checkpoints that transformers loads, behind the `Transcriber` interface: sound only.

Whisper-style (text without word times) and wav2vec 2.0-style CTC (with them). A folder on
disk only: nothing is fetched, no code of a checkpoint is run, weights are safetensors.

Shape suffixes: S samples, T frames of the model, V ids.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seqkit import errors
from seqkit.models import folders, listening
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
    model, processor : transformers'; clips are read on the model's device.

    Attributes
    ----------
    longest : seconds that are read at once; the processor would cut off what is beyond them.
    """

    uses = frozenset({"audio"})

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model.eval(), processor
        self.longest = float(processor.feature_extractor.chunk_length)

    @torch.inference_mode()
    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        """See `Transcriber.transcribe`; a clip without sound has no text.

        Raises
        ------
        DataError
            if a clip is longer than the longest that is read at once.
        """
        return [Heard("", 0.0) if clip.wave_S is None else self._heard(clip.wave_S) for clip in clips]

    def _heard(self, wave_S: npt.NDArray[np.float32]) -> Heard:
        if len(wave_S) > self.longest * RATE:
            raise errors.DataError(
                f"a clip of {len(wave_S) / RATE:.1f} s, and the checkpoint reads {self.longest:g} s at once"
            )
        features = self.processor.feature_extractor(wave_S, sampling_rate=RATE, return_tensors="pt")
        read = {"input_features": features["input_features"].to(self.model.device)}
        room = min(200, self.model.config.max_target_positions - 8)
        with folders.quiet():
            (ids_L,) = self.model.generate(**read, do_sample=False, max_new_tokens=room)
        text = self.processor.tokenizer.decode(ids_L, skip_special_tokens=True)
        # Whisper leaves out what it began with.
        begun_L = torch.cat([ids_L.new_tensor([self.model.config.decoder_start_token_id]), ids_L])
        return Heard(" ".join(text.split()), listening.mean_logprob(self.model, read, begun_L))


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
        values_1S = read["input_values"].to(self.model.device)
        log_TV = self.model(input_values=values_1S).logits[0].log_softmax(dim=-1).cpu().numpy()
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


def load(folder: Path, device: torch.device | str = "cpu") -> WhisperTranscriber | CtcTranscriber:
    """A checkpoint from its folder; on the processor unless a device is given.

    Raises
    ------
    DataError
        when a file is missing or damaged, or the kind is another; named.
    """
    kinds = {WHISPER: "WhisperForConditionalGeneration", **CTC_KINDS}
    model, processor = listening.load(folder, kinds, "--audio-model")
    model.to(device)
    is_whisper = listening.kind_of(folder) == WHISPER
    return (WhisperTranscriber if is_whisper else CtcTranscriber)(model, processor)
