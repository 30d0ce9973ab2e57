"""Weights to and from the layout of DNABERT-2, which is MosaicBERT's.

transformers has no class for it, and the code that comes with such a checkpoint is not
run: what it computes is known (ALiBi that sees both ways, gated GELU, normalisation
after each part), and the backbone computes it. This file knows names and shapes of
tensors; it does not load or save files.

Shape suffixes: V tokens, D model size.
"""

from collections.abc import Mapping
from typing import Any

import torch

from seqkit import errors
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
_UNUSED = ("bert.pooler.", "cls.seq_relationship.")


def dnabert2_config(config: Mapping[str, Any]) -> BackboneConfig:
    """The options of a DNABERT-2-style `config.json`.

    Raises
    ------
    DataError
        when it lacks a size.
    UsageError
        when it asks for what the backbone has not.
    """
    try:
        if config.get("hidden_act", "gelu") != "gelu":
            raise errors.UsageError(f"activation {config['hidden_act']!r} is not supported, only gelu")
        return BackboneConfig(
            vocab_size=config["vocab_size"],
            d_model=config["hidden_size"],
            layout="encoder",
            encoder_layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            feed_forward="geglu",
            feed_forward_size=config["intermediate_size"],
            position="alibi",
            max_positions=config.get("max_position_embeddings", 512),
            norm="layer",
            norm_eps=config.get("layer_norm_eps", 1e-12),
            post_norm=True,
            embedding_norm=True,
            bias=True,
            up_bias=False,
            head_transform="gelu",
            head_bias=True,
            # The embedding takes in that of the only kind of tokens there is; the output layer does not.
            tie_word_embeddings=False,
            pad_token_id=config.get("pad_token_id", 0),
        )
    except KeyError as error:
        raise errors.DataError(f"the config has no {error}") from error


def from_dnabert2(
    config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]
) -> tuple[BackboneConfig, Weights]:
    """The backbone's options and weights of a DNABERT-2-style checkpoint.

    Raises
    ------
    DataError
        when it lacks a tensor, or has one that is not known.
    """
    options = dnabert2_config(config)
    left = {name: weight for name, weight in weights.items() if not name.startswith(_UNUSED)}
    words_VD = _pop(left, "bert.embeddings.word_embeddings.weight")
    kinds = left.pop("bert.embeddings.token_type_embeddings.weight", torch.zeros(1, words_VD.shape[1]))
    left.pop("bert.embeddings.position_embeddings.weight", None)
    made: Weights = {"embed_tokens.weight": words_VD + kinds[0]}
    made["lm_head.weight"] = left.pop("cls.predictions.decoder.weight", words_VD)
    bias_V = left.pop("cls.predictions.bias", torch.zeros(len(words_VD)))
    made["lm_head.bias"] = left.pop("cls.predictions.decoder.bias", bias_V)
    for ours, theirs in _names(options.encoder_layers):
        made[ours] = _pop(left, theirs)
    if left:
        raise errors.DataError(f"a tensor is not known: {sorted(left)[0]}")
    return options, made


def to_dnabert2(
    config: BackboneConfig, weights: Mapping[str, torch.Tensor]
) -> tuple[dict[str, Any], Weights]:
    """A backbone's `config.json` and weights in the layout of DNABERT-2.

    Raises
    ------
    UsageError
        when the backbone has another shape, naming what differs.
    """
    wanted = {
        "layout": "encoder",
        "position": "alibi",
        "norm": "layer",
        "feed_forward": "geglu",
        "post_norm": True,
        "embedding_norm": True,
        "bias": True,
        "up_bias": False,
        "head_transform": "gelu",
        "head_bias": True,
        "kv_heads": config.heads,
    }
    for name, value in wanted.items():
        if getattr(config, name) != value:
            raise errors.UsageError(
                f"{name} is {getattr(config, name)!r}; in DNABERT-2's layout it is {value!r}", hint="--to"
            )
    embedding_VD = weights["embed_tokens.weight"]
    made: Weights = {
        "bert.embeddings.word_embeddings.weight": embedding_VD,
        "bert.embeddings.token_type_embeddings.weight": torch.zeros(2, embedding_VD.shape[1]).to(
            embedding_VD
        ),
        "cls.predictions.decoder.weight": weights.get("lm_head.weight", embedding_VD).clone(),
        "cls.predictions.decoder.bias": weights["lm_head.bias"],
    }
    for ours, theirs in _names(config.encoder_layers):
        made[theirs] = weights[ours]
    told = {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
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


def _names(layers: int) -> list[tuple[str, str]]:
    """Names of ours and theirs of all tensors that are taken as they are."""
    pairs = [(f"{a}.{part}", f"{b}.{part}") for a, b in _AROUND.items() for part in ("weight", "bias")]
    for layer in range(layers):
        for ours, theirs in _LAYER.items():
            for part in ("weight",) if ours == "mlp.up" else ("weight", "bias"):
                pairs.append(
                    (f"encoder.layers.{layer}.{ours}.{part}", f"bert.encoder.layer.{layer}.{theirs}.{part}")
                )
    return pairs


def _pop(weights: Weights, name: str) -> torch.Tensor:
    if name not in weights:
        raise errors.DataError(f"a tensor is missing: {name}")
    return weights.pop(name)
