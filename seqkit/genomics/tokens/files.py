"""Sequence files to token files and back, a record at a time.

A token file has a line for every sequence: its name, a tab, its token ids with
spaces between; or the same as JSON objects. It names its tokenizer by the beginning of
its digest, in a first line that begins with `#` or in every object, so that ids are not
read as the tokens of another. This file does not know how sequences are tokenized.
"""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from seqkit import errors
from seqkit.io import compression, sequences
from seqkit.models import nucleotides
from seqkit.models.nucleotides import SequenceTokenizer
from seqkit.tokenizers.bpe import BpeTokenizer
from seqkit.tokenizers.kmer import KmerTokenizer

__all__ = ["FORMATS", "decode_file", "encode_file", "reverse_complement"]

FORMATS = ("tsv", "jsonl")
#: What the first line of a table of tokens begins with; the tokenizer follows.
HEAD = "#tokenizer\t"
#: Letters of a line of FASTA.
LINE = 80

_COMPLEMENT = bytes.maketrans(b"ACGTRYSWKMBDHVN", b"TGCAYRSWMKVHDBN")


def reverse_complement(letters_L: np.ndarray) -> np.ndarray:
    """The other strand, ambiguous letters included.

    Examples
    --------
    >>> reverse_complement(np.frombuffer(b"AACGR", dtype=np.uint8)).tobytes()
    b'YCGTT'
    """
    return np.frombuffer(letters_L.tobytes().translate(_COMPLEMENT)[::-1], dtype=np.uint8)


def encode_file(
    path: str,
    tokenizer: SequenceTokenizer,
    out: BinaryIO,
    *,
    form: str = "tsv",
    other_strand: bool = False,
    allow_unknown: bool = False,
) -> tuple[int, int, int]:
    """Tokenize every record of a sequence file.

    Parameters
    ----------
    allow_unknown : letters that the tokenizer has not become its unknown token.

    Returns
    -------
    Records, letters, tokens.

    Raises
    ------
    UsageError
        when unknown letters are allowed, and the tokenizer has no token for them.
    DataError
        when the file is damaged or a letter is not in the tokenizer's alphabet; names file and record.
    """
    encode, hint = _encoder(tokenizer, allow_unknown)
    mark = _mark(tokenizer)
    if form == "tsv":
        out.write(f"{HEAD}{mark}\n".encode())
    count = num_letters = num_tokens = 0
    for name, letters_L in sequences.read_records(path):
        try:
            ids_T = encode(reverse_complement(letters_L) if other_strand else letters_L)
        except errors.DataError as error:
            raise errors.DataError(error.message, file=path, record=name, hint=error.hint or hint) from error
        out.write(_line(name, ids_T, form, mark))
        count, num_letters, num_tokens = count + 1, num_letters + letters_L.size, num_tokens + ids_T.size
    return count, num_letters, num_tokens


def decode_file(path: str, tokenizer: SequenceTokenizer, out: BinaryIO) -> int:
    """Turn a token file into FASTA; returns the number of records.

    Raises
    ------
    DataError
        when a line is no record, or an id not in the vocabulary; names file and record. When the file names
        another tokenizer.
    """
    count, mark = 0, _mark(tokenizer)
    for name, ids_T, marked in _read_tokens(path):
        if marked not in (None, mark):
            raise errors.DataError("made with another tokenizer", file=path, record=name, hint="--tokenizer")
        try:
            text = tokenizer.decode(ids_T).tobytes()
        except errors.DataError as error:
            raise errors.DataError(error.message, file=path, record=name) from error
        lines = [text[start : start + LINE] for start in range(0, len(text), LINE)] or [b""]
        out.write(b"\n".join([b">" + name.encode(), *lines, b""]))
        count += 1
    if not count:
        raise errors.DataError("there is no record in it", file=path)
    return count


def _encoder(
    tokenizer: SequenceTokenizer, allow_unknown: bool
) -> tuple[Callable[[np.ndarray], np.ndarray], str | None]:
    """How letters become tokens, and what helps when one has none."""
    if isinstance(tokenizer, KmerTokenizer):
        # It has a token for every letter.
        return tokenizer.encode, None
    if isinstance(tokenizer, BpeTokenizer) and tokenizer.unknown is not None:
        return functools.partial(tokenizer.encode, allow_unknown=allow_unknown), "--allow-unknown"
    if allow_unknown:
        raise errors.UsageError(
            "--allow-unknown is for byte pairs with an unknown token, which this tokenizer is not"
        )
    return tokenizer.encode, "cut the sequence there"


def _mark(tokenizer: SequenceTokenizer) -> str:
    """What a token file calls its tokenizer."""
    return nucleotides.digest(tokenizer)[:16]


def _line(name: str, ids_T: np.ndarray, form: str, mark: str) -> bytes:
    if form == "jsonl":
        return json.dumps({"name": name, "ids": ids_T.tolist(), "tokenizer": mark}).encode() + b"\n"
    return f"{name}\t{' '.join(map(str, ids_T.tolist()))}\n".encode()


def _read_tokens(path: str) -> Iterator[tuple[str, np.ndarray, str | None]]:
    """Name and ids of every line, in either format, and what the file calls its tokenizer."""
    mark: str | None = None
    with compression.open_input(Path(path) if path != "-" else path) as stream:
        for number, line in enumerate(stream, start=1):
            record = f"line {number}"
            try:
                text = line.decode().rstrip("\r\n")
                if number == 1 and text.startswith(HEAD):
                    mark = text.removeprefix(HEAD)
                    continue
                if text.startswith("{"):
                    described = json.loads(text)
                    name, ids, mark = described["name"], described["ids"], described.get("tokenizer")
                else:
                    name, tab, rest = text.partition("\t")
                    if not tab:
                        raise ValueError("no tab")
                    ids = [int(part) for part in rest.split()]
                ids_T = np.array(ids, dtype=np.int64)
                if not isinstance(name, str) or ids_T.ndim != 1:
                    raise ValueError("no name and list of ids")
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise errors.DataError(f"not a line of tokens: {error}", file=path, record=record) from error
            yield name, ids_T, mark
