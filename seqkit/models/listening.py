"""Checkpoints of transformers that read sound and write text: loading, and how likely a text is.

Knows transformers' classes; not what the text is for.

Shape suffixes: L tokens, V vocabulary.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from seqkit import errors
from seqkit.models import folders

__all__ = ["kind_of", "load", "mean_logprob"]


def kind_of(folder: Path) -> str:
    """The `model_type` of a folder's config.

    Raises
    ------
    DataError
        when there is no config, or it is damaged.
    """
    path = folder / "config.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(path)) from error
    return str(told.get("model_type", "")) if isinstance(told, dict) else ""


def load(folder: Path, kinds: Mapping[str, str], hint: str) -> tuple[Any, Any]:
    """Model and processor of a folder on disk; nothing is fetched, and no code of a checkpoint is run.

    Parameters
    ----------
    kinds : names of transformers' classes by `model_type`.
    hint : the option that named the folder.

    Raises
    ------
    DataError
        when a file is missing or damaged, weights are pickled, or the kind is another.
    """
    kind = kind_of(folder)
    if kind not in kinds:
        raise errors.DataError(
            f"model_type {kind!r} is none of {', '.join(kinds)}",
            file=str(folder / "config.json"),
            hint=hint,
        )
    folders.require_safetensors(folder)
    model = folders.load_network(getattr(transformers, kinds[kind]), folder, torch.float32)
    with folders.quiet(), folders.refusing(folder):
        processor = transformers.AutoProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    return model.eval(), processor


@torch.inference_mode()
def mean_logprob(model: Any, read: Mapping[str, Any], ids_L: torch.Tensor, prompt: int = 0) -> float:
    """Mean log-probability of a text's tokens, in nats.

    Parameters
    ----------
    read : what the model was given: the encoder's input, or, of a model without one, all of the prompt.
    ids_L : the decoder's tokens, the prompt's among them where it is part of the sequence.
    prompt : how many of them were given.
    """
    if model.config.is_encoder_decoder:
        start = int(model.config.decoder_start_token_id)
        if not len(ids_L) or int(ids_L[0]) != start:
            ids_L = torch.cat([ids_L.new_tensor([start]), ids_L])
        logits_LV = model(**read, decoder_input_ids=ids_L[None]).logits[0]
        prompt = max(1, prompt)
    else:
        inputs = {**read, "input_ids": ids_L[None], "attention_mask": torch.ones_like(ids_L)[None]}
        logits_LV = model(**inputs).logits[0]
    if len(ids_L) <= prompt:
        return 0.0
    log_LV = logits_LV[prompt - 1 : -1].float().log_softmax(dim=-1)
    return float(log_LV.gather(1, ids_L[prompt:, None]).mean())
