"""Recipes of pretraining: everything that decides what a model becomes, as a file or as options.

A recipe is a flat TOML or JSON table whose keys are this file's fields. It knows names
and values; it does not know how any of it is done.
"""

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqkit import errors
from seqkit.genomics.language import architectures
from seqkit.training import recipes
from seqkit.training.loop import LoopConfig

__all__ = ["DTYPES", "Recipe", "load", "locate", "names"]

DTYPES = ("auto", "float32", "bfloat16")
#: Fields of `architectures.Size` that a recipe may set.
SIZE_FIELDS = tuple(field.name for field in dataclasses.fields(architectures.Size))
#: What may change between two sessions of a run: how it is computed, not what.
_HOW = (
    "paths",
    "exclude",
    "exclude_sequences",
    "accumulate",
    "dtype",
    "evaluate_every",
    "checkpoint_seconds",
    "weights",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe, checked. Names of files are as they were given; `locate` finds them."""

    paths: tuple[str, ...]
    """FASTA or FASTQ files."""
    arch: str = "dnabert2"
    """One of `architectures.ARCHITECTURES`."""
    size: str = "small"
    """One of `architectures.SIZES`, or "published"."""
    tokenizer: str | None = None
    """Name or path of a tokenizer; "bpe:4096" learns so many tokens; None: the architecture's."""
    d_model: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    feed_forward_size: int | None = None
    context: int | None = None
    """Like the five before it, instead of the size's."""
    exclude: tuple[str, ...] = ()
    """Regions never read: "name", "name:start-end", or BED files."""
    exclude_sequences: tuple[str, ...] = ()
    """FASTA or CSV files of sequences that are never read."""
    held_out: float = 0.01
    """Share of the corpus that only evaluations read."""
    both_strands: bool = True
    """Whether pieces are turned over at random."""
    mask_share: float = 0.15
    """Share of tokens that is hidden, where that is what is learned."""
    z_loss: float | None = None
    """Weight of the z-loss; None: the architecture's."""
    steps: int = 1000
    """Steps of the whole schedule."""
    batch_tokens: int = 8192
    """Tokens of a step, in all its parts and processes."""
    accumulate: int = 1
    """Parts of a step that are computed one after the other."""
    learning_rate: float | None = None
    """Peak rate; None: the architecture's."""
    warmup: int | None = None
    """Steps of warm-up; None: a twentieth of all, 1000 at most."""
    weight_decay: float = 0.01
    """AdamW's."""
    evaluate_every: int = 200
    """Steps between evaluations."""
    checkpoint_seconds: float = 60.0
    """Longest time between two checkpoints."""
    dtype: str = "auto"
    """What products are computed in; weights are float32 while they are trained."""
    weights: str = "float32"
    """What weights are saved in."""
    seed: int = 0
    """Everything random follows from it."""

    def __post_init__(self) -> None:
        """Check what the parts do not check themselves."""
        architectures.published(self.arch)
        if self.dtype not in DTYPES or self.weights not in DTYPES[1:]:
            raise errors.UsageError(
                f"data types are {', '.join(DTYPES)}; weights cannot be auto", hint="--dtype, --weights"
            )
        if self.batch_tokens < 1 or self.accumulate < 1:
            raise errors.UsageError(
                "batch_tokens and accumulate must be at least 1", hint="--batch-tokens, --accumulate"
            )
        if not 0 < self.mask_share < 1:
            raise errors.UsageError(f"mask_share {self.mask_share} is outside (0, 1)")
        if self.seed < 0 or (self.z_loss or 0.0) < 0:
            raise errors.UsageError("seed and z_loss must not be negative")
        _ = self.loop

    @property
    def loop(self) -> LoopConfig:
        """Steps and rates."""
        warmup = min(1000, self.steps // 20) if self.warmup is None else self.warmup
        published = architectures.published(self.arch).learning_rate
        rate = published if self.learning_rate is None else self.learning_rate
        return LoopConfig(
            steps=self.steps,
            learning_rate=rate,
            warmup=warmup,
            weight_decay=self.weight_decay,
            evaluate_every=self.evaluate_every,
            checkpoint_seconds=self.checkpoint_seconds,
        )

    @property
    def tokens(self) -> str:
        """The tokenizer that is asked for."""
        return self.tokenizer or architectures.published(self.arch).tokenizer

    @property
    def sizes(self) -> dict[str, int | None]:
        """Sizes that are not as `size` says."""
        return {name: getattr(self, name) for name in SIZE_FIELDS}

    def fingerprint(self) -> str:
        """What a checkpoint must agree with to be gone on from, the corpus aside."""
        decided = {key: value for key, value in dataclasses.asdict(self).items() if key not in _HOW}
        return json.dumps(decided, sort_keys=True)


def names() -> list[str]:
    """The recipes that come with the package."""
    return recipes.names("seqkit.genomics.language")


def load(name: str | None, changes: Mapping[str, Any]) -> Recipe:
    """A recipe of the package by its name, or a file's, or none; with changes.

    Parameters
    ----------
    changes : fields to set; those that are None or empty stay as they are.

    Raises
    ------
    UsageError
        when there is no such recipe, or a value makes no sense.

    Examples
    --------
    >>> load(None, {"paths": ("genome.fa",), "steps": 10}).loop.steps
    10
    """
    fields = {} if name is None else _read(name)
    fields |= {key: value for key, value in changes.items() if value is not None and value != ()}
    if not fields.get("paths"):
        raise errors.UsageError("no sequence files to train on", hint="seqkit pretrain genome.fa -o DIR")
    for key in ("paths", "exclude", "exclude_sequences"):
        if key in fields:
            fields[key] = tuple(fields[key])
    try:
        return Recipe(**fields)
    except TypeError as error:
        raise errors.UsageError(f"not a recipe: {error}", file=name) from error


def _read(name: str) -> dict[str, Any]:
    text = recipes.read_text("seqkit.genomics.language", name)
    try:
        content = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
    except ValueError as error:
        raise errors.UsageError(f"not a recipe: {error}", file=name) from error
    if not isinstance(content, dict):
        raise errors.UsageError("not a recipe: no table of options", file=name)
    return content


def locate(name: str, folders: Sequence[Path]) -> str:
    """The path of a file that a recipe names: as it is, or in the first of the folders that has it.

    Raises
    ------
    UsageError
        when none has.
    """
    if Path(name).exists():
        return name
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    raise errors.UsageError(
        "there is no such file", file=name, hint="--data DIR is where a recipe's files are"
    )
