"""The tokenizer of a run: one that is there, or byte pairs learned from its corpus.

This file knows where tokens come from; it does not know how they are used.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seqkit import errors
from seqkit.genomics.language.corpus import Corpus
from seqkit.models import nucleotides
from seqkit.models.nucleotides import SequenceTokenizer
from seqkit.tokenizers.bpe import BpeTokenizer

__all__ = ["find"]

_LEARNED = "bpe:"
#: Letters that byte pairs are learned from, at most, and letters of a piece of them.
_LETTERS = 8_000_000
_PIECE = 4096


def find(name: str, corpus: Corpus, folder: Path, *, seed: int) -> SequenceTokenizer:
    """The tokenizer of a name or path; "bpe:4096" learns so many tokens and keeps them in the folder.

    Raises
    ------
    UsageError
        when there is no such tokenizer.
    """
    if not name.startswith(_LEARNED):
        return nucleotides.find(name)
    count = name.removeprefix(_LEARNED)
    if not count.isdecimal():
        raise errors.UsageError(f"{name!r} names no number of tokens", hint="--tokenizer bpe:4096")
    path = folder / f"bpe-{count}-{corpus.digest[:12]}.json"
    if path.exists():
        return nucleotides.find(str(path))
    learned = BpeTokenizer.train(_sample(corpus, seed), vocab_size=int(count), both_strands=True)
    nucleotides.save(learned, path)
    return learned


def _sample(corpus: Corpus, seed: int) -> Iterator[np.ndarray]:
    """Pieces drawn from what is trained on, or all of it where that is little."""
    part = corpus.train
    if part.size <= _LETTERS:
        for start, end in zip(part.starts_S.tolist(), part.ends_S.tolist(), strict=True):
            yield np.asarray(part.letters_L[start:end])
        return
    rng = np.random.default_rng([seed, 2])
    drawn = 0
    while drawn < _LETTERS:
        piece_L = part.draw(rng, _PIECE)
        drawn += piece_L.size
        yield piece_L
