"""Weights to and from the layout of DNABERT-2, which is MosaicBERT's.

transformers has no class for it, and the code that comes with such a checkpoint is not
run: what it computes is known (ALiBi that sees both ways, gated GELU, normalisation
after each part), and the backbone computes it. This file knows names and shapes of
tensors; it does not load or save files.

Shape suffixes: V tokens, D model size.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from seqkit import errors
from seqkit.backbone import checkpoints, convert
from seqkit.backbone.checkpoints import Shape
from seqkit.backbone.config import BackboneConfig

__all__ = ["dnabert2_config", "from_dnabert2", "to_dnabert2"]

Weights = dict[str, torch.Tensor]

#: Ours and theirs, within a layer; each with a bias but for the gates.
_LAYER = {
    "attention.qkv": "attention.self.Wqkv",
    "attention.out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "mlp.up": "mlp.gated_layers",
    "mlp.down": "mlp.wo",
    "mlp_norm": "mlp.layernorm",
}
#: Ours and theirs, around the layers.
_AROUND = {
    "encoder.embedding_norm": "bert.embeddings.LayerNorm",
    "head_transform.dense": "cls.predictions.transform.dense",
    "head_transform.norm": "cls.predictions.transform.LayerNorm",
}
#: Parts of theirs that tokens' logits do not depend on.
_SPARE = ("bert.pooler.", "cls.seq_relationship.", "bert.embeddings.position_")
_WORDS = "bert.embeddings.word_embeddings.weight"
_KINDS = "bert.embeddings.token_type_embeddings.weight"
_HEAD = "cls.predictions.decoder.weight"
#: The bias of the output layer: by MosaicBERT's name, and by transformers' older one.
_BIASES = ("cls.predictions.decoder.bias", "cls.predictions.bias")
#: What a backbone has to be, to be DNABERT-2-shaped; so much of it as does not depend on sizes.
_OPTIONS: Mapping[str, Any] = {
    "layout": "encoder",
    "feed_forward": "geglu",
    "position": "alibi",
    "norm": "layer",
    "post_norm": True,
    "embedding_norm": True,
    "embedding_scale": 1.0,
    "bias": True,
    "up_bias": False,
    "head_transform": "gelu",
    "head_bias": True,
    "sliding_window": None,
}


def dnabert2_config(config: Mapping[str, Any]) -> BackboneConfig:
    """The options of a DNABERT-2-style `config.json`.

    Raises
    ------
    DataError
        when it lacks a size.
    UsageError
        when it asks for what the backbone has not.
    """
    if config.get("hidden_act", "gelu") != "gelu":
        raise errors.UsageError(f"activation {config['hidden_act']!r} is not supported, only gelu")
    try:
        return BackboneConfig(
            vocab_size=config["vocab_size"],
            d_model=config["hidden_size"],
            encoder_layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            feed_forward_size=config["intermediate_size"],
            max_positions=config.get("max_position_embeddings", 512),
            norm_eps=config.get("layer_norm_eps", 1e-12),
            # The embedding takes in that of the only kind of tokens there is; the output layer does not.
            tie_word_embeddings=False,
            pad_token_id=config.get("pad_token_id", 0),
            **_OPTIONS,
        )
    except KeyError as error:
        raise errors.DataError(f"the config has no {error}") from error
    except (TypeError, ValueError) as error:
        raise errors.DataError(f"the config cannot be used: {error}") from error


def from_dnabert2(
    config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]
) -> tuple[BackboneConfig, Weights]:
    """The backbone's options and weights of a DNABERT-2-style checkpoint.

    Raises
    ------
    DataError
        when a tensor is missing, not known, or of another shape.
    UsageError
        as `dnabert2_config`.
    """
    options = dnabert2_config(config)
    # Tensors that are one in memory are saved once, under one of their names.
    head = _HEAD if _HEAD in weights or config.get("tie_word_embeddings") is False else _WORDS
    bias = next((name for name in _BIASES if name in weights), _BIASES[0])
    checkpoints.require(weights, _shapes(config, options, head, bias), spare=(*_SPARE, *_BIASES))
    made: Weights = {
        "embed_tokens.weight": weights[_WORDS] + weights[_KINDS][0],
        "lm_head.weight": weights[head],
        "lm_head.bias": weights[bias],
    }
    made |= {ours: weights[theirs] for ours, theirs in _names(options.encoder_layers)}
    return options, made


def _shapes(
    config: Mapping[str, Any], options: BackboneConfig, head: str, bias: str
) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of what a checkpoint of these options holds."""
    size, width, inner = options.vocab_size, options.d_model, options.feed_forward_size
    yield _WORDS, (size, width)
    yield _KINDS, (config.get("type_vocab_size", 2), width)
    yield head, (size, width)
    yield bias, (size,)
    of_weights = {
        "Wqkv": (3 * width, width),
        "dense": (width, width),
        "gated_layers": (2 * inner, width),
        "wo": (width, inner),
    }
    of_biases = {"Wqkv": (3 * width,)}
    for _, name in _names(options.encoder_layers):
        part, kind = name.split(".")[-2:]
        of_kind = of_weights if kind == "weight" else of_biases
        yield name, of_kind.get(part, (width,))


def to_dnabert2(
    config: BackboneConfig, weights: Mapping[str, torch.Tensor]
) -> tuple[dict[str, Any], Weights]:
    """A backbone's `config.json` and weights in the layout of DNABERT-2.

    Raises
    ------
    UsageError
        when the backbone has another shape, naming what differs.
    """
    wanted = {**_OPTIONS, "kv_heads": config.heads, "head_dim": config.d_model // config.heads}
    convert.require_options(config, wanted, "DNABERT-2")
    embedding_VD = weights["embed_tokens.weight"]
    made: Weights = {
        _WORDS: embedding_VD,
        _KINDS: embedding_VD.new_zeros(2, config.d_model),
        _HEAD: weights["lm_head.weight"],
        _BIASES[0]: weights["lm_head.bias"],
    }
    for ours, theirs in _names(config.encoder_layers):
        made[theirs] = weights[ours]
    told = {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "tie_word_embeddings": False,
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.encoder_layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward_size,
        "hidden_act": "gelu",
        "max_position_embeddings": config.max_positions,
        "alibi_starting_size": config.max_positions,
        "layer_norm_eps": config.norm_eps,
        "type_vocab_size": 2,
        "pad_token_id": config.pad_token_id,
    }
    return told, made


def _names(layers: int) -> Iterator[tuple[str, str]]:
    """Names of ours and theirs of all tensors that are taken as they are."""
    for ours, theirs in _AROUND.items():
        for kind in ("weight", "bias"):
            yield f"{ours}.{kind}", f"{theirs}.{kind}"
    for layer in range(layers):
        for ours, theirs in _LAYER.items():
            for kind in ("weight",) if ours == "mlp.up" else ("weight", "bias"):
                yield f"encoder.layers.{layer}.{ours}.{kind}", f"bert.encoder.layer.{layer}.{theirs}.{kind}"
