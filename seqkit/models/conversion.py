"""A model's folder in one layout to a folder in another.

Knows folders; what a layout is lives in `foreign`.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqkit import errors
from seqkit.io import atomic
from seqkit.models import folders, foreign, genomic, listings, nucleotides
from seqkit.models.genomic import GenomicModel
from seqkit.models.nucleotides import SequenceTokenizer
from seqkit.tokenizers.kmer import KmerTokenizer

__all__ = ["OWN", "Converted", "convert"]

OWN = "seqkit"
_CARD = "README.md"
#: Roles of special tokens as `tokenizer_config.json` calls them; the others it has no name for.
_NAMED = ("pad", "bos", "eos", "unk", "mask", "cls", "sep")
#: Files of a folder that are read, or say again what others say.
_READ = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    nucleotides.FILE,
    _CARD,
)
_KINDS = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Converted:
    """What a conversion did.

    Attributes
    ----------
    parameters : numbers in the model.
    left : files and folders of the model that were not carried over.
    tokenizer_is_shared : whether transformers reads the tokenizer that was written.
    """

    parameters: int
    left: tuple[str, ...]
    tokenizer_is_shared: bool


def convert(model: str, layout: str, out: str, *, offline: bool = False) -> Converted:
    """Write a model in a layout; the folder appears whole or not at all.

    Weights keep their values and their data type; float64, and several data types in one folder, become
    float32.

    Parameters
    ----------
    layout : `OWN`, or one of `foreign.LAYOUTS`.

    Raises
    ------
    UsageError, DataError, OutputError
        when the model cannot be read, expressed, or written.
    """
    layouts = (*foreign.LAYOUTS, OWN)
    if layout not in layouts:
        raise errors.UsageError(f"{layout!r} is none of {', '.join(layouts)}", hint="--to")
    source = genomic.find_folder(model, offline=offline)
    stored = folders.stored_dtype(source)
    kind = _KINDS.get(stored, "float32") if stored else "float32"
    loaded = genomic.load(str(source), device="cpu", dtype=kind, offline=True)
    is_shared = layout != OWN and _is_shared(loaded.tokenizer)
    card = _card(source, Path(model).name, Path(out).name, layout)
    with atomic.atomic_directory(out) as folder:
        if layout == OWN:
            genomic.save(folder, loaded.network, loaded.tokenizer, card=card)
        else:
            foreign.save_network(folder, loaded.network, layout)
            nucleotides.save(loaded.tokenizer, folder / nucleotides.FILE, shared=is_shared)
            (folder / _CARD).write_text(card, encoding="utf-8")
        if is_shared:
            told = json.dumps(_tokenizer_config(loaded), indent=1)
            (folder / "tokenizer_config.json").write_text(told + "\n", encoding="utf-8")
    return Converted(
        parameters=sum(weight.numel() for weight in loaded.network.parameters()),
        left=_left(source),
        tokenizer_is_shared=is_shared,
    )


def _is_shared(tokenizer: SequenceTokenizer) -> bool:
    """Whether there is a format for it that transformers reads too."""
    return not (isinstance(tokenizer, KmerTokenizer) and tokenizer.overlapping)


def _tokenizer_config(model: GenomicModel) -> dict[str, Any]:
    """What transformers wants to know beside `tokenizer.json`."""
    specials = model.tokenizer.specials
    texts = {
        f"{role}_token": model.tokenizer.tokens(np.array([specials[role]]))[0]
        for role in _NAMED
        if role in specials
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.context,
        "clean_up_tokenization_spaces": False,
        **texts,
    }


def _card(source: Path, name: str, made: str, layout: str) -> str:
    """What was done, and then the model's own card: its data and its terms hold on."""
    told = f"# {made}\n\n{name}, written in the layout of {layout} by `seqkit convert`.\n"
    try:
        card = (source / _CARD).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return told
    return f"{told}\nThe card of {name}:\n\n{card}"


def _left(source: Path) -> tuple[str, ...]:
    """What lies in a folder besides the model."""
    read = {*_READ, *listings.FILES, *(path.name for path in source.glob("model*.safetensors*"))}
    names = (path.name for path in source.iterdir() if not path.name.startswith("."))
    return tuple(sorted(name for name in names if name not in read))
