"""Weights to and from Hugging Face's own classes: Llama (decoder) and BART (encoder-decoder).

Names are mapped one by one; what a target has and a source lacks is an error.
This file knows names and shapes of tensors; it does not load or save files.

Shape suffixes: D model size, F feed-forward width.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from seqkit import errors
from seqkit.backbone import checkpoints
from seqkit.backbone.checkpoints import Shape
from seqkit.backbone.config import BackboneConfig

__all__ = ["bart_config", "from_bart", "from_llama", "llama_config", "require_options", "to_llama"]

Weights = dict[str, torch.Tensor]

#: Buffers that older versions of transformers saved, and that follow from the config.
_LLAMA_SPARE = ("rotary_emb.inv_freq",)
#: What a backbone has to be, to be Llama-shaped.
_LLAMA: Mapping[str, Any] = {
    "layout": "decoder",
    "position": "rope",
    "norm": "rms",
    "feed_forward": "swiglu",
    "bias": False,
    "up_bias": False,
    "head_bias": False,
    "head_transform": "none",
    "post_norm": False,
    "embedding_norm": False,
    "embedding_scale": 1.0,
    "sliding_window": None,
}


def llama_config(config: Any) -> BackboneConfig:
    """The options of a Llama-style model."""
    rope = config.rope_parameters or {}
    if rope.get("rope_type", "default") != "default":
        raise errors.UsageError(f"rotary positions of type {rope['rope_type']} are not supported")
    return BackboneConfig(
        vocab_size=config.vocab_size,
        d_model=config.hidden_size,
        layout="decoder",
        decoder_layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        feed_forward="swiglu",
        feed_forward_size=config.intermediate_size,
        position="rope",
        rope_theta=rope.get("rope_theta", 10000.0),
        max_positions=config.max_position_embeddings,
        norm="rms",
        norm_eps=config.rms_norm_eps,
        bias=config.attention_bias,
        tie_word_embeddings=config.tie_word_embeddings,
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
    )


def from_llama(config: Any, weights: Mapping[str, torch.Tensor]) -> tuple[BackboneConfig, Weights]:
    """The backbone's options and weights of a Llama-style checkpoint.

    Raises
    ------
    UsageError
        when the checkpoint uses what the backbone has not.
    DataError
        when a tensor is missing, not known, or of another shape.
    """
    if config.attention_bias or config.mlp_bias or config.hidden_act != "silu":
        raise errors.UsageError(
            "Llama checkpoints with biases or another activation than silu are not supported"
        )
    options = llama_config(config)
    # Of a tied checkpoint transformers reads the embedding alone, even where the file has both.
    spare = (*_LLAMA_SPARE, *(["lm_head.weight"] if options.tie_word_embeddings else []))
    checkpoints.require(weights, _llama_shapes(options), spare=spare)
    made: Weights = {
        "embed_tokens.weight": _take(weights, "model.embed_tokens.weight"),
        "decoder.norm.weight": _take(weights, "model.norm.weight"),
    }
    head = "model.embed_tokens.weight" if options.tie_word_embeddings else "lm_head.weight"
    made["lm_head.weight"] = _take(weights, head)
    for layer in range(config.num_hidden_layers):
        theirs, ours = f"model.layers.{layer}.", f"decoder.layers.{layer}."
        attention = [_take(weights, f"{theirs}self_attn.{name}_proj.weight") for name in "qkv"]
        gates = [_take(weights, f"{theirs}mlp.{name}_proj.weight") for name in ("gate", "up")]
        made[ours + "attention.qkv.weight"] = torch.cat(attention)
        made[ours + "attention.out.weight"] = _take(weights, theirs + "self_attn.o_proj.weight")
        made[ours + "mlp.up.weight"] = torch.cat(gates)
        made[ours + "mlp.down.weight"] = _take(weights, theirs + "mlp.down_proj.weight")
        made[ours + "attention_norm.weight"] = _take(weights, theirs + "input_layernorm.weight")
        made[ours + "mlp_norm.weight"] = _take(weights, theirs + "post_attention_layernorm.weight")
    return options, made


def _llama_shapes(config: BackboneConfig) -> Iterator[tuple[str, Shape]]:
    """Names and shapes of what a checkpoint of these options holds."""
    width, inner = config.d_model, config.feed_forward_size
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    yield "model.embed_tokens.weight", (config.vocab_size, width)
    yield "model.norm.weight", (width,)
    if not config.tie_word_embeddings:
        yield "lm_head.weight", (config.vocab_size, width)
    for layer in range(config.decoder_layers):
        place = f"model.layers.{layer}."
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            yield f"{place}self_attn.{name}_proj.weight", (rows, width)
        yield f"{place}self_attn.o_proj.weight", (width, queries)
        for name in ("gate", "up"):
            yield f"{place}mlp.{name}_proj.weight", (inner, width)
        yield f"{place}mlp.down_proj.weight", (width, inner)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{place}{name}.weight", (width,)


def require_options(config: BackboneConfig, wanted: Mapping[str, Any], layout: str) -> None:
    """Refuse a backbone that a layout cannot express.

    Parameters
    ----------
    wanted : what its options have to be.
    layout : whose they are, for the message.

    Raises
    ------
    UsageError
        naming every option that differs.
    """
    differing = [
        f"{name} is {getattr(config, name)!r}, not {value!r}"
        for name, value in wanted.items()
        if getattr(config, name) != value
    ]
    if differing:
        raise errors.UsageError(f"the model is not {layout}-shaped: {'; '.join(differing)}", hint="--to")


def to_llama(config: BackboneConfig, weights: Mapping[str, torch.Tensor]) -> Weights:
    """A backbone's weights under the names of `LlamaForCausalLM`.

    Raises
    ------
    UsageError
        when the backbone is not Llama-shaped, naming what differs.
    """
    require_options(config, _LLAMA, "Llama")
    sizes = [size * config.head_dim for size in (config.heads, config.kv_heads, config.kv_heads)]
    made: Weights = {
        "model.embed_tokens.weight": _take(weights, "embed_tokens.weight"),
        "model.norm.weight": _take(weights, "decoder.norm.weight"),
        "lm_head.weight": weights.get("lm_head.weight", weights["embed_tokens.weight"]),
    }
    for layer in range(config.decoder_layers):
        theirs, ours = f"model.layers.{layer}.", f"decoder.layers.{layer}."
        parts = _take(weights, ours + "attention.qkv.weight").split(sizes)
        gates = _take(weights, ours + "mlp.up.weight").chunk(2)
        for name, part in zip("qkv", parts, strict=True):
            made[f"{theirs}self_attn.{name}_proj.weight"] = part
        for name, part in zip(("gate", "up"), gates, strict=True):
            made[f"{theirs}mlp.{name}_proj.weight"] = part
        made[theirs + "self_attn.o_proj.weight"] = _take(weights, ours + "attention.out.weight")
        made[theirs + "mlp.down_proj.weight"] = _take(weights, ours + "mlp.down.weight")
        made[theirs + "input_layernorm.weight"] = _take(weights, ours + "attention_norm.weight")
        made[theirs + "post_attention_layernorm.weight"] = _take(weights, ours + "mlp_norm.weight")
    return made


def bart_config(config: Any) -> BackboneConfig:
    """The options of a BART-style model."""
    if config.activation_function not in ("gelu", "relu"):
        raise errors.UsageError(f"activation {config.activation_function} is not supported")
    if (config.encoder_attention_heads, config.encoder_ffn_dim) != (
        config.decoder_attention_heads,
        config.decoder_ffn_dim,
    ):
        raise errors.UsageError("an encoder and a decoder of different widths are not supported")
    return BackboneConfig(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        layout="encdec",
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        heads=config.encoder_attention_heads,
        feed_forward=config.activation_function,
        feed_forward_size=config.encoder_ffn_dim,
        position="learned",
        max_positions=config.max_position_embeddings,
        norm="layer",
        norm_eps=1e-5,
        post_norm=True,
        embedding_norm=True,
        bias=True,
        head_bias=True,
        embedding_scale=config.d_model**0.5 if config.scale_embedding else 1.0,
        tie_word_embeddings=config.tie_word_embeddings,
        pad_token_id=config.pad_token_id,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id,
    )


def from_bart(config: Any, weights: Mapping[str, torch.Tensor]) -> tuple[BackboneConfig, Weights]:
    """The backbone's options and weights of a BART-style checkpoint.

    BART's tables of positions begin with two rows that no token uses; they are left out.

    Raises
    ------
    UsageError
        when the checkpoint uses what the backbone has not.
    DataError
        when it lacks a tensor.
    """
    shared = _take(weights, "model.shared.weight")
    made: Weights = {
        "embed_tokens.weight": shared,
        "lm_head.weight": weights.get("lm_head.weight", shared),
        "lm_head.bias": _take(weights, "final_logits_bias")[0],
    }
    for theirs, ours, layers in (
        ("model.encoder.", "encoder.", config.encoder_layers),
        ("model.decoder.", "decoder.", config.decoder_layers),
    ):
        made[ours + "place.weight"] = _take(weights, theirs + "embed_positions.weight")[2:]
        _both(made, ours + "embedding_norm", weights, theirs + "layernorm_embedding")
        for layer in range(layers):
            _bart_layer(made, f"{ours}layers.{layer}.", weights, f"{theirs}layers.{layer}.")
    return bart_config(config), made


def _bart_layer(made: Weights, ours: str, weights: Mapping[str, torch.Tensor], theirs: str) -> None:
    for kind in ("weight", "bias"):
        qkv = [_take(weights, f"{theirs}self_attn.{name}_proj.{kind}") for name in "qkv"]
        made[f"{ours}attention.qkv.{kind}"] = torch.cat(qkv)
    _both(made, ours + "attention.out", weights, theirs + "self_attn.out_proj")
    _both(made, ours + "attention_norm", weights, theirs + "self_attn_layer_norm")
    _both(made, ours + "mlp.up", weights, theirs + "fc1")
    _both(made, ours + "mlp.down", weights, theirs + "fc2")
    _both(made, ours + "mlp_norm", weights, theirs + "final_layer_norm")
    if not ours.startswith("decoder"):
        return
    for kind in ("weight", "bias"):
        kv = [_take(weights, f"{theirs}encoder_attn.{name}_proj.{kind}") for name in "kv"]
        made[f"{ours}source_attention.kv.{kind}"] = torch.cat(kv)
    _both(made, ours + "source_attention.q", weights, theirs + "encoder_attn.q_proj")
    _both(made, ours + "source_attention.out", weights, theirs + "encoder_attn.out_proj")
    _both(made, ours + "source_norm", weights, theirs + "encoder_attn_layer_norm")


def _both(made: Weights, ours: str, weights: Mapping[str, torch.Tensor], theirs: str) -> None:
    for kind in ("weight", "bias"):
        made[f"{ours}.{kind}"] = _take(weights, f"{theirs}.{kind}")


def _take(weights: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    if name not in weights:
        raise errors.DataError(f"the checkpoint has no tensor {name}")
    return weights[name]
