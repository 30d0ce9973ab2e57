"""The kinds of sound encoders by name, and an encoder as a folder on disk.

A folder holds `config.json`, `model.safetensors`, `classes.json` (names in the order of logits) and a card.
Nothing in it is trusted: options are checked, and weights must fit them before a network is made.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from seqkit import errors
from seqkit.audio import classes, features
from seqkit.audio.encoders.conv import ConvConfig, ConvEncoder
from seqkit.audio.encoders.heard import SoundEncoder
from seqkit.audio.encoders.patches import PatchConfig, PatchEncoder
from seqkit.io import atomic, tensor_files

__all__ = ["KINDS", "MODEL_TYPE", "build", "describe", "fits", "load", "save"]

MODEL_TYPE = "seqkit-sound-encoder"
KINDS: dict[str, tuple[type, type]] = {
    "conv": (ConvConfig, ConvEncoder),
    "patches": (PatchConfig, PatchEncoder),
}


def build(kind: str, options: dict[str, Any]) -> SoundEncoder:
    """An encoder with random weights.

    Parameters
    ----------
    kind : "conv" or "patches".
    options : fields of its configuration; `mel` those of `features.LogMelConfig`.

    Raises
    ------
    UsageError
        when there is no such kind or field, or a value makes no sense.

    Examples
    --------
    >>> build("conv", {"width": 32, "multiplier": 0.25, "mel": {"mels": 32}}).width
    32
    """
    if kind not in KINDS:
        raise errors.UsageError(f"no encoder is called {kind!r}", hint=f"known: {', '.join(KINDS)}")
    config_class, network_class = KINDS[kind]
    mel = _checked(features.LogMelConfig, options.get("mel", {}), "mel")
    rest = {name: value for name, value in options.items() if name != "mel"}
    encoder: SoundEncoder = network_class(_checked(config_class, rest, kind, mel=mel))
    return encoder


def _checked(kind: type, options: Any, place: str, **more: Any) -> Any:
    """An options class from a table of unknown origin: names and types are those of its defaults."""
    if not isinstance(options, dict):
        raise errors.UsageError(f"{place}: not a table of options")
    defaults = kind(**more)
    given = {}
    for name, value in options.items():
        default = getattr(defaults, str(name), None)
        if default is None or name in more:
            raise errors.UsageError(f"{place}: there is no option {name!r}")
        fine = (int, float) if isinstance(default, float) else (type(default),)
        if not isinstance(value, fine) or isinstance(value, bool) != isinstance(default, bool):
            raise errors.UsageError(f"{place}: {name} {value!r} is not of type {type(default).__name__}")
        given[name] = type(default)(value)
    return kind(**given, **more)


def describe(encoder: SoundEncoder) -> dict[str, Any]:
    """The kind and options of an encoder, as `config.json` holds them, and `build` takes them."""
    kind = next(name for name, (_, network_class) in KINDS.items() if isinstance(encoder, network_class))
    options = dataclasses.asdict(encoder.config)  # type: ignore[call-overload]
    return {"model_type": MODEL_TYPE, "encoder": kind, "options": options}


def save(folder: Path, encoder: SoundEncoder, *, card: str = "", dtype: torch.dtype = torch.float32) -> None:
    """Write an encoder's folder.

    Parameters
    ----------
    card : Markdown: data, recipe, measured quality, terms; written as README.md.
    dtype : what weights are rounded to on disk; running means and the like stay float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensor_files.save(folder / "model.safetensors", tensor_files.rounded(encoder, dtype))
    for name, content in (("config.json", describe(encoder)), ("classes.json", classes.audioset_names())):
        with atomic.atomic_file(folder / name) as file:
            file.write(json.dumps(content, indent=1).encode() + b"\n")
    with atomic.atomic_file(folder / "README.md") as file:
        file.write(card.encode())


def load(folder: Path) -> SoundEncoder:
    """An encoder from its folder, float32, in evaluation mode.

    Raises
    ------
    DataError
        when a file is missing or damaged, or weights do not fit the options.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict) or config.get("model_type") != MODEL_TYPE:
            raise errors.DataError("not the config of a sound encoder", file=str(path))
        kind, options = str(config.get("encoder")), config.get("options", {})
        if not isinstance(options, dict):
            raise errors.DataError("its options are no table", file=str(path))
        weights = folder / "model.safetensors"
        with torch.device("meta"):
            fits(build(kind, options), weights)
        encoder = build(kind, options)
        encoder.load_state_dict(safetensors.torch.load_file(weights))
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(folder)) from error
    except errors.UsageError as error:
        raise errors.DataError(str(error), file=str(path)) from error
    return encoder.eval()


def fits(network: torch.nn.Module, weights: Path) -> None:
    """Refuse a file of weights whose names or shapes are not the network's, without reading them.

    Raises
    ------
    DataError
        naming the first that differs.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    with safetensors.safe_open(weights, "pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # not a mapping
    for name in sorted(set(wanted) | set(found)):
        if wanted.get(name) != found.get(name):
            raise errors.DataError(
                f"{name} is {found.get(name)}, and should be {wanted.get(name)}", file=str(weights)
            )
