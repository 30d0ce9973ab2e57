"""Models of nucleotides: the backbone with the tokenizer it was trained with, loaded from a folder and saved
to one.

A folder holds `config.json`, `model.safetensors` and `tokenizer.json`, and a card. This
file knows how tokens are framed by special ones; it does not know what is done with
hidden states or likelihoods.

Shape suffixes: L letters, T tokens.
"""

import dataclasses
import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from seqkit import errors
from seqkit.backbone import device as devices
from seqkit.backbone.config import BackboneConfig
from seqkit.backbone.sequence import SequenceModel
from seqkit.io import atomic, tensor_files
from seqkit.models import folders, foreign, nucleotides
from seqkit.models.nucleotides import SequenceTokenizer

__all__ = ["DEFAULT", "GenomicModel", "find_folder", "load", "save"]

#: The model that comes with the package.
DEFAULT = "dna-small"
SHIPPED = (DEFAULT,)
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class GenomicModel:
    """A model of nucleotides, with all that a sequence needs.

    Attributes
    ----------
    name : as it was asked for.
    network : the model, in evaluation mode, on its device.
    tokenizer : letters to tokens.
    """

    name: str
    network: SequenceModel
    tokenizer: SequenceTokenizer

    def __post_init__(self) -> None:
        """Check that the two belong together."""
        if self.tokenizer.vocab_size > self.network.config.vocab_size:
            raise errors.DataError(
                f"the tokenizer has {self.tokenizer.vocab_size:,} tokens, "
                f"the model {self.network.config.vocab_size:,}",
                file=self.name,
            )

    @property
    def is_causal(self) -> bool:
        """Whether it reads from left to right, and so has likelihoods."""
        return bool(self.network.config.layout == "decoder")

    @property
    def context(self) -> int:
        """Most tokens of a sequence, special ones included, that it was made for."""
        return int(self.network.config.max_positions)

    @property
    def pad(self) -> int:
        """The token that fills rows; what it is never matters to a model that masks it."""
        return self.tokenizer.specials.get("pad", 0)

    @property
    def before(self) -> tuple[int, ...]:
        """Special tokens in front of a sequence: the class token of an encoder, the start of a decoder."""
        return self._special("bos") if self.is_causal else self._special("cls")

    @property
    def after(self) -> tuple[int, ...]:
        """Special tokens behind a sequence that is complete."""
        return self._special("eos") if self.is_causal else self._special("sep")

    @property
    def room(self) -> int:
        """Most tokens of a sequence, special ones not included."""
        return self.context - len(self.before) - len(self.after)

    def read(self, letters_L: np.ndarray) -> np.ndarray:
        """Token ids (int32) of upper-case letters (uint8), framed by special tokens.

        Raises
        ------
        DataError
            when a letter is not in the tokenizer's alphabet.
        """
        ids_T = self.tokenizer.encode(letters_L)
        return np.concatenate([self.before, ids_T, self.after]).astype(np.int32)

    def _special(self, role: str) -> tuple[int, ...]:
        number = self.tokenizer.specials.get(role)
        return () if number is None else (number,)


def load(
    name: str = DEFAULT, *, device: str = "auto", dtype: str = "float32", offline: bool = False
) -> GenomicModel:
    """Load a model of nucleotides.

    Parameters
    ----------
    name : one that comes with the package; a folder; or "owner/name" on the hub, where the network is
        allowed.
    device : see `seqkit.backbone.device.choose_device`.
    dtype : "float32", "bfloat16", "float16", or "auto": what the device computes fastest.
    offline : fetch nothing.

    Raises
    ------
    UsageError
        when there is no such model, device or data type.
    DataError
        when files are missing or damaged, or do not fit each other.
    """
    place = devices.choose_device(device)
    if dtype != "auto" and dtype not in _DTYPES:
        raise errors.UsageError(f"no data type is called {dtype!r}", hint=f"--dtype auto|{'|'.join(_DTYPES)}")
    kind = devices.choose_dtype(place) if dtype == "auto" else _DTYPES[dtype]
    folder = find_folder(name, offline=offline)
    config = folders.read_config(folder, known=foreign.TYPES)
    folders.require_safetensors(folder)
    if foreign.is_foreign(config):
        network = foreign.load_network(folder, config, kind)
    elif config["model_type"] == BackboneConfig.model_type:
        network = folders.load_network(SequenceModel, folder, kind)
    else:
        raise errors.DataError(f"a model of type {config['model_type']!r} is not supported", file=str(folder))
    tokenizer = _tokenizer(folder, network.config.vocab_size)
    nucleotides.require_digest(tokenizer, config.get(nucleotides.DIGEST), nucleotides.file_in(folder))
    return GenomicModel(name=name, network=network.to(place).eval(), tokenizer=tokenizer)


def find_folder(name: str, *, offline: bool = False) -> Path:
    """The folder of a name, as `load` takes it.

    Raises
    ------
    UsageError
        when there is none.
    """
    if name in SHIPPED:
        return Path(str(resources.files("seqkit.models") / "shipped" / name))
    return folders.find_folder(name, offline=offline)


def save(directory: Path, network: SequenceModel, tokenizer: SequenceTokenizer, *, card: str) -> str:
    """Write a model's folder: weights, config, tokenizer and card.

    Parameters
    ----------
    card : Markdown: data, recipe, measured quality, terms; written as README.md.

    Returns
    -------
    The SHA-256 of the weights.
    """
    setattr(network.config, nucleotides.DIGEST, nucleotides.digest(tokenizer))
    with atomic.naming(directory):
        directory.mkdir(parents=True, exist_ok=True)
    # The files of a folder change together, or as nearly as renaming them allows; the weights come last.
    with atomic.atomic_directory(directory / ".saved", replace=True) as aside:
        with folders.quiet(), tensor_files.naming(directory / "model.safetensors"):
            network.save_pretrained(aside, safe_serialization=True)
        (aside / "README.md").write_text(card, encoding="utf-8")
        nucleotides.save(tokenizer, aside / nucleotides.FILE)
    saved = sorted((directory / ".saved").iterdir(), key=lambda path: path.suffix == ".safetensors")
    for path in saved:
        atomic.move_into_place(path, directory / path.name)
    (directory / ".saved").rmdir()
    return hashlib.sha256((directory / "model.safetensors").read_bytes()).hexdigest()


def _tokenizer(folder: Path, rows: int) -> SequenceTokenizer:
    """The folder's tokenizer; an embedding may have rows to spare, but none too few."""
    path = nucleotides.file_in(folder)
    if not path.is_file():
        raise errors.DataError(
            "there is no tokenizer",
            file=str(path),
            hint="tokenizer.json, or a listing of k-mers (vocab.json, vocab.txt); code for one is not run",
        )
    tokenizer = nucleotides.find(str(path))
    if tokenizer.vocab_size > rows:
        raise errors.DataError(
            f"the tokenizer has {tokenizer.vocab_size:,} tokens, the model {rows:,}", file=str(path)
        )
    return tokenizer
