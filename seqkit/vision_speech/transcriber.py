"""The package's own speech model as a `Transcriber`: clips to batches, readings to words with times.

Knows a model and how text is looked for; not files.

Shape suffixes: S samples, T frames.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from seqkit.models import catalogue
from seqkit.vision_speech import decoding, folder, word_times
from seqkit.vision_speech.corpus import SAMPLES_PER_FRAME
from seqkit.vision_speech.decoding import DecodeConfig
from seqkit.vision_speech.interface import Clip, Heard
from seqkit.vision_speech.language import CharacterModel
from seqkit.vision_speech.model import Batch, SpeechModel
from seqkit.vision_speech.texts import Alphabet

__all__ = ["DEFAULT", "SpeechTranscriber", "batch_of", "load"]

#: The model that comes with the package.
DEFAULT = "speech-small"
#: How text is looked for where nothing else is said.
JOINT = DecodeConfig()


@dataclasses.dataclass(frozen=True)
class SpeechTranscriber:
    """See `Transcriber`.

    Attributes
    ----------
    model : in evaluation mode; clips are read on its device.
    config : how text is looked for.
    language : a language model for the beam, if any.
    """

    model: SpeechModel
    config: DecodeConfig = DecodeConfig()
    language: CharacterModel | None = None
    uses: frozenset[str] = frozenset({"audio", "video"})

    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        """See `Transcriber.transcribe`; clips with the same modalities are read together."""
        heard: list[Heard | None] = [None] * len(clips)
        for kind in {(clip.wave_S is None, clip.mouths_THW is None) for clip in clips}:
            places = [
                place
                for place, clip in enumerate(clips)
                if (clip.wave_S is None, clip.mouths_THW is None) == kind and clip.frames
            ]
            if not places or all(kind):
                continue
            batch = batch_of([clips[place] for place in places]).to(self.model.no_audio_D.device)
            readings = decoding.read(self.model, batch, self.config, self.language)
            for place, reading in zip(places, readings, strict=True):
                heard[place] = self._heard(reading, clips[place])
        return [one or Heard("", 0.0) for one in heard]

    def _heard(self, reading: decoding.Reading, clip: Clip) -> Heard:
        alphabet = Alphabet(self.model.config.characters)
        text = " ".join(alphabet.decode(reading.ids).split())
        return Heard(text, min(0.0, reading.score), word_times.words_of(reading, alphabet, clip.wave_S))


def load(
    name: str = DEFAULT,
    config: DecodeConfig = JOINT,
    language: CharacterModel | None = None,
    device: torch.device | str = "cpu",
) -> SpeechTranscriber:
    """A model by its name in the package, or from its folder; on the processor unless a device is given.

    Raises
    ------
    DataError, UsageError
        if there is no such model, or it is damaged.
    """
    model = folder.load_model(catalogue.model_directory(name, (DEFAULT,))).to(device)
    return SpeechTranscriber(model, config, language)


def batch_of(clips: Sequence[Clip]) -> Batch:
    """Clips that all have the same modalities, padded."""
    longest = max(clip.frames for clip in clips)
    waves_BS = mouths_BTHW = seen_BT = None
    if clips[0].wave_S is not None:
        waves_BS = torch.zeros(len(clips), longest * SAMPLES_PER_FRAME)
        for row, clip in enumerate(clips):
            wave_S = np.asarray(clip.wave_S, dtype=np.float32)[: clip.frames * SAMPLES_PER_FRAME]
            waves_BS[row, : len(wave_S)] = torch.from_numpy(wave_S)
    if clips[0].mouths_THW is not None:
        mouths_BTHW = torch.zeros(len(clips), longest, *clips[0].mouths_THW.shape[1:], dtype=torch.uint8)
        seen_BT = torch.zeros(len(clips), longest, dtype=torch.bool)
        for row, clip in enumerate(clips):
            assert clip.mouths_THW is not None and clip.seen_T is not None
            mouths_BTHW[row, : clip.frames] = torch.from_numpy(np.array(clip.mouths_THW))
            seen_BT[row, : clip.frames] = torch.from_numpy(np.array(clip.seen_T))
    frames_B = torch.tensor([clip.frames for clip in clips])
    return Batch(frames_B=frames_B, waves_BS=waves_BS, mouths_BTHW=mouths_BTHW, seen_BT=seen_BT)
