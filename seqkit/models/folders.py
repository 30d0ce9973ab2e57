"""A model's folder in the layout of Hugging Face: where it is, its config, its weights.

Code that comes with a model is never run, and pickled weights are never read.
This file does not know what a model is for.
"""

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import safetensors
import torch
import transformers

from seqkit import errors

__all__ = [
    "find_folder",
    "load_network",
    "quiet",
    "read_config",
    "refusing",
    "require_safetensors",
    "stored_dtype",
]

_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
#: Data types by their names in safetensors.
_KINDS = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
#: What is fetched from the hub: never code, never pickles.
_WANTED = ("*.json", "*.safetensors", "vocab.txt", "README.md")


def find_folder(name: str, *, offline: bool = False) -> Path:
    """The folder of a name; one that is none is fetched from the hub, unless that is forbidden.

    Raises
    ------
    UsageError
        when there is no such folder, and it could not be fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if offline or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise errors.UsageError("there is no such folder", file=name, hint="--model")
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(_WANTED)))
    except Exception as error:  # of many libraries: the network's, the hub's, of malformed names
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise errors.UsageError(
            f"no such folder, and it could not be fetched: {reason}", file=name, hint="--model"
        ) from error


def read_config(folder: Path, *, known: Collection[str] = ()) -> dict[str, Any]:
    """The model's `config.json`.

    Parameters
    ----------
    known : types of models whose config may name code of its own (`auto_map`), because what such a model
        computes is known without it; the code is not run in any case.

    Raises
    ------
    DataError
        when it is missing, damaged, no model's, or asks for code of its own.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.DataError(
            f"cannot be read: {error.strerror}", file=str(path), hint="a model's folder holds one"
        ) from error
    except ValueError as error:
        raise errors.DataError(f"not valid JSON: {error}", file=str(path)) from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise errors.DataError(
            "names no model_type: not the config of a model that generates", file=str(path)
        )
    if "auto_map" in config and config["model_type"] not in known:
        raise errors.DataError(
            "the model asks for code of its own (auto_map), which is not run",
            file=str(path),
            hint="seqkit convert reads the layouts of Llama and DNABERT-2 without it",
        )
    return config


def require_safetensors(folder: Path) -> None:
    """Refuse a folder without weights, or with weights in pickles only.

    Raises
    ------
    DataError
        naming the pickle.
    """
    if any(folder.glob("*.safetensors")):
        return
    for pattern in _PICKLES:
        for found in sorted(folder.glob(pattern)):
            raise errors.DataError(
                "weights in a pickle, which can run code, are not read",
                file=str(found),
                hint="load them elsewhere, where you trust them, and save them as safetensors: "
                "save_pretrained(folder) of transformers does",
            )
    raise errors.DataError("the folder holds no weights (*.safetensors)", file=str(folder))


def stored_dtype(folder: Path) -> torch.dtype | None:
    """The data type of a folder's weights; None where they are of several, or of one that is not known here.

    Raises
    ------
    DataError
        when weights are damaged.
    """
    kinds = set()
    for path in sorted(folder.glob("model*.safetensors")):
        try:
            with safetensors.safe_open(path, "pt") as file:
                kinds |= {file.get_slice(name).get_dtype() for name in file.keys()}
        except (OSError, safetensors.SafetensorError) as error:
            raise errors.DataError(f"cannot be read: {error}", file=str(path)) from error
    return _KINDS.get(kinds.pop()) if len(kinds) == 1 else None


def load_network(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A model of one of transformers' classes, or of ours, with the weights of a folder.

    Raises
    ------
    DataError
        when weights are missing, damaged or of another shape; they are never made up.
    """
    with quiet(), refusing(folder):
        loaded, info = kind.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    if info["missing_keys"]:
        some = ", ".join(sorted(info["missing_keys"])[:3])
        raise errors.DataError(f"weights are missing: {some}", file=str(folder))
    return loaded


@contextlib.contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn whatever transformers finds wrong with a folder into a `DataError` that names it."""
    try:
        yield
    except errors.SeqkitError:
        raise
    except Exception as error:  # of many kinds, for damaged files and unknown models alike
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise errors.DataError(f"the model cannot be loaded: {reason}", file=str(folder)) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No bars and no warnings by transformers: what is wrong comes as an error."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
