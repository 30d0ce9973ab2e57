"""Recipes' files: what is no recipe is refused by its name, for every package that has some."""

import tomllib
from pathlib import Path

import pytest

from seqkit import errors
from seqkit.training import recipes

PACKAGES = (
    "seqkit.audio.captioning",
    "seqkit.audio.encoders",
    "seqkit.genomics.encoder",
    "seqkit.genomics.language",
    "seqkit.vision_speech",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_recipe_of_a_package_is_found_by_its_name(package: str) -> None:
    names = recipes.names(package)
    assert names
    assert all("=" in recipes.read_text(package, name) for name in names)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_not_there_is_told_with_what_is(package: str) -> None:
    with pytest.raises(errors.UsageError, match="nowhere") as refused:
        recipes.read_text(package, "nowhere")
    assert all(name in str(refused.value) for name in recipes.names(package))


def test_a_file_that_is_no_text_is_not_called_missing(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.UsageError, match="not a recipe") as refused:
        recipes.read_text(PACKAGES[0], str(path))
    assert str(path) in str(refused.value)


def test_a_path_is_read_before_its_text_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("steps = ")
    text = recipes.read_text(PACKAGES[0], str(path))
    with pytest.raises(errors.UsageError, match="not a recipe"), recipes.refusing(str(path)):
        tomllib.loads(text)
