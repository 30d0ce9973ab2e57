"""What tokenizers make of a sequence file: bases per token, how much of the vocabulary is used, how fast.

All tokenizers see the same sequences, in turns, so that their times compare. This
file knows how to count; it does not know how sequences are tokenized.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence

import numpy as np

from seqkit import errors
from seqkit.io import sequences
from seqkit.models.nucleotides import SequenceTokenizer
from seqkit.tokenizers.bpe import BpeTokenizer
from seqkit.tokenizers.letters import codes_of

__all__ = ["TokenStatistics", "measure"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenStatistics:
    """Counts of one tokenizer.

    Attributes
    ----------
    name : of the tokenizer.
    vocab_size, used : tokens there are, and tokens that occurred.
    records, letters, tokens : what was tokenized, and into how many.
    ambiguous : letters other than A, C, G and T.
    unknown : tokens that stand for a letter the tokenizer does not have.
    longest : letters of the longest token that occurred.
    entropy : of the tokens' frequencies, in bits per letter: an upper bound of what a model has to say.
    seconds : time of tokenization alone.
    """

    name: str
    vocab_size: int
    used: int
    records: int
    letters: int
    tokens: int
    ambiguous: int
    unknown: int
    longest: int
    entropy: float
    seconds: float

    @property
    def letters_per_token(self) -> float:
        """Compression."""
        return self.letters / max(self.tokens, 1)

    @property
    def letters_per_second(self) -> float:
        """Speed."""
        return self.letters / self.seconds if self.seconds else 0.0


class _Counter:
    """Counts of one tokenizer, as they grow."""

    def __init__(self, name: str, tokenizer: SequenceTokenizer) -> None:
        self.name, self.tokenizer = name, tokenizer
        self.counts = np.zeros(tokenizer.vocab_size, dtype=np.int64)
        self.records = self.letters = self.ambiguous = 0
        self.seconds = 0.0

    def add(self, letters_L: np.ndarray) -> None:
        """Count a sequence."""
        started = time.perf_counter()
        if isinstance(self.tokenizer, BpeTokenizer):
            ids_T = self.tokenizer.encode(letters_L, allow_unknown=self._lacks(letters_L))
        else:
            ids_T = self.tokenizer.encode(letters_L)
        self.seconds += time.perf_counter() - started
        self.counts += np.bincount(ids_T, minlength=self.counts.size)
        self.records += 1
        self.letters += letters_L.size
        self.ambiguous += int((codes_of(letters_L) > 3).sum())

    def _lacks(self, letters_L: np.ndarray) -> bool:
        assert isinstance(self.tokenizer, BpeTokenizer)
        return bool(set(np.unique(letters_L).tobytes().decode()) - set(self.tokenizer.alphabet))

    def result(self) -> TokenStatistics:
        """The counts so far."""
        used = np.flatnonzero(self.counts)
        shares = self.counts[used] / max(int(self.counts.sum()), 1)
        bits = float(-(shares * np.log2(shares)).sum()) * int(self.counts.sum())
        unknown = getattr(self.tokenizer, "unknown", None)
        return TokenStatistics(
            name=self.name,
            vocab_size=self.tokenizer.vocab_size,
            used=int(used.size),
            records=self.records,
            letters=self.letters,
            tokens=int(self.counts.sum()),
            ambiguous=self.ambiguous,
            unknown=0 if unknown is None else int(self.counts[unknown]),
            longest=int(self.tokenizer.spans(used).max(initial=0)),
            entropy=bits / max(self.letters, 1),
            seconds=self.seconds,
        )


def measure(
    paths: Sequence[str], tokenizers: Mapping[str, SequenceTokenizer], *, most_letters: int = 0
) -> list[TokenStatistics]:
    """Count what every tokenizer makes of the files.

    Parameters
    ----------
    most_letters : stop after so many; 0 reads everything.

    Raises
    ------
    DataError
        when a file is damaged, or a tokenizer without an unknown token lacks a letter; names file and record.
    """
    counters = [_Counter(name, tokenizer) for name, tokenizer in tokenizers.items()]
    left = most_letters or None
    for path in paths:
        for record, letters_L in sequences.read_records(path):
            part_L = letters_L[:left]
            for counter in counters:
                try:
                    counter.add(part_L)
                except errors.DataError as error:
                    raise errors.DataError(
                        f"{counter.name}: {error.message}", file=path, record=record, hint=error.hint
                    ) from error
            left = None if left is None else left - part_L.size
            if left == 0:
                return [counter.result() for counter in counters]
    return [counter.result() for counter in counters]
