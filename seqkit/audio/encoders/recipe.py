"""Recipes: everything that decides how a sound encoder is made, as TOML files checked once.

Knows the files beside it and their fields; not how any of it is done.
"""

import dataclasses
import tomllib
from typing import Any

from seqkit import errors
from seqkit.audio import augment
from seqkit.training import loop, recipes

__all__ = ["OBJECTIVES", "Recipe", "load_recipe", "recipe_names"]

OBJECTIVES = ("labels", "masked")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, checked."""

    name: str
    """Name of the encoder it makes."""
    encoder: str
    """Kind of network, see `kinds.KINDS`."""
    network: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Fields of the network's configuration."""
    objective: str = "labels"
    """`labels`: classes, soft and known; `masked`: hidden patches, without labels."""
    manifest: str
    """Sounds to learn from, see `corpus`."""
    labels: dict[str, float] = dataclasses.field(default_factory=dict)
    """Files of teachers' soft labels, each with its weight; where one knows no class others count alone."""
    seconds: float = 5.0
    """Longest piece of a sound."""
    most: int = 6
    """Most pieces of one sound."""
    temperature: float = 1.0
    """What the teachers' logits are divided by: below 1 they are surer."""
    known: float = 0.9
    """Least probability of a class that is known to be heard; 0 leaves what is known aside."""
    embedding: float = 0.0
    """Weight of telling the first teacher's embedding; of pieces that are not mixed."""
    balance: float = 1.0
    """How far rare classes are drawn more often; 0 draws every piece alike."""
    batch: int = 32
    """Pieces in a batch."""
    mixed: float = 0.5
    """Share of a batch that is mixed with other pieces."""
    ratio: float = 8.0
    """Mixtures are this many dB louder or softer, at most."""
    tiled: float = 0.5
    """Share of short pieces that are repeated to full length."""
    gain: float = 10.0
    """Largest change of loudness, in dB."""
    bend: float = 6.0
    """Largest change of some bands beside others, in dB."""
    hidden: float = 0.75
    """Share of patches that are hidden (masked)."""
    codes: int = 1024
    """Codes of the random tokenizer (masked)."""
    spec_augment: augment.SpecAugmentConfig = dataclasses.field(default_factory=augment.SpecAugmentConfig)
    """What is hidden of energies."""
    bfloat16: bool = False
    """Whether networks compute in bfloat16, with weights in float32: faster where processors know it."""
    loop: loop.LoopConfig
    """Steps and rates."""
    seed: int = 0
    """Everything random follows from it."""
    text: str = ""
    """The file's own text, by which a checkpoint knows its recipe."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.objective not in OBJECTIVES:
            raise errors.UsageError(
                f"recipe: objective {self.objective!r} is none of {', '.join(OBJECTIVES)}"
            )
        if self.objective == "masked" and self.encoder != "patches":
            raise errors.UsageError("recipe: objective 'masked' needs encoder 'patches'")
        if self.objective == "labels" and not self.labels and not self.known:
            raise errors.UsageError("recipe: without files of labels, known must be above 0")
        if self.embedding and not self.labels:
            raise errors.UsageError("recipe: embedding needs a file of labels")
        for name in ("known", "mixed", "tiled", "hidden"):
            if not 0 <= getattr(self, name) <= 1:
                raise errors.UsageError(f"recipe: {name} {getattr(self, name)} is outside [0, 1]")
        if self.batch < 2 or self.most < 1 or self.codes < 2:
            raise errors.UsageError("recipe: batch and codes must be at least 2, most at least 1")
        if not self.seconds > 0 or not self.temperature > 0 or any(not w > 0 for w in self.labels.values()):
            raise errors.UsageError("recipe: seconds, temperature and weights of labels must be above 0")
        if min(self.balance, self.embedding, self.ratio, self.gain, self.bend) < 0:
            raise errors.UsageError("recipe: balance, embedding, ratio, gain, bend must not be negative")


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return recipes.names("seqkit.audio.encoders")


def load_recipe(name_or_path: str, **changes: Any) -> Recipe:
    """Read a recipe of the package by its name, or any TOML file by its path.

    Parameters
    ----------
    changes : fields of the recipe (`seed`) or of its loop (`steps`) to set otherwise; None changes nothing.

    Raises
    ------
    UsageError
        when there is no such recipe, or it is none.
    """
    text = recipes.read_text("seqkit.audio.encoders", name_or_path)
    changed = {key: value for key, value in changes.items() if value is not None}
    told = recipes.told(text, changed)
    with recipes.refusing(name_or_path):
        content = tomllib.loads(text)
        if "steps" in changed:
            content["loop"] = {**content["loop"], "steps": changed.pop("steps")}
        built = loop.LoopConfig(**content.pop("loop"))
        masks = augment.SpecAugmentConfig(**content.pop("spec_augment", {}))
        return Recipe(**{**content, **changed}, spec_augment=masks, loop=built, text=told)
