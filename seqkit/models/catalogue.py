"""Models by name: those that come with the package, and any folder that the user trained.

Knows where models lie and which class runs each architecture; training and
genomes are others' business.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqkit import errors
from seqkit.backbone import sketch, tokenwise
from seqkit.models import weights
from seqkit.tokenizers import dna_bpe

__all__ = ["ReadEncoder", "build_network", "load_read_encoder", "model_directory", "save_read_encoder"]

SHIPPED = ("read-encoder",)
"""Names of the models that come with the package."""


class ReadEncoder:
    """A read encoder ready to use, with what an index must know of it.

    Parameters
    ----------
    network : anything with `dim` and `encode(codes, starts, lengths)`.
    config : the model's description.
    """

    def __init__(self, network: Any, config: dict[str, Any]) -> None:
        self._network = network
        self.name: str = config["name"]
        self.digest: str = config["digest"]
        self.window: int = config["window"]
        self.stride: int = config["stride"]

    @property
    def dim(self) -> int:
        """The number of dimensions, D."""
        return int(self._network.dim)

    def encode(self, codes: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Encode one batch of sequences that lie in one array of codes, in the calling thread.

        Parameters
        ----------
        codes : uint8 (L,), base codes (0-3 ACGT, 4 ambiguous).
        starts, lengths : int64 (B,), where each sequence lies.

        Returns
        -------
        float32 (B, D), unit vectors; zeros for a sequence that holds nothing to encode.
        """
        return np.asarray(self._network.encode(codes, starts, lengths))

    def can_run(self, window: int, stride: int) -> bool:
        """Whether `encode_run` applies to windows of this size and distance."""
        return hasattr(self._network, "can_run") and bool(self._network.can_run(window, stride))

    def encode_run(self, codes: np.ndarray, start: int, count: int, window: int, stride: int) -> np.ndarray:
        """Encode overlapping windows without ambiguous bases, sharing what they have in common."""
        return np.asarray(self._network.encode_run(codes, start, count, window, stride))


def model_directory(name_or_dir: str, shipped: Sequence[str] = SHIPPED) -> Path:
    """Return the folder of a shipped model by name, one of `shipped`, or a folder by its path."""
    if name_or_dir in shipped:
        return Path(str(resources.files("seqkit.models") / "shipped" / name_or_dir))
    path = Path(name_or_dir)
    if not path.is_dir():
        raise errors.UsageError(
            "no such model", file=name_or_dir, hint=f"known: {', '.join(shipped)}; or a folder"
        )
    return path


def build_network(
    kind: str, network: dict[str, Any], vocabulary: str | None, seed: int = 0
) -> torch.nn.Module:
    """Make an untrained network of one of the architectures.

    Parameters
    ----------
    kind : `sketch` or `tokens`.
    network : fields of the network's configuration.
    vocabulary : the tokenizer's JSON, for `tokens`.
    seed : draws the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "sketch":
        return sketch.SketchEncoder(sketch.SketchConfig(**network), generator)
    if kind == "tokens" and vocabulary is not None:
        tokenizer = dna_bpe.DnaBpe.from_json(vocabulary)
        return tokenwise.TokenEncoder(
            tokenwise.TokenConfig(**network), tokenizer.encode_both_strands, generator
        )
    raise errors.UsageError(f"unknown architecture {kind!r}, or its vocabulary is missing")


def save_read_encoder(
    directory: Path, model: torch.nn.Module, description: dict[str, Any], vocabulary: str | None = None
) -> str:
    """Write a trained network as a model's folder, in bfloat16 but for the statistics; returns its digest."""
    tensors = {}
    for name, value in model.state_dict().items():
        short = value.is_floating_point() and not name.startswith(("norm.running", "filters", "thresholds"))
        tensors[name] = value.to(torch.bfloat16) if short else value
        if name == "filters":
            tensors[name] = value.to(torch.float16)
    if vocabulary is not None:
        tensors["vocabulary"] = torch.frombuffer(bytearray(vocabulary.encode()), dtype=torch.uint8)
    return weights.write_model(directory, tensors, description)


def load_read_encoder(name_or_dir: str = "read-encoder", device: str = "cpu") -> ReadEncoder:
    """Load a read encoder: one that comes with the package, or a folder that `seqkit encoder train` wrote.

    Parameters
    ----------
    name_or_dir : e.g. "read-encoder", or a path.
    device : "cpu", "cuda", or "auto".

    Raises
    ------
    UsageError : there is no such model.
    DataError : its files are damaged or do not belong together.
    """
    directory = model_directory(name_or_dir)
    tensors, config = weights.read_model(directory)
    raw = tensors.pop("vocabulary", None)
    vocabulary = None if raw is None else bytes(raw.tolist()).decode()
    try:
        model = build_network(config["kind"], config["network"], vocabulary)
        model.load_state_dict(tensors)
        chosen = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
        return ReadEncoder(model.freeze(short_dtype(chosen), chosen), config)  # type: ignore[operator]
    except (KeyError, TypeError, RuntimeError, errors.UsageError) as error:
        raise errors.DataError(f"the model cannot be built: {error}", file=str(directory)) from error


def short_dtype(device: str) -> torch.dtype:
    """Return bfloat16 where the device computes in it, otherwise float32."""
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return (
        torch.bfloat16
        if torch.backends.cpu.get_cpu_capability() == "AVX512" and _has_bf16()
        else torch.float32
    )


def _has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported())
