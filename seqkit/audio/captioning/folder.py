"""A captioning model on disk: sound encoder, captioning model, sentence encoder, tokenizer, card.

Knows files; not training or searching.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from seqkit import errors
from seqkit.audio import classes
from seqkit.audio.captioning.model import CaptionConfig, CaptionModel
from seqkit.audio.captioning.sentences import SentenceConfig, SentenceEncoder
from seqkit.audio.encoders import kinds
from seqkit.audio.encoders.heard import SoundEncoder
from seqkit.io import atomic, tensor_files
from seqkit.tokenizers.subword import SubwordTokenizer

__all__ = ["MODEL_TYPE", "Calibration", "Parts", "load_parts", "save"]

MODEL_TYPE = "seqkit-caption"
_LARGEST = 1 << 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """How what is known of a caption becomes a probability that it names the source.

    `1 / (1 + exp(-z))` of `z = slope * rank + similarity * cosine + named * heard + offset` (Platt 1999),
    fitted on sounds that were held out: of the ranking's score, of the cosine of clip and caption, and of the
    encoder's probability of the surest class that the caption names, 0 if it names none.
    """

    slope: float = 4.0
    similarity: float = 0.0
    named: float = 0.0
    offset: float = 0.0
    least: float = 0.0
    """Below this probability something general is said instead."""

    def probability(self, *, rank: float, cosine: float, heard: float) -> float:
        """That a caption is right.

        Examples
        --------
        >>> told = Calibration(slope=0.0, similarity=2.0, named=4.0, offset=-3.0)
        >>> told.probability(rank=-1.0, cosine=0.5, heard=0.5)
        0.5
        """
        z = self.slope * rank + self.similarity * cosine + self.named * heard + self.offset
        return 1 / (1 + math.exp(-z))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """What a captioning model consists of."""

    encoder: SoundEncoder
    model: CaptionModel
    sentences: SentenceEncoder
    tokenizer: SubwordTokenizer
    calibration: Calibration = Calibration()

    def networks(self) -> dict[str, torch.nn.Module]:
        """The networks by the names that their weights have on disk."""
        return {"encoder": self.encoder, "model": self.model, "sentences": self.sentences}


def save(folder: Path, parts: Parts, *, card: str, dtype: torch.dtype = torch.float16) -> None:
    """Write a model's folder; weights are rounded to `dtype`, statistics of normalisation are not."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{prefix}.{name}": tensor
        for prefix, network in parts.networks().items()
        for name, tensor in tensor_files.rounded(network, dtype).items()
        if not name.endswith("lm_head.weight")  # the embedding, which is written once
    }
    tensor_files.save(folder / "model.safetensors", tensors)
    config = {
        "model_type": MODEL_TYPE,
        "encoder": kinds.describe(parts.encoder),
        "model": dataclasses.asdict(parts.model.config),
        "sentences": dataclasses.asdict(parts.sentences.config),
        "calibration": dataclasses.asdict(parts.calibration),
    }
    for name, content in (
        ("config.json", json.dumps(config, indent=1) + "\n"),
        ("classes.json", json.dumps(classes.audioset_names()) + "\n"),
        ("tokenizer.json", parts.tokenizer.to_json()),
        ("README.md", card),
    ):
        with atomic.atomic_file(folder / name) as file:
            file.write(content.encode())


def load_parts(folder: Path) -> Parts:
    """A model's parts from its folder, float32, in evaluation mode.

    Raises
    ------
    DataError
        when a file is missing or damaged, or the parts do not fit each other; named.
    """
    path = folder / "config.json"
    config = _json(path)
    if config.get("model_type") != MODEL_TYPE:
        raise errors.DataError("is not the config of a captioning model", file=str(path))
    tokenizer = SubwordTokenizer.from_json(_text(folder / "tokenizer.json"))
    try:
        parts = Parts(
            encoder=kinds.build(str(config["encoder"]["encoder"]), config["encoder"]["options"]),
            model=CaptionModel(_options(CaptionConfig, config["model"])),
            sentences=SentenceEncoder(_options(SentenceConfig, config["sentences"])),
            tokenizer=tokenizer,
            calibration=_options(Calibration, config.get("calibration", {})),
        )
    except (KeyError, TypeError, ValueError, errors.UsageError) as error:
        raise errors.DataError(f"is no captioning model's: {error}", file=str(path)) from error
    if parts.model.config.vocab_size != tokenizer.vocab_size:
        raise errors.DataError(
            f"has {tokenizer.vocab_size} tokens, and the model {parts.model.config.vocab_size}",
            file=str(folder / "tokenizer.json"),
        )
    _fill(parts, folder / "model.safetensors")
    return parts


def _options(kind: Any, told: Any) -> Any:
    """A class of options from a table of unknown origin: numbers only, within reason."""
    if not isinstance(told, dict):
        raise ValueError("options are no table")
    defaults = kind()
    for name, value in told.items():
        if not hasattr(defaults, name) or isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name} {value!r} is no option")
        if isinstance(getattr(defaults, name), int) and not 1 <= value <= 1 << 17:
            raise ValueError(f"{name} {value!r} is out of range")
    return kind(**told)


def _fill(parts: Parts, path: Path) -> None:
    """Weights into the networks, all of them and of the right shapes."""
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(path)) from error
    wanted = {
        f"{prefix}.{name}": tuple(tensor.shape)
        for prefix, network in parts.networks().items()
        for name, tensor in network.state_dict().items()
        if not name.endswith("lm_head.weight")
    }
    for name in sorted(set(wanted) | set(tensors)):
        found = tuple(tensors[name].shape) if name in tensors else None
        if wanted.get(name) != found:
            raise errors.DataError(f"{name} is {found}, and should be {wanted.get(name)}", file=str(path))
    for prefix, network in parts.networks().items():
        own = {
            name.removeprefix(f"{prefix}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"{prefix}.")
        }
        network.load_state_dict(own, strict=False)
        network.eval()


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise errors.DataError("is too large", file=str(path))
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(path)) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(_text(path))
    except ValueError as error:
        raise errors.DataError(f"is not JSON: {error}", file=str(path)) from error
    return told if isinstance(told, dict) else {}
