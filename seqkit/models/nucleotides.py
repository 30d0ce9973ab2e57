"""Tokenizers of nucleotides by name and in files: what `--tokenizer` takes.

A name ("letters", "6mer", "6mer-overlapping"), a `tokenizer.json` of byte pairs or
k-mers, a plain listing of k-mers (`vocab.json`, `vocab.txt`), a folder that holds one of
these, or a small JSON file of a k-mer tokenizer. This file knows where tokenizers are; it
does not know how they work.
"""

import hashlib
import json
import re
from pathlib import Path

import numpy as np

from seqkit import errors
from seqkit.io import atomic
from seqkit.models import listings
from seqkit.tokenizers.bpe import BpeTokenizer
from seqkit.tokenizers.kmer import KmerTokenizer
from seqkit.tokenizers.listing import ListedTokenizer

__all__ = ["DIGEST", "FILE", "SequenceTokenizer", "digest", "file_in", "find", "require_digest", "save"]

#: What a model's configuration calls the `digest` of the tokenizer that it was trained with.
DIGEST = "tokenizer_digest"
#: The name of a tokenizer's file in a folder.
FILE = "tokenizer.json"
_KMER = re.compile(r"(\d+)-?mers?(-overlapping)?")

SequenceTokenizer = BpeTokenizer | KmerTokenizer | ListedTokenizer


def file_in(folder: Path) -> Path:
    """The file of a folder's tokenizer: `FILE`, or a plain listing where there is only that."""
    names = [name for name in (FILE, *listings.FILES) if (folder / name).is_file()]
    return folder / (names[0] if names else FILE)


def find(name: str) -> SequenceTokenizer:
    """The tokenizer of a name or a path.

    Raises
    ------
    UsageError
        when there is neither a tokenizer of that name nor a file.
    DataError
        when the file is no tokenizer.

    Examples
    --------
    >>> find("6mer").vocab_size
    4118
    """
    if name == "letters":
        return KmerTokenizer(k=1)
    if match := _KMER.fullmatch(name):
        return KmerTokenizer(k=int(match[1]), overlapping=bool(match[2]))
    path = Path(name)
    if path.is_dir():
        path = file_in(path)
    if not path.exists():
        raise errors.UsageError(
            f"there is no tokenizer {name!r}", hint="letters, 6mer, 6mer-overlapping, or a tokenizer.json"
        )
    return _read(path)


def digest(tokenizer: SequenceTokenizer) -> str:
    """What tells tokenizers apart: a SHA-256 of all tokens in the order of their ids.

    Examples
    --------
    >>> digest(find("6mer")) == digest(find("6mer")), digest(find("6mer")) == digest(find("6mer-overlapping"))
    (True, False)
    """
    spelled = tokenizer.tokens(np.arange(tokenizer.vocab_size))
    described = [getattr(tokenizer, "overlapping", False), spelled]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def require_digest(tokenizer: SequenceTokenizer, expected: str | None, path: Path) -> None:
    """Refuse a tokenizer that is not the one that its model was trained with.

    Parameters
    ----------
    expected : the `digest` that the model's configuration tells; None where it tells none.
    path : the tokenizer's file.

    Raises
    ------
    DataError
        naming the file.
    """
    if expected is not None and digest(tokenizer) != expected:
        raise errors.DataError("not the tokenizer that the model was trained with", file=str(path))


def _read(path: Path) -> SequenceTokenizer:
    if path.name in listings.FILES or path.suffix == ".txt":
        return listings.read(path)
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise errors.DataError(f"not a tokenizer: {error}", file=str(path)) from error
    if isinstance(described, dict) and described.get("kind") == "kmer":
        try:
            return KmerTokenizer(k=int(described["k"]), overlapping=bool(described["overlapping"]))
        except (KeyError, TypeError, ValueError) as error:
            raise errors.DataError(f"not a k-mer tokenizer: {error}", file=str(path)) from error
    if listings.is_words(described):
        return listings.from_words(described, path)
    return BpeTokenizer.load(path)


def save(tokenizer: SequenceTokenizer, path: Path, *, shared: bool = False) -> None:
    """Write a tokenizer's file, whole or not at all.

    Parameters
    ----------
    shared : as a `tokenizer.json` that transformers reads too.

    Raises
    ------
    UsageError
        when it is shared, and k-mers overlap, which that format cannot express.
    """
    if isinstance(tokenizer, BpeTokenizer):
        text = tokenizer.to_json()
    elif shared or isinstance(tokenizer, ListedTokenizer):
        text = listings.to_words(tokenizer)
    else:
        text = json.dumps({"kind": tokenizer.kind, **tokenizer.settings()})
    with atomic.atomic_file(path) as file:
        file.write(text.encode() + b"\n")
