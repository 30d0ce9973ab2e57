"""Byte-pair tokens of nucleotides: trained on sequence files of any size, or read from a `tokenizer.json`.

What is trained here has all IUPAC letters in its alphabet, so every sequence comes
back as it was. Published tokenizers (DNABERT-2, METAGENE-1) are read as they are;
a letter they do not have is an error, or their unknown token where that is asked for.
A sequence is cut every `PIECE` letters before it is tokenized, which bounds time
and memory. This file knows Hugging Face's tokenizers; it does not know sequence files.

Shape suffixes: L letters, T tokens.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import models, trainers

from seqkit import errors
from seqkit.tokenizers.letters import LETTERS, SPECIALS, require_letters, special_ids

__all__ = ["BpeTokenizer"]

#: Letters that are tokenized at a time.
PIECE = 1 << 14
#: Seconds between looks for an interrupt.
_PATIENCE = 0.1
#: Letters of a word that is trained on: pairs are counted within words.
WORD = 512


class BpeTokenizer:
    """A byte-pair tokenizer.

    Parameters
    ----------
    tokenizer : Hugging Face's.

    Attributes
    ----------
    specials : ids of its special tokens by role (`letters.ROLES`).
    alphabet : letters it has.
    unknown : the token of a letter it has not, or None.

    Raises
    ------
    DataError
        when its vocabulary has no letter A, C, G or T.

    Examples
    --------
    >>> letters = np.frombuffer(b"ACGTTGCA" * 50, dtype=np.uint8)
    >>> tokenizer = BpeTokenizer.train([letters], vocab_size=30)
    >>> ids = tokenizer.encode(letters)
    >>> len(ids) < len(letters) and tokenizer.decode(ids).tobytes() == letters.tobytes()
    True
    """

    kind = "bpe"

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        self._texts = {number: text for text, number in vocabulary.items()}
        self.alphabet = "".join(letter for letter in LETTERS if letter in vocabulary)
        if not set("ACGT") <= set(self.alphabet):
            raise errors.DataError("not a tokenizer of nucleotides: its vocabulary has no A, C, G or T")
        width = max(self._texts, default=0) + 1
        self._spans = np.zeros(width, dtype=np.int32)
        for number, text in self._texts.items():
            self._spans[number] = len(text) if set(text) <= set(LETTERS) else 0
        self.specials = special_ids(vocabulary)
        self.unknown = self.specials.get("unk")
        if self.unknown is not None:
            self._spans[self.unknown] = 1

    @classmethod
    def train(
        cls, sequences: Iterable[np.ndarray], *, vocab_size: int, both_strands: bool = False
    ) -> "BpeTokenizer":
        """Learn merges from letters; only counts of words are kept, so the input may be of any size.

        Parameters
        ----------
        sequences : upper-case letters (uint8), one array after the other.
        vocab_size : tokens, the special ones and the letters included.
        both_strands : count every sequence and its reverse complement, so that the two strands are told
            alike.

        Raises
        ------
        UsageError
            when the vocabulary has no room for the letters.
        """
        least = len(SPECIALS) + len(LETTERS)
        if vocab_size < least:
            raise errors.UsageError(f"a vocabulary of {vocab_size} tokens is too small; {least} is the least")
        tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIALS),
            initial_alphabet=list(LETTERS),
            show_progress=False,
        )
        words = _words(sequences, both_strands)
        _heeding_interrupts(lambda stopped: tokenizer.train_from_iterator(_until(stopped, words), trainer))
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "BpeTokenizer":
        """Read a `tokenizer.json`.

        Raises
        ------
        DataError
            when the file is missing, damaged, or no byte-pair tokenizer of nucleotides.
        """
        try:
            text = path.read_text(encoding="utf-8")
            kind = json.loads(text)["model"]["type"]
            tokenizer = tokenizers.Tokenizer.from_str(text)
        except FileNotFoundError as error:
            raise errors.DataError("there is no such file", file=str(path)) from error
        except Exception as error:  # the library raises nothing narrower
            raise errors.DataError(f"not a tokenizer.json: {error}", file=str(path)) from error
        if kind != "BPE":
            raise errors.DataError(f"a tokenizer of type {kind}, not BPE", file=str(path))
        return cls(tokenizer)

    def to_json(self) -> str:
        """The tokenizer as the text of a `tokenizer.json`."""
        return str(self._tokenizer.to_str(pretty=True))

    @property
    def vocab_size(self) -> int:
        """The number of tokens, special ones included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, letters_L: np.ndarray, *, allow_unknown: bool = False) -> np.ndarray:
        """Token ids (int32) of upper-case letters (uint8).

        Raises
        ------
        DataError
            when a letter is not in the alphabet, unless unknown tokens are allowed.
        """
        if not allow_unknown or self.unknown is None:
            require_letters(letters_L, self.alphabet)
        pieces = [
            letters_L[start : start + PIECE].tobytes().decode("ascii")
            for start in range(0, letters_L.size, PIECE)
        ]
        if allow_unknown and self.unknown is not None:
            ids = [number for piece in pieces for number in self._with_unknown(piece)]
        else:
            encoded = self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False)
            ids = [number for piece in encoded for number in piece.ids]
        return np.array(ids, dtype=np.int32)

    def decode(self, ids_T: np.ndarray) -> np.ndarray:
        """The letters (uint8) of tokens; special tokens have none, the unknown one is N.

        Raises
        ------
        DataError
            when an id is not in the vocabulary.
        """
        ids = np.asarray(ids_T).tolist()
        try:
            texts = [self._texts[number] for number in ids]
        except KeyError as error:
            raise errors.DataError(f"token id {error.args[0]} is not in the vocabulary") from error
        spelled = (
            "N" if number == self.unknown else text
            for number, text in zip(ids, texts, strict=True)
            if self._spans[number]
        )
        return np.frombuffer("".join(spelled).encode(), dtype=np.uint8)

    def spans(self, ids_T: np.ndarray) -> np.ndarray:
        """How many letters each token stands for (int32), special tokens 0."""
        return self._spans[np.asarray(ids_T)]

    def tokens(self, ids_T: np.ndarray) -> list[str]:
        """Tokens as text."""
        return [self._texts[number] for number in np.asarray(ids_T).tolist()]

    def settings(self) -> dict[str, Any]:
        """Nothing: all is in the `tokenizer.json`."""
        return {}

    def _with_unknown(self, piece: str) -> Iterator[int]:
        """Ids of a text; every letter that is not in the alphabet is one unknown token."""
        known = ""
        for letter in (*piece, ""):
            if letter and letter in self.alphabet:
                known += letter
                continue
            if known:
                yield from self._tokenizer.encode(known, add_special_tokens=False).ids
            known = ""
            if letter:
                assert self.unknown is not None
                yield self.unknown


def _heeding_interrupts(work: Callable[[threading.Event], None]) -> None:
    """Do long work in a thread of its own; the event tells it to stop.

    A signal is heard by the main thread only between two steps of the interpreter: what calls a library for
    minutes would hear of Ctrl-C minutes later.
    """
    stopped = threading.Event()
    failures: list[Exception] = []

    def run() -> None:
        try:
            work(stopped)
        except Exception as error:  # noqa: BLE001 - goes to whoever waits for the work
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(timeout=_PATIENCE)
    except BaseException:
        stopped.set()
        # Reading ends at once; counting and merging does not need the interpreter, and ends with the process.
        thread.join(timeout=_PATIENCE)
        raise
    if failures:
        raise failures[0]


def _until(stopped: threading.Event, words: Iterable[str]) -> Iterator[str]:
    """Words until it is over."""
    for word in words:
        if stopped.is_set():
            return
        yield word


def _words(sequences: Iterable[np.ndarray], both_strands: bool) -> Iterator[str]:
    """Text to train on, in words of `WORD` letters."""
    for letters_L in sequences:
        text = letters_L.tobytes().decode("ascii")
        for strand in (text, _turned(text)) if both_strands else (text,):
            for start in range(0, len(strand), WORD):
                yield strand[start : start + WORD]


_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")


def _turned(text: str) -> str:
    return text.translate(_COMPLEMENT)[::-1]
