"""Recipes as files: found by name in a package, or by path; read, and refused, in one way.

Knows where recipes lie and what text is; not what their fields mean.
"""

import contextlib
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from seqkit import errors

__all__ = ["names", "read_text", "refusing", "told"]

_SUFFIX = ".toml"


def names(package: str) -> list[str]:
    """The recipes that come with a package, which lie in its folder `recipes`.

    Examples
    --------
    >>> names("seqkit.genomics.language")
    ['dna-small', 'generator-small']
    """
    folder = resources.files(package) / "recipes"
    return sorted(file.name.removesuffix(_SUFFIX) for file in folder.iterdir() if file.name.endswith(_SUFFIX))


def read_text(package: str, name_or_path: str) -> str:
    """The text of a recipe of a package, by its name, or of any file, by its path.

    Raises
    ------
    UsageError
        when there is no such recipe, or it is no text.
    """
    known = names(package)
    try:
        if name_or_path in known:
            return (resources.files(package) / "recipes" / (name_or_path + _SUFFIX)).read_text(
                encoding="utf-8"
            )
        return Path(name_or_path).read_text(encoding="utf-8")
    except OSError as error:
        hint = f"known: {', '.join(known)}; or a path"
        raise errors.UsageError("no such recipe", file=name_or_path, hint=hint) from error
    except UnicodeDecodeError as error:
        raise errors.UsageError("not a recipe: not text in UTF-8", file=name_or_path) from error


@contextlib.contextmanager
def refusing(name_or_path: str) -> Iterator[None]:
    """What goes wrong with a recipe's text or fields in the block is said of the recipe.

    Raises
    ------
    UsageError
        for text that is no TOML, and for tables or fields that are missing, unknown or of another kind.
    """
    try:
        yield
    except (tomllib.TOMLDecodeError, TypeError, KeyError, AttributeError) as error:
        raise errors.UsageError(f"not a recipe: {error}", file=name_or_path) from error


def told(text: str, changes: Mapping[str, Any]) -> str:
    """A recipe's text with what was set otherwise: by it a checkpoint knows its recipe.

    Examples
    --------
    >>> told("steps = 10", {})
    'steps = 10'
    >>> print(told("steps = 10", {"steps": 20}))
    steps = 10
    # ["('steps', 20)"]
    """
    return f"{text}\n# {sorted(map(str, changes.items()))}" if changes else text
