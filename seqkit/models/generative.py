"""Models that generate text or sequence: a folder, or a name on the Hugging Face hub, as model and tokenizer.

A folder holds `config.json`, weights in safetensors, and `tokenizer.json`. It is the
backbone's, or that of any causal or encoder-decoder model that transformers knows
by itself: code that comes with a model is never run, and pickled weights are never
read. This file knows how a prompt becomes token ids; it does not know how tokens
are chosen.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers

from seqkit import errors
from seqkit.backbone import device as devices
from seqkit.backbone.config import BackboneConfig
from seqkit.backbone.sequence import SequenceModel
from seqkit.backbone.weights import favour_short_blocks
from seqkit.models import folders, listings, motifs, nucleotides
from seqkit.tokenizers.kmer import KmerTokenizer
from seqkit.tokenizers.spelled import SpelledTokenizer
from seqkit.tokenizers.subword import SubwordTokenizer

__all__ = ["DTYPES", "Generative", "TextTokenizer", "load", "require_same_tokens"]

#: Layouts of the backbone that generate from a prompt, or from a source.
LAYOUTS = ("decoder", "encdec")
#: Data types by name; "auto" is what the device computes fastest.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TextTokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def vocab_size(self) -> int:
        """One more than the largest token id."""

    @property
    def identity(self) -> str:
        """Equal for tokenizers with the same tokens."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens."""

    def decode_stream(self, parts: Iterable[Sequence[int]]) -> Iterator[str]:
        """The text of tokens that come part by part."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Generative:
    """A model that generates, with all that a prompt needs.

    Attributes
    ----------
    name : as it was asked for.
    network : the model, in evaluation mode, on its device.
    tokenizer : text to tokens.
    has_source : it is an encoder-decoder, and reads the prompt as its source.
    eos : tokens that end a sequence.
    first : tokens that what is generated begins with (an encoder-decoder's start), or a prompt (the
        backbone's start token).
    last : the token a source ends with, where the tokenizer does not put it there.
    positions : most tokens of a sequence; None is no limit.
    """

    name: str
    network: Any
    tokenizer: TextTokenizer
    has_source: bool
    eos: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    positions: int | None

    @property
    def ambiguous(self) -> tuple[int, ...]:
        """Of a model of nucleotides the tokens that are neither bases nor an end; of others none."""
        own = self.tokenizer.vocab_size
        others = motifs.other_than_bases(self.tokenizer.decode([token]) for token in range(own))
        if not others:
            return ()
        # Rows to spare have no text at all.
        rows = int(self.network.config.get_text_config(decoder=True).vocab_size)
        return tuple(token for token in (*others, *range(own, rows)) if token not in self.eos)

    @property
    def num_parameters(self) -> int:
        """Numbers that were learned; shared ones count once."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def read(self, text: str) -> tuple[list[int], list[int] | None]:
        """What generation continues, and what the encoder reads (None without an encoder).

        Raises
        ------
        DataError
            when the text holds no token.
        """
        ids = self.tokenizer.encode(text)
        if not text or not ids:
            raise errors.DataError("the prompt is empty")
        if self.has_source:
            return list(self.first), ids if ids[-1:] == list(self.last) else [*ids, *self.last]
        while len(ids) > 1 and ids[-1] in self.eos:
            # Some tokenizers end every text; what is to be continued has not ended.
            ids.pop()
        return ids if ids[: len(self.first)] == list(self.first) else [*self.first, *ids], None

    def require_room(self, prompt: Sequence[int], source: Sequence[int] | None, new_tokens: int) -> None:
        """Refuse what is longer than the model's positions.

        Raises
        ------
        DataError
            when the prompt or the source by itself is too long.
        UsageError
            when the prompt with its new tokens is.
        """
        if self.positions is None:
            return
        longest = max(len(prompt), len(source or ()))
        if longest > self.positions:
            raise errors.DataError(
                f"the prompt has {longest:,} tokens, and the model takes {self.positions:,}"
            )
        room = self.positions - len(prompt)
        if new_tokens > room:
            raise errors.UsageError(
                f"the prompt leaves room for {room:,} of {self.positions:,} tokens, not for {new_tokens:,}",
                hint="--max-new-tokens",
            )


def load(name: str, *, device: str = "auto", dtype: str = "float32", offline: bool = False) -> Generative:
    """Load a model and its tokenizer.

    Parameters
    ----------
    name : a folder; or "owner/name" on the hub, where the network is allowed.
    device : see `seqkit.backbone.device.choose_device`.
    dtype : one of `DTYPES`, or "auto".
    offline : only a folder will do.

    Raises
    ------
    UsageError
        when there is no such folder, device or data type, or the name is that of a model that comes with
        seqkit, none of which generates.
    DataError
        when files are missing or damaged, would need code or pickles to be read, or do not fit each other.
    """
    place = devices.choose_device(device)
    if dtype != "auto" and dtype not in DTYPES:
        raise errors.UsageError(f"no data type is called {dtype!r}", hint=f"--dtype auto|{'|'.join(DTYPES)}")
    kind = devices.choose_dtype(place) if dtype == "auto" else DTYPES[dtype]
    _require_no_encoder(name)
    folder = folders.find_folder(name, offline=offline)
    config = folders.read_config(folder)
    folders.require_safetensors(folder)
    tokenizer = _tokenizer(folder)
    if told := config.get(nucleotides.DIGEST):
        path = nucleotides.file_in(folder)
        nucleotides.require_digest(nucleotides.find(str(path)), told, path)
    network = folders.load_network(_class_for(folder, config), folder, kind)
    network = favour_short_blocks(network.to(place).eval())
    return _described(name, network, tokenizer)


def require_same_tokens(model: Generative, draft: Generative) -> None:
    """Refuse a draft model whose tokens are not the model's.

    Raises
    ------
    UsageError
        when their vocabularies differ.
    """
    sizes = [int(each.network.config.get_text_config(decoder=True).vocab_size) for each in (model, draft)]
    if sizes[0] != sizes[1] or model.tokenizer.identity != draft.tokenizer.identity:
        raise errors.UsageError(
            f"the draft model {draft.name} has another vocabulary than {model.name}", hint="--draft-model"
        )


def _require_no_encoder(name: str) -> None:
    """Refuse the models that come with seqkit, before one is looked for on the hub."""
    shipped = {entry.name for entry in (resources.files("seqkit.models") / "shipped").iterdir()}
    if name in shipped and not Path(name).is_dir():
        raise errors.UsageError(
            "the model of this name comes with seqkit, and does not generate",
            file=name,
            hint="--model takes a decoder, as `seqkit pretrain --arch generator` makes one",
        )


def _tokenizer(folder: Path) -> TextTokenizer:
    path = nucleotides.file_in(folder)
    if path.name in listings.FILES:
        return SpelledTokenizer(nucleotides.find(str(path)))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise errors.DataError(
            f"cannot be read: {error.strerror}", file=str(path), hint="the model's tokenizer belongs there"
        ) from error
    try:
        text = content.decode("utf-8")
        described = json.loads(text)
        is_kmers = isinstance(described, dict) and described.get("kind") == KmerTokenizer.kind
        if is_kmers or listings.is_words(described):
            return SpelledTokenizer(nucleotides.find(str(path)))
        return SubwordTokenizer.from_json(text)
    except (ValueError, errors.DataError) as error:
        reason = error.message if isinstance(error, errors.DataError) else f"not valid JSON: {error}"
        raise errors.DataError(reason, file=str(path)) from error


def _class_for(folder: Path, config: dict[str, Any]) -> Any:
    if config["model_type"] == BackboneConfig.model_type:
        layout = config.get("layout", "decoder")
        if layout not in LAYOUTS:
            raise errors.DataError(
                f"a model of layout {layout!r} does not continue prompts",
                file=str(folder),
                hint=f"layouts that do: {', '.join(LAYOUTS)}",
            )
        return SequenceModel
    with folders.refusing(folder):
        full = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if full.is_encoder_decoder:
        return transformers.AutoModelForSeq2SeqLM
    return transformers.AutoModelForCausalLM


def _described(name: str, network: Any, tokenizer: TextTokenizer) -> Generative:
    """What prompts need to know, from the model's own configuration."""
    config = network.config.get_text_config(decoder=True)
    if tokenizer.vocab_size > config.vocab_size:
        raise errors.DataError(
            f"the tokenizer has {tokenizer.vocab_size:,} tokens, the model {config.vocab_size:,}", file=name
        )
    eos = _ids(network, "eos_token_id")
    has_source = bool(network.config.is_encoder_decoder)
    is_own = network.config.model_type == BackboneConfig.model_type
    if has_source:
        first = (*_ids(network, "decoder_start_token_id"), *_ids(network, "forced_bos_token_id"))
        if not first:
            raise errors.DataError("the config names no decoder_start_token_id", file=name)
    else:
        # Tokenizers of others put the start token there themselves, but for those that list k-mers.
        is_bare = is_own or isinstance(tokenizer, SpelledTokenizer)
        first = _ids(network, "bos_token_id") if is_bare else ()
    positions = getattr(config, "max_position_embeddings", None)
    return Generative(
        name=name,
        network=network,
        tokenizer=tokenizer,
        has_source=has_source,
        eos=eos,
        first=first,
        last=eos[:1] if has_source and is_own else (),
        positions=None if positions is None else int(positions),
    )


def _ids(network: Any, name: str) -> tuple[int, ...]:
    """Token ids by the name of a setting: of generation, or else of the model."""
    for source in (network.generation_config, network.config.get_text_config(decoder=True)):
        value = getattr(source, name, None)
        if value is not None:
            return tuple(value) if isinstance(value, list | tuple) else (int(value),)
    return ()
