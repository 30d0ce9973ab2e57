"""A speech model on disk: weights, sizes, card.

Knows files; not training or searching.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from seqkit import errors
from seqkit.io import atomic, tensor_files
from seqkit.vision_speech.model import SpeechConfig, SpeechModel
from seqkit.vision_speech.wavestem import WaveSizes

__all__ = ["MODEL_TYPE", "load_model", "read_config", "save"]

MODEL_TYPE = "seqkit-speech"
_LARGEST_CONFIG = 1 << 20


def save(folder: Path, model: SpeechModel, *, card: str, dtype: torch.dtype = torch.float16) -> None:
    """Write a model's folder; weights are rounded to `dtype`, statistics of normalisation are not."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = tensor_files.rounded(model, dtype)
    del tensors[TIED]
    tensor_files.save(folder / "model.safetensors", tensors)
    config = {"model_type": MODEL_TYPE, **dataclasses.asdict(model.config)}
    with atomic.atomic_file(folder / "config.json") as file:
        file.write(json.dumps(config, indent=1).encode() + b"\n")
    with atomic.atomic_file(folder / "README.md") as file:
        file.write(card.encode())


#: The output layer is the embedding, which is written once.
TIED = "joint.lm_head.weight"


def load_model(folder: Path) -> SpeechModel:
    """A model from its folder, float32, in evaluation mode.

    Raises
    ------
    DataError
        when a file is missing or damaged, or weights do not fit the sizes; named.
    """
    config = read_config(folder)
    weights = folder / "model.safetensors"
    try:
        model = SpeechModel(config)
        _require_fit(model, weights)
        tensors = safetensors.torch.load_file(weights)
    except errors.UsageError as error:
        raise errors.DataError(str(error), file=str(folder / "config.json")) from error
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(weights)) from error
    model.load_state_dict(tensors, strict=False)
    return model.eval()


def read_config(folder: Path) -> SpeechConfig:
    """The sizes of a model's folder; errors as `load_model`."""
    path = folder / "config.json"
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise errors.DataError("is too large for a config", file=str(path))
        told: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(path)) from error
    kind = told.pop("model_type", None) if isinstance(told, dict) else None
    if kind == "wav2vec2":
        raise errors.DataError(
            "is a wav2vec 2.0 model, no speech model", file=str(path), hint="--audio-start"
        )
    if kind != MODEL_TYPE:
        raise errors.DataError("is not the config of a speech model", file=str(path))
    try:
        return SpeechConfig(**_checked(told, SpeechConfig(), path))
    except (errors.UsageError, ValueError, TypeError) as error:
        raise errors.DataError(str(error), file=str(path)) from error


def _checked(told: dict[str, Any], defaults: Any, path: Path) -> dict[str, Any]:
    """Options by name, each of the kind that the default is of."""
    return {name: _option(name, value, getattr(defaults, name, None), path) for name, value in told.items()}


def _option(name: str, value: Any, default: Any, path: Path) -> Any:
    if isinstance(default, WaveSizes) and isinstance(value, dict):
        return WaveSizes(**_checked(value, default, path))
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(_option(name, one, default[0], path) for one in value)
    wanted = (int, float) if isinstance(default, float) else type(default)
    if (
        default is None
        or not isinstance(value, wanted)
        or isinstance(value, bool) is not isinstance(default, bool)
    ):
        raise errors.DataError(f"its {name} {value!r} is no option of a speech model", file=str(path))
    if type(default) is int and not 1 <= value <= 1 << 16:
        raise errors.DataError(f"its {name} {value!r} is out of range", file=str(path))
    return value


def _require_fit(model: SpeechModel, weights: Path) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name != TIED}
    with safetensors.safe_open(weights, "pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # not a mapping
    for name in sorted(set(wanted) | set(found)):
        if wanted.get(name) != found.get(name):
            raise errors.DataError(
                f"{name} is {found.get(name)}, and should be {wanted.get(name)}", file=str(weights)
            )
