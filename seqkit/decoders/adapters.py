"""How models are called: the backbone, and Hugging Face's decoder-only and encoder-decoder models.

An adapter turns tokens, positions and a mask into logits. This file knows the
names of models' arguments; it does not know caches' slots, trees or drafts.

Shape suffixes: B rows, n new tokens, S slots, V tokens of the vocabulary, H hidden size, T source tokens,
k tokens that share a place.
"""

import contextlib
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from seqkit import errors
from seqkit.decoders.interfaces import Inputs, Mixture, Want

__all__ = ["Adapter", "CausalAdapter", "SourceAdapter", "SourceContext", "takes_positions"]

#: Names that models give the attention and feed-forward parts of a layer.
ATTENTION_NAMES = ("attention", "self_attn", "attn")
MLP_NAMES = ("mlp", "feed_forward")


class Adapter(Protocol):
    """How one model is called."""

    vocab_size: int
    window: int | None
    """A token sees at most this many positions, itself included; None: all."""
    skipping: bool
    encodes_tokens: bool
    """The encoder reads token ids of the same vocabulary."""

    def encode(self, inputs: Inputs) -> Any:
        """Encode sources; returns what `call` needs of them."""

    def call(
        self,
        context: Any,
        cache: Cache,
        tokens_Bn: torch.Tensor,
        positions_Bn: torch.Tensor,
        mask_B1nS: torch.Tensor | None,
        slot_positions_BS: torch.Tensor,
        want: Want,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits (B, n, V), and hidden states (B, n, H) when wanted."""

    def select(self, context: Any, rows: torch.Tensor) -> Any:
        """The context of these rows."""


class _HiddenAndSkips:
    """What both kinds of adapters share: layers, windows, skipping."""

    def __init__(self, model: Any, layers: Any) -> None:
        self.model = model.eval()
        config = model.config.get_text_config(decoder=True)
        self.vocab_size = int(config.vocab_size)
        self.window = _window(config)
        self.device = next(model.parameters()).device
        self.layers = layers
        self.skipping = all(_part(layer, ATTENTION_NAMES) and _part(layer, MLP_NAMES) for layer in layers)
        self._takes_slot_positions = "key_position_ids" in inspect.signature(model.forward).parameters

    def _extra(self, slot_positions_BS: torch.Tensor, want: Want) -> dict[str, Any]:
        extra: dict[str, Any] = {"use_cache": True, "return_dict": True}
        if want.hidden:
            extra["output_hidden_states"] = True
        if self._takes_slot_positions:
            extra["key_position_ids"] = slot_positions_BS.to(self.device)
        return extra

    @contextlib.contextmanager
    def skipped(self, skip: frozenset[tuple[str, int]]) -> Iterator[None]:
        """Let sub-layers add nothing to the residual stream."""
        parts = [
            _part(self.layers[layer], ATTENTION_NAMES if kind == "attention" else MLP_NAMES)
            for kind, layer in skip
        ]
        try:
            for part in parts:
                part.forward = _Nothing(is_tuple=_returns_tuple(part))
            yield
        finally:
            for part in parts:
                del part.forward

    @contextlib.contextmanager
    def mixed(self, mixture: Mixture | None) -> Iterator[None]:
        """Let the table of input embeddings answer with weighted sums of embeddings."""
        if mixture is None:
            yield
            return
        tokens_Bnk, weights_Bnk = mixture.tokens_Bnk.to(self.device), mixture.weights_Bnk.to(self.device)
        looked_up = []

        def look_up(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            if output.shape[:2] != tokens_Bnk.shape[:2]:
                raise ValueError(f"mixture of shape {tuple(tokens_Bnk.shape)} for {tuple(output.shape[:2])}")
            looked_up.append(module)
            return (module.forward(tokens_Bnk) * weights_Bnk[..., None].to(output)).sum(dim=2)

        handle = self.model.get_decoder().get_input_embeddings().register_forward_hook(look_up)
        try:
            yield
        finally:
            handle.remove()
        if not looked_up:
            raise errors.UsageError("the input embeddings of this model cannot be mixed")


@dataclasses.dataclass(frozen=True)
class _Nothing:
    """Stands in for a sub-layer's `forward`."""

    is_tuple: bool

    def __call__(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        zeros = torch.zeros_like(hidden_states)
        return (zeros, None) if self.is_tuple else zeros


def _returns_tuple(part: torch.nn.Module) -> bool:
    """Whether a sub-layer returns more than its output; one that does not say so is judged by its name."""
    annotation = inspect.signature(part.forward).return_annotation
    if annotation is inspect.Signature.empty:
        return "attention" in type(part).__name__.lower()
    return "tuple" in str(annotation)


def _part(layer: torch.nn.Module, names: tuple[str, ...]) -> Any:
    return next((getattr(layer, name) for name in names if hasattr(layer, name)), None)


def _window(config: Any) -> int | None:
    """The sliding window of all layers; layers that differ in it are refused."""
    kinds = set(getattr(config, "layer_types", None) or [])
    if len(kinds) > 1:
        raise errors.UsageError(f"a {config.model_type} model whose layers see different windows")
    window = getattr(config, "sliding_window", None)
    used = getattr(config, "use_sliding_window", True) and kinds != {"full_attention"}
    return int(window) if window and used else None


def takes_positions(model: Any) -> bool:
    """Whether positions can be given for every token, so that trees can be scored in one row."""
    names = inspect.signature(model.forward).parameters
    if not model.config.is_encoder_decoder:
        return "position_ids" in names
    return "decoder_position_ids" in names or _position_embedding(model) is not None


def _position_embedding(model: Any) -> Any:
    """The table of absolute positions of a decoder that has one (BART, Marian and their kin)."""
    embedding = getattr(model.get_decoder(), "embed_positions", None)
    return embedding if isinstance(embedding, torch.nn.Embedding) else None


class CausalAdapter(_HiddenAndSkips):
    """A decoder-only model."""

    encodes_tokens = False

    def __init__(self, model: Any) -> None:
        super().__init__(model, _layers_of(model.get_decoder()))

    def encode(self, inputs: Inputs) -> None:
        """There is nothing to encode."""
        if inputs.sources is not None or inputs.encoder_kwargs is not None:
            raise errors.UsageError("this model reads no source; the source goes into the prompt")

    def call(
        self,
        context: None,
        cache: Cache,
        tokens_Bn: torch.Tensor,
        positions_Bn: torch.Tensor,
        mask_B1nS: torch.Tensor | None,
        slot_positions_BS: torch.Tensor,
        want: Want,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `Adapter.call`."""
        with self.skipped(want.skip), self.mixed(want.mixture):
            output = self.model(
                input_ids=tokens_Bn.to(self.device),
                position_ids=positions_Bn.to(self.device),
                attention_mask=None if mask_B1nS is None else mask_B1nS.to(self.device),
                past_key_values=cache,
                **self._extra(slot_positions_BS, want),
            )
        return output.logits, output.hidden_states[-1] if want.hidden else None

    def select(self, context: None, rows: torch.Tensor) -> None:
        """Nothing to select from."""


@dataclasses.dataclass
class SourceContext:
    """An encoded source: the encoder's output, what of it counts, and the decoder's keys and values of it."""

    hidden_BTH: torch.Tensor
    mask_BT: torch.Tensor | None
    cross: DynamicCache


class SourceAdapter(_HiddenAndSkips):
    """An encoder-decoder model."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, _layers_of(model.get_decoder()))
        encoder = inspect.signature(model.get_encoder().forward).parameters
        self.encodes_tokens = "input_ids" in encoder
        self._names_positions = "decoder_position_ids" in inspect.signature(model.forward).parameters
        self._pad = model.config.pad_token_id or 0

    def encode(self, inputs: Inputs) -> SourceContext:
        """Run the encoder."""
        if inputs.encoder_kwargs is not None:
            kwargs = {name: value.to(self.device) for name, value in inputs.encoder_kwargs.items()}
        elif inputs.sources is not None:
            width = max(len(source) for source in inputs.sources)
            ids_BT = torch.full((len(inputs.sources), width), self._pad)
            mask_BT = torch.zeros((len(inputs.sources), width), dtype=torch.long)
            for row, source in enumerate(inputs.sources):
                ids_BT[row, : len(source)] = torch.tensor(source)
                mask_BT[row, : len(source)] = 1
            kwargs = {"input_ids": ids_BT.to(self.device), "attention_mask": mask_BT.to(self.device)}
        else:
            raise errors.UsageError("an encoder-decoder model needs a source")
        hidden = self.model.get_encoder()(**kwargs, return_dict=True).last_hidden_state
        mask = kwargs.get("attention_mask")
        if mask is not None and (mask.ndim != 2 or bool(mask.all())):
            mask = None
        return SourceContext(hidden, mask, DynamicCache())

    def call(
        self,
        context: SourceContext,
        cache: Cache,
        tokens_Bn: torch.Tensor,
        positions_Bn: torch.Tensor,
        mask_B1nS: torch.Tensor | None,
        slot_positions_BS: torch.Tensor,
        want: Want,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `Adapter.call`."""
        extra = self._extra(slot_positions_BS, want)
        if self._names_positions:
            extra["decoder_position_ids"] = positions_Bn.to(self.device)
        positions_Bn = positions_Bn.to(self.device)
        with self.skipped(want.skip), self.mixed(want.mixture), self._positions(positions_Bn):
            output = self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=context.hidden_BTH),
                attention_mask=context.mask_BT,
                decoder_input_ids=tokens_Bn.to(self.device),
                decoder_attention_mask=None if mask_B1nS is None else mask_B1nS.to(self.device),
                past_key_values=EncoderDecoderCache(cache, context.cross),
                **extra,
            )
        return output.logits, output.decoder_hidden_states[-1] if want.hidden else None

    def select(self, context: SourceContext, rows: torch.Tensor) -> SourceContext:
        """Keep rows of the encoder's output and of what was computed from it."""
        context.cross.batch_select_indices(rows)
        mask = None if context.mask_BT is None else context.mask_BT[rows]
        return SourceContext(context.hidden_BTH[rows], mask, context.cross)

    @contextlib.contextmanager
    def _positions(self, positions_Bn: torch.Tensor) -> Iterator[None]:
        """Give positions to a decoder that takes none: look them up in its own table."""
        table = None if self._names_positions else _position_embedding(self.model)
        if table is None:
            yield
            return

        def look_up(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.embedding(positions_Bn + getattr(module, "offset", 0), module.weight)

        handle = table.register_forward_hook(look_up)
        try:
            yield
        finally:
            handle.remove()


def _layers_of(decoder: Any) -> Any:
    """The list of a decoder's layers, under any of the usual names."""
    for name in ("decoder_layers", "layers", "h", "block"):
        layers = getattr(decoder, name, None)
        if isinstance(layers, torch.nn.ModuleList):
            return layers
    return torch.nn.ModuleList()
