"""The package's own speech model as a `Transcriber`: clips to batches, readings to words with times.

Knows a model and how text is looked for; not files.

Shape suffixes: S samples, T frames, V ids.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from seqkit import errors
from seqkit.models import catalogue
from seqkit.vision_speech import ctc, decoding, folder
from seqkit.vision_speech.corpus import SAMPLES_PER_FRAME
from seqkit.vision_speech.decoding import DecodeConfig
from seqkit.vision_speech.interface import Clip, Heard, Word
from seqkit.vision_speech.language import CharacterModel
from seqkit.vision_speech.model import FPS, Batch, SpeechModel
from seqkit.vision_speech.texts import BLANK, Alphabet

__all__ = ["DEFAULT", "SpeechTranscriber", "load", "words_of"]

#: The model that comes with the package.
DEFAULT = "speech-small"
#: How text is looked for where nothing else is said.
JOINT = DecodeConfig()
#: Frames between two characters of a word that are still part of it. After the last word of a sentence
#: nothing follows for long, and CTC says its last characters anywhere in there; on clips of GRID the ends of
#: last words are then 0.91 s off, and 0.26 s with this. Within other words there are at most 2.
LONGEST_GAP = 3
_SPACE = 3


@dataclasses.dataclass(frozen=True)
class SpeechTranscriber:
    """See `Transcriber`.

    Attributes
    ----------
    model : in evaluation mode.
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
            batch = batch_of([clips[place] for place in places])
            readings = decoding.read(self.model, batch, self.config, self.language)
            for place, reading in zip(places, readings, strict=True):
                heard[place] = self._heard(reading)
        return [one or Heard("", 0.0) for one in heard]

    def _heard(self, reading: decoding.Reading) -> Heard:
        alphabet = Alphabet(self.model.config.characters)
        text = " ".join(alphabet.decode(reading.ids).split())
        return Heard(text, min(0.0, reading.score), words_of(reading, alphabet))


def load(
    name: str = DEFAULT,
    config: DecodeConfig = JOINT,
    language: CharacterModel | None = None,
) -> SpeechTranscriber:
    """A model by its name in the package, or from its folder.

    Raises
    ------
    DataError, UsageError
        if there is no such model, or it is damaged.
    """
    return SpeechTranscriber(folder.load_model(catalogue.model_directory(name, (DEFAULT,))), config, language)


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


def words_of(reading: decoding.Reading, alphabet: Alphabet) -> tuple[Word, ...]:
    """Words with the times at which CTC has their characters; none where CTC cannot say the text."""
    ids = list(reading.ids)
    try:
        spans = ctc.align(reading.log_TV, ids, BLANK)
    except errors.UsageError:
        return ()
    words: list[Word] = []
    letters: list[int] = []
    for place in range(len(ids) + 1):
        if place < len(ids) and ids[place] != _SPACE:
            letters.append(place)
        elif letters:
            text = alphabet.decode(ids[letter] for letter in letters)
            start, end = _extent([spans[letter] for letter in letters])
            words.append(Word(text, start / FPS, end / FPS))
            letters = []
    return tuple(words)


def _extent(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """First frame of a word and the one after its last; characters after a long gap do not count."""
    start, end = spans[0]
    for following, until in spans[1:]:
        if following - end > LONGEST_GAP:
            break
        end = until
    return start, end
