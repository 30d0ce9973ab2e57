"""Checkpoints of others in their own layouts, to and from the backbone: Llama's and DNABERT-2's.

METAGENE-1 and GENERator are Llama-shaped. Knows folders and names of layouts. Code that a
config names (`auto_map`) is never run: what the layouts compute is written in the backbone.
Pickled weights are never read.
"""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
import transformers

from seqkit import errors
from seqkit.backbone import convert, convert_dnabert2
from seqkit.backbone.config import BackboneConfig
from seqkit.backbone.sequence import SequenceModel
from seqkit.io import atomic, tensor_files
from seqkit.models import folders

__all__ = ["LAYOUTS", "TYPES", "is_foreign", "load_network", "save_network"]

#: Layouts that can be read and written besides our own.
LAYOUTS = ("llama", "dnabert2")
#: What a config calls their models.
TYPES = ("llama", "bert")
_LARGEST = 1 << 24


def is_foreign(config: dict[str, Any]) -> str | None:
    """The layout that a `config.json` is of; None for any other.

    Examples
    --------
    >>> is_foreign({"model_type": "llama"}), is_foreign({"model_type": "gpt2"})
    ('llama', None)
    """
    kind = config.get("model_type")
    if kind == "llama":
        return "llama"
    # Plain BERT has the same model_type; what DNABERT-2 adds is its starting size of ALiBi, or its code.
    named = str(config.get("auto_map", "")) + str(config.get("_name_or_path", ""))
    if kind == "bert" and ("alibi_starting_size" in config or "bert_layers" in named):
        return "dnabert2"
    return None


def load_network(folder: Path, config: dict[str, Any], dtype: torch.dtype) -> SequenceModel:
    """A foreign checkpoint on the backbone.

    Raises
    ------
    DataError
        when a tensor is missing, not known, or of another shape; named.
    """
    weights = _weights(folder)
    try:
        if is_foreign(config) == "llama":
            with folders.refusing(folder):
                told = transformers.LlamaConfig.from_dict(
                    {name: value for name, value in config.items() if name != "auto_map"}
                )
            options, made = convert.from_llama(told, weights)
        else:
            options, made = convert_dnabert2.from_dnabert2(config, weights)
    except errors.SeqkitError as error:
        raise errors.DataError(error.message, file=str(folder)) from error
    # Made without memory, and given the tensors as they are: large checkpoints are held once.
    with torch.device("meta"):
        network = SequenceModel(options)
    network.load_state_dict({name: value.to(dtype) for name, value in made.items()}, assign=True)
    network.tie_weights()
    return network


def save_network(directory: Path, network: SequenceModel, layout: str) -> None:
    """Write `config.json` and `model.safetensors` in a foreign layout.

    Raises
    ------
    UsageError
        when there is no such layout, or the network cannot be expressed in it.
    """
    weights = {name: weight.detach().cpu() for name, weight in network.state_dict().items()}
    config = network.config
    if layout == "llama":
        made = convert.to_llama(config, weights)
        told = _llama_config(config)
    elif layout == "dnabert2":
        told, made = convert_dnabert2.to_dnabert2(config, weights)
    else:
        raise errors.UsageError(f"{layout!r} is none of {', '.join(LAYOUTS)}", hint="--to")
    if told.get("tie_word_embeddings"):
        made.pop("lm_head.weight", None)
    told["torch_dtype"] = str(next(iter(made.values())).dtype).removeprefix("torch.")
    directory.mkdir(parents=True, exist_ok=True)
    tensor_files.save(
        directory / "model.safetensors",
        {name: weight.clone() for name, weight in made.items()},
    )
    with atomic.atomic_file(directory / "config.json") as file:
        file.write(json.dumps(told, indent=1).encode() + b"\n")


def _llama_config(config: BackboneConfig) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.decoder_layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.feed_forward_size,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tie_word_embeddings,
        "attention_bias": False,
        "mlp_bias": False,
        "pad_token_id": config.pad_token_id,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
    }


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder, of one file or of several."""
    files = [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = [folder / name for name in _parts(index)]
    found: dict[str, torch.Tensor] = {}
    for path in files:
        try:
            found.update(safetensors.torch.load_file(path))
        except (OSError, safetensors.SafetensorError) as error:
            raise errors.DataError(f"cannot be read: {error}", file=str(path)) from error
    return found


def _parts(index: Path) -> list[str]:
    """Files that an index names: plain names within its own folder."""
    try:
        if index.stat().st_size > _LARGEST:
            raise errors.DataError("is too large for an index", file=str(index))
        named = list(dict.fromkeys(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise errors.DataError(f"is no index of weights: {error}", file=str(index)) from error
    for name in named:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise errors.DataError(f"names {name!r}, which is no file of weights beside it", file=str(index))
    return named
