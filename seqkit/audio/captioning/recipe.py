"""Recipes: everything that decides how a captioning model is made, as TOML files checked once.

Knows the files beside it and their fields; not how any of it is done. Every ingredient
has a switch.
"""

import dataclasses
import tomllib
from typing import Any

from seqkit import errors
from seqkit.audio import augment
from seqkit.audio.captioning.model import CaptionConfig
from seqkit.audio.captioning.sentences import SentenceConfig
from seqkit.training import loop, recipes

__all__ = ["Recipe", "load_recipe", "recipe_names"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, checked. Files lie in the folder that `--data` names."""

    name: str
    """Name of the model it makes."""
    encoder: str
    """Folder of a sound encoder, which is not trained further."""
    manifest: str
    """Sounds, see `seqkit.audio.encoders.corpus`."""
    texts: str
    """Captions without sound, one a line."""
    vectors: str
    """What the teacher makes of these: float16 (N, W) `vectors`, safetensors."""
    model: CaptionConfig = dataclasses.field(default_factory=CaptionConfig)
    """Sizes of adapter and decoder."""
    sentence: SentenceConfig = dataclasses.field(default_factory=SentenceConfig)
    """Sizes of the sentence encoder."""
    sentence_loop: loop.LoopConfig
    """Steps and rates of the sentence encoder."""
    loop: loop.LoopConfig
    """Steps and rates of the captioning model."""
    batch: int = 64
    """Captions in a batch."""
    views: int = 3
    """How often a sound is listened to, the first time unchanged."""
    mixtures: int = 1500
    """Mixtures of two sounds; 0 switches them off."""
    text_share: float = 0.5
    """Share of a batch that is texts without sound; 0 switches them off."""
    smoothing: float = 0.1
    """Of the cross-entropy."""
    infonce: float = 1.0
    """Weight of drawing clips to their captions; 0 switches it off."""
    temperature: float = 0.1
    """Of InfoNCE."""
    drop: float = 0.25
    """How often the vector, the classes, or the frames of a clip are kept from the decoder."""
    spec_augment: bool = True
    """Whether SpecAugment hides parts of changed views."""
    masks: augment.SpecAugmentConfig = dataclasses.field(default_factory=augment.SpecAugmentConfig)
    """What it hides."""
    seed: int = 0
    """Everything random follows from it."""
    text: str = ""
    """The file's own text, by which a checkpoint knows its recipe."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if min(self.batch, self.views) < 1 or self.mixtures < 0:
            raise errors.UsageError("batch and views must be at least 1, mixtures at least 0")
        if not 0 <= self.text_share < 1 or not 0 <= self.drop < 1 or not 0 <= self.smoothing < 1:
            raise errors.UsageError("text_share, drop and smoothing must be within 0 and 1")
        if self.infonce < 0 or not self.temperature > 0:
            raise errors.UsageError("infonce must not be negative, temperature above 0")
        if self.model.sentence_width != self.sentence.width:
            raise errors.UsageError("clips and sentences must have vectors of one width")


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return recipes.names("seqkit.audio.captioning")


def load_recipe(name_or_path: str, **changes: Any) -> Recipe:
    """Read a recipe of the package by its name, or any TOML file by its path.

    Parameters
    ----------
    changes : fields of the recipe, or `steps` of its main loop, to set otherwise; None changes nothing.

    Raises
    ------
    UsageError
        when there is no such recipe, or it is none.
    """
    text = recipes.read_text("seqkit.audio.captioning", name_or_path)
    changed = {key: value for key, value in changes.items() if value is not None}
    told = recipes.told(text, changed)
    with recipes.refusing(name_or_path):
        content = tomllib.loads(text)
        if "steps" in changed:
            content["loop"] = {**content["loop"], "steps": changed.pop("steps")}
        parts: dict[str, Any] = {
            "loop": loop.LoopConfig(**content.pop("loop")),
            "sentence_loop": loop.LoopConfig(**content.pop("sentence_loop")),
            "model": CaptionConfig(**content.pop("model", {})),
            "sentence": SentenceConfig(**content.pop("sentence", {})),
            "masks": augment.SpecAugmentConfig(**content.pop("masks", {})),
        }
        return Recipe(**{**content, **changed}, **parts, text=told)
