"""Listings of k-mers in files: `vocab.txt`, `vocab.json`, and the `tokenizer.json` that transformers reads.

Knows formats; what the tokens are is known to `ListedTokenizer`.
"""

import json
import re
from pathlib import Path
from typing import Any

from seqkit import errors
from seqkit.tokenizers.kmer import KmerTokenizer
from seqkit.tokenizers.letters import LETTERS
from seqkit.tokenizers.listing import ListedTokenizer

__all__ = ["FILES", "from_words", "is_words", "read", "to_words"]

#: Names of plain listings: ids by token, or a token a line.
FILES = ("vocab.json", "vocab.txt")
_LARGEST = 1 << 28
_PATTERN = re.compile(r"\[ACGT\]\{(\d{1,2})\}\|\.")


def read(path: Path) -> ListedTokenizer | KmerTokenizer:
    """The tokenizer of a plain listing.

    Raises
    ------
    DataError
        when it cannot be read, or does not list all k-mers.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise errors.DataError("is too large for a vocabulary", file=str(path))
        text = path.read_text(encoding="utf-8")
        texts = _in_order(json.loads(text)) if path.suffix == ".json" else text.split("\n")
    except (OSError, ValueError) as error:
        raise errors.DataError(f"not a vocabulary: {error}", file=str(path)) from error
    if texts and not texts[-1]:
        texts.pop()
    return _made([text.removesuffix("\r") for text in texts], path)


def is_words(described: Any) -> bool:
    """Whether the content of a `tokenizer.json` is one that `to_words` writes: k-mers side by side."""
    try:
        pattern = described["pre_tokenizer"]["pattern"]["Regex"]
        return described["model"]["type"] == "WordLevel" and bool(_PATTERN.fullmatch(pattern))
    except (KeyError, TypeError):
        return False


def from_words(described: dict[str, Any], path: Path) -> ListedTokenizer | KmerTokenizer:
    """The tokenizer of a `tokenizer.json` that lists k-mers.

    Raises
    ------
    DataError
        when its numbers have gaps, or it does not list all k-mers.
    """
    try:
        texts = _in_order(described["model"]["vocab"])
    except (KeyError, ValueError) as error:
        raise errors.DataError(f"not a vocabulary: {error}", file=str(path)) from error
    return _made(texts, path)


def to_words(tokenizer: ListedTokenizer | KmerTokenizer) -> str:
    """A `tokenizer.json` that transformers reads, of k-mers side by side.

    Raises
    ------
    UsageError
        when the k-mers overlap, which the format cannot express.
    """
    if isinstance(tokenizer, KmerTokenizer) and tokenizer.overlapping:
        raise errors.UsageError("k-mers that overlap cannot be expressed in a tokenizer.json", hint="--to")
    texts = ListedTokenizer.listing(tokenizer) if isinstance(tokenizer, KmerTokenizer) else tokenizer.texts
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    described = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": text, **flags, "special": True}
            for number, text in enumerate(texts)
            if not set(text) <= set(LETTERS)
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": f"[ACGT]{{{tokenizer.k}}}|."},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": {text: number for number, text in enumerate(texts)},
            "unk_token": texts[tokenizer.specials["unk"]] if "unk" in tokenizer.specials else "<unk>",
        },
    }
    return json.dumps(described)


def _in_order(numbers: Any) -> list[str]:
    """Tokens by their ids, which are those from 0 on."""
    if not isinstance(numbers, dict) or not all(type(number) is int for number in numbers.values()):
        raise ValueError("no numbers of tokens")
    texts = sorted(numbers, key=numbers.__getitem__)
    for place, text in enumerate(texts):
        if numbers[text] != place:
            raise ValueError(f"token {text!r} has number {numbers[text]}, and should have {place}")
    return texts


def _made(texts: list[str], path: Path) -> ListedTokenizer | KmerTokenizer:
    try:
        return ListedTokenizer.of(texts)
    except errors.DataError as error:
        raise errors.DataError(error.message, file=str(path)) from error
