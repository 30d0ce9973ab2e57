"""Recipes: everything that decides how an encoder is made, as TOML files checked once.

Knows the files beside it and their fields; not how any of it is done. The recipe's
own text is its fingerprint: a checkpoint of another recipe is not gone on from.
"""

import dataclasses
import tomllib
from typing import Any

from seqkit import errors
from seqkit.genomics.encoder import pairs
from seqkit.training import loop, recipes

__all__ = ["Evaluation", "Piece", "Recipe", "load_recipe", "recipe_names"]

KINDS = ("sketch", "tokens")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of every sequence of a file."""

    file: str
    """Name in the data folder."""
    low: int = 0
    """First base."""
    high: int = 1 << 60
    """One past the last base; past the end means the end."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if not 0 <= self.low < self.high:
            raise errors.UsageError(f"recipe: {self.file}: needs 0 <= low < high")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What recall is measured on while training: never part of the training data."""

    piece: Piece
    """The stretch that is searched, and that the reads come from."""
    reads: int = 1000
    """Reads per rate."""
    length: int = 150
    """Bases in a read."""
    rates: tuple[float, ...] = (0.1, 0.15, 0.2)
    """Substitutions per base."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, checked."""

    name: str
    """Name of the encoder it makes."""
    kind: str
    """`sketch` (bases, strand-invariant by construction) or `tokens` (BPE, both strands averaged)."""
    network: dict[str, Any]
    """Fields of the network's configuration."""
    train: tuple[Piece, ...]
    """Training data."""
    evaluation: Evaluation | None
    """Held-out data."""
    pairs: pairs.PairConfig
    """Windows and reads."""
    loop: loop.LoopConfig
    """Steps and rates."""
    window: int = 256
    """Bases in a window of an index."""
    batch: int = 1024
    """Pairs in a batch."""
    temperature: float = 0.05
    """Of the loss."""
    even_out: float = 0.0
    """How far the variances of the embedding's axes are evened out after training; 0.5 is all the way."""
    learn_stem: bool = True
    """Whether the filters are trained; otherwise they stay as drawn."""
    seed: int = 0
    """Everything random follows from it."""
    text: str = ""
    """The file's own text."""

    def __post_init__(self) -> None:
        """Check what the parts cannot check themselves."""
        if self.kind not in KINDS:
            raise errors.UsageError(
                f"recipe: kind {self.kind!r} is unknown", hint=f"known: {', '.join(KINDS)}"
            )
        if self.batch < 2 or not self.temperature > 0:
            raise errors.UsageError("recipe: batch must be at least 2 and temperature above 0")
        held_out = self.evaluation.piece if self.evaluation else None
        for piece in self.train:
            if (
                held_out
                and piece.file == held_out.file
                and piece.low < held_out.high
                and held_out.low < piece.high
            ):
                raise errors.UsageError(f"recipe: {piece.file}: training and evaluation overlap")


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return recipes.names("seqkit.genomics.encoder")


def load_recipe(name_or_path: str, **changes: Any) -> Recipe:
    """Read a recipe of the package by its name, or any TOML file by its path.

    Parameters
    ----------
    changes : fields of the recipe (`seed`) or of its loop (`steps`) to set otherwise; None changes nothing.
    """
    text = recipes.read_text("seqkit.genomics.encoder", name_or_path)
    with recipes.refusing(name_or_path):
        content = tomllib.loads(text)
        recipe = _build(content, text)
        changes = {key: value for key, value in changes.items() if value is not None}
        if "steps" in changes:
            changes["loop"] = dataclasses.replace(recipe.loop, steps=changes.pop("steps"))
        if changes:
            changes["text"] = recipes.told(text, changes)
        return dataclasses.replace(recipe, **changes)


def _build(content: dict[str, Any], text: str) -> Recipe:
    content = dict(content)
    evaluation = content.pop("evaluation", None)
    if evaluation is not None:
        rates = tuple(evaluation.pop("rates", (0.1, 0.15, 0.2)))
        evaluation = Evaluation(piece=Piece(**evaluation.pop("piece")), rates=rates, **evaluation)
    return Recipe(
        train=tuple(Piece(**piece) for piece in content.pop("train")),
        evaluation=evaluation,
        pairs=pairs.PairConfig(**content.pop("pairs", {})),
        loop=loop.LoopConfig(**content.pop("loop")),
        text=text,
        **content,
    )
