"""Recipes: everything that decides how a speech model is made, as TOML files checked once.

Knows the files beside it and their fields; not how any of it is done.
"""

import dataclasses
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from seqkit import errors
from seqkit.training import loop, recipes
from seqkit.vision_speech.batches import MODALITIES, DisturbConfig
from seqkit.vision_speech.model import SpeechConfig
from seqkit.vision_speech.objective import LossConfig
from seqkit.vision_speech.pcpg import PcpgConfig
from seqkit.vision_speech.wavestem import WaveSizes

__all__ = ["OBJECTIVES", "Recipe", "Stage", "load_recipe", "names_file", "recipe_names"]

OBJECTIVES = ("cross-entropy", "pcpg")
#: What may be changed in every stage's policy gradient, and its fields.
PCPG_CHANGES = {"pcpg_window": "window", "pcpg_stride": "stride", "pcpg_weight": "weight"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of training with modalities and rates of its own."""

    name: str
    """What its folder is called."""
    loop: loop.LoopConfig
    """Steps and rates."""
    shares: dict[str, float]
    """How often a batch has sound only (`audio`), pictures only (`video`), both."""
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    """How much the parts of the loss count."""
    disturb: DisturbConfig = dataclasses.field(default_factory=DisturbConfig)
    """What is done to clips."""
    batch: int = 16
    """Clips in a batch."""
    objective: str = "cross-entropy"
    """Or `pcpg`: policy gradient by character error beside it."""
    pcpg: PcpgConfig = dataclasses.field(default_factory=PcpgConfig)
    """Options of the policy gradient."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if not self.name.isidentifier():
            raise errors.UsageError(f"a stage's name must be a plain word, got {self.name!r}")
        if not self.shares or set(self.shares) - set(MODALITIES) or not sum(self.shares.values()) > 0:
            raise errors.UsageError(f"stage {self.name}: shares must be of {', '.join(MODALITIES)}")
        if self.objective not in OBJECTIVES:
            raise errors.UsageError(f"objective {self.objective!r} is none of {', '.join(OBJECTIVES)}")
        if self.batch < 1:
            raise errors.UsageError("batch must be at least 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, checked."""

    name: str
    """Name of the model it makes."""
    manifest: str
    """Clips to learn from, see `manifest.read`."""
    stages: tuple[Stage, ...]
    """What is done, one after the other."""
    model: SpeechConfig = dataclasses.field(default_factory=SpeechConfig)
    """Sizes."""
    held_out: str | None = None
    """File of names of clips that no training sees, of this package or by path."""
    dev: str | None = None
    """File of names of clips that are only measured on."""
    seed: int = 0
    """Everything random follows from it."""
    bfloat16: bool = True
    """Whether convolutions and products are computed in bfloat16."""
    text: str = ""
    """The file's own text, by which a checkpoint knows its recipe."""

    def __post_init__(self) -> None:
        """Check every field once."""
        if not self.stages or len({stage.name for stage in self.stages}) != len(self.stages):
            raise errors.UsageError("a recipe needs stages, each with a name of its own")


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return recipes.names("seqkit.vision_speech")


def names_file(name: str, near: Path) -> Path:
    """Where a list of clips' names lies: beside the recipe's data, or in the package."""
    if (near / name).is_file():
        return near / name
    kept = Path(str(resources.files("seqkit.vision_speech") / "recipes" / name))
    if not kept.is_file():
        raise errors.UsageError("no such list of clips", file=name)
    return kept


def load_recipe(name_or_path: str, **changes: Any) -> Recipe:
    """Read a recipe of the package by its name, or any TOML file by its path.

    Parameters
    ----------
    changes : fields of the recipe to set otherwise (`seed`); or of every stage `steps`, `objective`, and
        `pcpg_window`, `pcpg_stride`, `pcpg_weight`, see `PcpgConfig`. None changes nothing.

    Raises
    ------
    UsageError
        when there is no such recipe, or it is none; or when no stage has the policy gradient that is changed.
    """
    text = recipes.read_text("seqkit.vision_speech", name_or_path)
    changed = {key: value for key, value in changes.items() if value is not None}
    told = recipes.told(text, changed)
    with recipes.refusing(name_or_path):
        content = tomllib.loads(text)
        everywhere: dict[str, Any] = {
            key: changed.pop(key) for key in ("steps", "objective", *PCPG_CHANGES) if key in changed
        }
        stages = tuple(_stage(stage, everywhere) for stage in content.pop("stages"))
        _require_policy(stages, everywhere)
        model = _sizes(content.pop("model", {}))
        return Recipe(**{**content, **changed}, model=model, stages=stages, text=told)


def _sizes(content: dict[str, Any]) -> SpeechConfig:
    sizes = _fixed(content)
    if "wave" in sizes:
        sizes["wave"] = WaveSizes(**_fixed(sizes["wave"]))
    return SpeechConfig(**sizes)


def _fixed(content: dict[str, Any]) -> dict[str, Any]:
    """With tuples for lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}


def _stage(content: dict[str, Any], everywhere: dict[str, Any]) -> Stage:
    content = dict(content)
    steps = {"steps": everywhere["steps"]} if "steps" in everywhere else {}
    if "objective" in everywhere:
        content["objective"] = everywhere["objective"]
    policy = {PCPG_CHANGES[key]: value for key, value in everywhere.items() if key in PCPG_CHANGES}
    return Stage(
        loop=loop.LoopConfig(**{**content.pop("loop"), **steps}),
        loss=LossConfig(**content.pop("loss", {})),
        disturb=DisturbConfig(**content.pop("disturb", {})),
        pcpg=PcpgConfig(**{**content.pop("pcpg", {}), **policy}),
        **content,
    )


def _require_policy(stages: tuple[Stage, ...], everywhere: dict[str, Any]) -> None:
    """Refuse options of the policy gradient where no stage has it."""
    given = [key for key in PCPG_CHANGES if key in everywhere]
    if given and not any(stage.objective == "pcpg" for stage in stages):
        option = "--" + given[0].replace("_", "-")
        raise errors.UsageError(f"{option} is of the objective pcpg, and no stage has it", hint="--objective")
