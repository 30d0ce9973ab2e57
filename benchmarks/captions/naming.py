"""Clips that were never trained on, whether a caption names what is heard, and the baseline of a tagger.

Right is a caption with a word for the clip's label in it; words for it are written below, by hand, before
any caption was seen. A caption that also names other things is still right, as it is in the baseline.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqkit.audio import classes
from seqkit.audio.captioning import describer, words
from seqkit.audio.encoders import corpus
from seqkit.audio.evaluation import report
from seqkit.io import audio

__all__ = [
    "Clip",
    "held_out",
    "held_out_effects",
    "human_clips",
    "is_right",
    "names",
    "sentences_of",
    "tagged",
    "waves_of",
]

#: Beginnings of words, any of which names the label.
_NAMES = {
    "dog-bark": "dog|bark|puppy|hound",
    "chainsaw": "chain ?saw|chain saw",
    "fire-crackling": "fire(?!work|arm)|flame|crackl",
    "helicopter": "helicopter|chopper",
    "rain": "rain|drizzl|downpour",
    "baby-cry": "baby|babies|infant",
    "clock-tick": "clock|tick(s|ing)?\\b",
    "person-sneeze": "sneez",
    "rooster": "rooster|crow(s|ing|ed)?\\b|cockerel",
    "sea-waves": "sea\\b|ocean|wave|surf|shore|beach",
    "siren": "siren",
    "air_conditioner": "air.?condition|ventilat|\\bfan\\b",
    "car_horn": "horn|honk",
    "gun_shot": "gun|shot|rifle|pistol",
    "jackhammer": "jack ?hammer|pneumatic",
    "street_music": "music|band\\b|song|sing(s|ing|er)?\\b",
    "children_playing": "child|kid",
    "drilling": "drill",
    "engine_idling": "engine|motor|idl",
    "airport": "airport",
    "bus": "bus(es)?\\b",
    "metro": "(metro|subway|underground)(?! station)",
    "metro_station": "(metro|subway|underground|train|railway) station",
    "park": "park\\b",
    "public_square": "square|plaza",
    "shopping_mall": "mall\\b|shopping",
    "street_pedestrian": "pedestrian|(walk|foot|talk).*street|street.*(walk|foot|talk)",
    "street_traffic": "traffic|cars\\b|vehicles",
    "tram": "tram|streetcar",
}
_NAMES["dog_bark"] = _NAMES["dog-bark"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
    """A sound with what is known of it: a label, AudioSet classes from its name, or captions of people."""

    file: Path
    source: str
    label: str = ""
    classes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def names(label: str, caption: str) -> bool:
    """Whether a caption names a label's source.

    Examples
    --------
    >>> names("tram", "A tram rattles along"), names("metro", "people wait in a metro station")
    (True, False)
    """
    return re.search(rf"\b({_NAMES[label]})", caption.lower()) is not None


def is_right(clip: Clip, caption: str) -> bool:
    """Whether a caption names the label's source or, of a clip without a label, one of its classes."""
    if clip.label:
        return names(clip.label, caption)
    return not set(classes.indices(clip.classes)).isdisjoint(words.classes_in(caption))


def held_out_effects(manifest: Path) -> list[Clip]:
    """Sound effects that were kept out of training, and whose names tell what they are."""
    return [
        Clip(file=sound.file, source=sound.source, classes=tuple(sound.classes))
        for sound in corpus.read_manifest(manifest)
        if sound.split == "held-out" and sound.classes
    ]


def held_out(manifest: Path) -> list[Clip]:
    """Labelled clips of a manifest's test split."""
    return [
        Clip(file=sound.file, source=sound.source, label=sound.label)
        for sound in corpus.read_manifest(manifest)
        if sound.split == "test" and sound.label in _NAMES
    ]


def human_clips(data: Path) -> list[Clip]:
    """The clips that people captioned, under `data`/caption/human."""
    folder = data / "caption" / "human"
    references = report.read_references(folder / "captions.csv")
    files = {report.clip_name(path.name): path for path in folder.iterdir() if path.suffix == ".ogg"}
    return [
        Clip(file=files[name], source="clotho", references=tuple(texts)) for name, texts in references.items()
    ]


def waves_of(clips: Sequence[Clip], rate: int, seconds: float = 30.0) -> list[np.ndarray]:
    """The first seconds of each clip."""
    return [audio.load(clip.file, rate, limit=seconds) for clip in clips]


@torch.inference_mode()
def tagged(encoder: Any, waves: Sequence[np.ndarray]) -> list[str]:
    """The baseline: the surest class of a sound encoder in a template."""
    known = classes.audioset_names()
    surest = [int(encoder.hear([torch.from_numpy(wave_S)]).logits_BC[0].argmax()) for wave_S in waves]
    return [f"this is the sound of {known[place].lower()}" for place in surest]


def sentences_of(own: describer.CaptionDescriber) -> tuple[Any, str]:
    """An encoder of sentences, and its name: MiniLM where it is installed, else the model's own."""
    try:
        from gather_texts import embedded

        embedded(["rain"])
    except ImportError:
        return own.encode, "the model's own sentence encoder, which also ranked its captions"
    known: dict[str, np.ndarray] = {}

    def encode(texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, embedded(new).float().numpy(), strict=True))
        return np.stack([known[text] for text in texts])

    return encode, "all-MiniLM-L6-v2, the teacher of the sentence encoder that ranked the captions"
