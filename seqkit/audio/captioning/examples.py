"""What captions are learnt from: clips that were listened to once, texts without sound, and mixtures.

A clip with a label is said to be what phrases for the label say, or what people said of
other sounds of the same classes. A text without sound stands for its classes, told as a
tagger would tell them: unsure, some missing, some wrong. Knows manifests, encoders and
texts; not the captioning model.

Shape suffixes: N clips, U frames, D width, C classes, S samples, B rows of a batch, T feature frames,
M mel bands.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from seqkit import errors
from seqkit.audio import augment, classes
from seqkit.audio.captioning.model import Source
from seqkit.audio.captioning.words import classes_in, label_phrases
from seqkit.audio.encoders.corpus import Load, Sound
from seqkit.audio.encoders.heard import SoundEncoder

__all__ = ["Clip", "Texts", "clips_of", "listen", "read_texts", "source_of", "text_source", "told"]

#: Classes less probable than this are not told.
FLOOR = 0.02
#: Longest piece of a sound that is listened to, in seconds.
LONGEST = 10.0


@dataclasses.dataclass(frozen=True)
class Clip:
    """A sound, or a mixture of two, as the encoder heard it.

    Attributes
    ----------
    probabilities_C, frames_UD, vector_D : the encoder's, float16 on the CPU.
    parts : places of the sounds that are in it, one or two.
    """

    probabilities_C: torch.Tensor
    frames_UD: torch.Tensor
    vector_D: torch.Tensor
    parts: tuple[int, ...]


class Texts:
    """Captions, and those that name a class.

    Parameters
    ----------
    lines : captions, each once.

    Examples
    --------
    >>> texts = Texts(["A dog barks", "Rain falls", "A dog barks in the rain"])
    >>> [texts.lines[place] for place in texts.fitting(["Dog", "Bark"])]
    ['A dog barks']
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        self.classes = [classes_in(line) for line in self.lines]
        self._naming: dict[int, list[int]] = {}
        for place, found in enumerate(self.classes):
            for number in found:
                self._naming.setdefault(number, []).append(place)

    def fitting(self, names: Sequence[str]) -> list[int]:
        """Places of captions that name the first of some classes, and none that is not akin to any."""
        wanted = classes.indices(names)
        if not wanted:
            return []
        akin = {other for number in wanted for other in self._kin(number)}
        return [place for place in self._naming.get(wanted[0], []) if set(self.classes[place]) <= akin]

    def _kin(self, number: int) -> set[int]:
        """A class and those that the same words name."""
        name = classes.audioset_names()[number]
        return {number, *classes_in(name)}


def clips_of(sounds: Sequence[Sound], texts: Texts) -> list[list[str]]:
    """Captions that may be said of each of some sounds; none for a sound that is not known."""
    phrases = label_phrases()
    fitting: dict[tuple[str, ...], list[str]] = {}
    found = []
    for sound in sounds:
        if sound.label in phrases:
            # What people said of like sounds joins the phrases only where the class is the source itself.
            found.append(list(phrases[sound.label]))
            continue
        if sound.classes not in fitting:
            fitting[sound.classes] = [texts.lines[place] for place in texts.fitting(sound.classes)]
        found.append(fitting[sound.classes])
    return found


@torch.inference_mode()
def listen(
    sounds: Sequence[Sound],
    encoder: SoundEncoder,
    load: Load,
    rng: np.random.Generator,
    *,
    views: int,
    mixtures: int,
    masks: augment.SpecAugmentConfig | None,
    advance: Callable[[int, int], object] = lambda done, total: None,
) -> list[Clip]:
    """Every sound once as it is and `views` - 1 times changed, and mixtures of pairs.

    Parameters
    ----------
    load : decodes a file: path and rate, to its wave.
    rng : draws pieces, changes and pairs.
    masks : what SpecAugment hides of changed views; None hides nothing.
    """
    waves = [_piece(load(sound.file, encoder.mel.config.rate), encoder, rng) for sound in sounds]
    total, clips = len(sounds) * views + mixtures, []
    for view in range(views):
        for place, wave_S in enumerate(waves):
            clips.append(_heard(wave_S, (place,), encoder, rng, masks if view else None, changed=view > 0))
            advance(len(clips), total)
    for _ in range(mixtures):
        first, second = (int(place) for place in rng.choice(len(waves), size=2, replace=False))
        mixed_S = augment.mix_waves(waves[first], waves[second], float(rng.uniform(-5, 5)))
        clips.append(_heard(mixed_S, (first, second), encoder, rng, masks, changed=True))
        advance(len(clips), total)
    return clips


def _piece(wave_S: npt.NDArray[np.float32], encoder: SoundEncoder, rng: np.random.Generator) -> torch.Tensor:
    """At most `LONGEST` seconds, from anywhere."""
    size = round(LONGEST * encoder.mel.config.rate)
    start = int(rng.integers(0, max(1, len(wave_S) - size + 1)))
    return torch.from_numpy(np.ascontiguousarray(wave_S[start : start + size]))


def _heard(
    wave_S: torch.Tensor,
    parts: tuple[int, ...],
    encoder: SoundEncoder,
    rng: np.random.Generator,
    masks: augment.SpecAugmentConfig | None,
    *,
    changed: bool,
) -> Clip:
    if changed:
        wave_S = wave_S * float(10 ** (rng.uniform(-10, 6) / 20))
    features_1TM = encoder.mel(wave_S[None])
    lengths_1 = torch.tensor([features_1TM.shape[1]])
    if masks is not None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        features_1TM = augment.spec_augment(features_1TM, lengths_1, masks, generator)
    heard = encoder(features_1TM, lengths_1)
    return Clip(
        heard.logits_BC[0].sigmoid().half(), heard.frames_BUD[0].half(), heard.vector_BD[0].half(), parts
    )


def source_of(clips: Sequence[Clip]) -> Source:
    """Clips of any length as one padded source."""
    if not clips:
        raise errors.UsageError("there is no clip")
    longest = max(len(clip.frames_UD) for clip in clips)
    frames_BUD = torch.zeros(len(clips), longest, clips[0].frames_UD.shape[1])
    real_BU = torch.zeros(len(clips), longest, dtype=torch.bool)
    for row, clip in enumerate(clips):
        frames_BUD[row, : len(clip.frames_UD)] = clip.frames_UD.float()
        real_BU[row, : len(clip.frames_UD)] = True
    probabilities_BC = torch.stack([clip.probabilities_C.float() for clip in clips])
    return Source(
        probabilities_BC=told(probabilities_BC),
        frames_BUD=frames_BUD,
        real_BU=real_BU,
        vector_BD=torch.stack([clip.vector_D.float() for clip in clips]),
    )


def told(probabilities_BC: torch.Tensor) -> torch.Tensor:
    """Probabilities, with those that are not worth telling 0."""
    return torch.where(probabilities_BC >= FLOOR, probabilities_BC, torch.zeros_like(probabilities_BC))


def text_source(named: Sequence[Sequence[int]], count: int, rng: np.random.Generator) -> Source:
    """Classes of captions as a tagger would tell them: unsure, some missing, some wrong."""
    probabilities_BC = np.zeros((len(named), count), np.float32)
    for row, numbers in enumerate(named):
        kept = [number for number in numbers if rng.random() > 0.2]
        for number in kept or list(numbers)[:1]:
            probabilities_BC[row, number] = rng.beta(2, 2)
        for number in rng.integers(0, count, size=int(rng.integers(0, 4))):
            wrong = rng.uniform(FLOOR, 0.25)
            probabilities_BC[row, number] = max(probabilities_BC[row, number], wrong)
    return Source(probabilities_BC=torch.from_numpy(probabilities_BC))


def read_texts(path: Path) -> list[str]:
    """Captions, one a line.

    Raises
    ------
    DataError
        if the file cannot be read or holds none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise errors.DataError(
            f"cannot be read: {error.strerror}", file=str(path), hint="--data holds the recipe's files"
        ) from error
    except UnicodeDecodeError as error:
        raise errors.DataError("is no text in UTF-8", file=str(path)) from error
    lines = [line for line in lines if line]
    if not lines:
        raise errors.DataError("holds no caption", file=str(path))
    return lines
