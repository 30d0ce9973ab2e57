"""Likelihoods of sequences: in total, per base and as perplexity; over frames and strands where asked.

A model of k-mers side by side reads a sequence in one of k frames, and what it says
differs from frame to frame. The first frame reads from the first base; in the others
the first 1 to k - 1 bases are tokens of one letter. In each the tokens spell the whole
sequence (what is left over at the end, too, is read as letters, never as unknown), so
each has a true likelihood, and their logarithms are averaged.

k-mers that overlap, read by a model that sees both ways, tell every base k times: each is
scored with all of its bases hidden, so that its log-probability is that of k bases given
all others. It is shared out evenly among its bases, and a base is given the mean of what
the tokens that hold it have for it. Then every base counts once, at the ends as well; in
the middle this is the mean over the k ways to cut the sequence into whole k-mers, each of
which is a pseudo-log-likelihood by blocks (a composite likelihood with weights: Varin, Reid
and Firth, "An overview of composite likelihood methods", Statistica Sinica 2011). A model
that knows nothing has log(4) a base in either way of tokenizing, but for its few tokens
that are no k-mer. Read from left to right, a k-mer that overlaps the one before tells one
new base, and the logarithms simply add up.

An ambiguity code (N, R) is no base that was observed: the model reads it, but a token that
spells one is not scored, nor is a letter by itself that k-mers beside it have told. This
file does not know how tokens are scored.

Shape suffixes: T tokens of a record, L letters.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np

from seqkit.genomics.likelihood import laws
from seqkit.genomics.tokens import records
from seqkit.genomics.tokens.files import reverse_complement
from seqkit.genomics.tokens.records import Record
from seqkit.models.genomic import GenomicModel

__all__ = ["Score", "frames_of", "score", "total"]

_BASES = np.frombuffer(b"ACGT", dtype=np.uint8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """How likely a model finds a sequence.

    Attributes
    ----------
    name, length, tokens : of the sequence; tokens of the first frame.
    ambiguous : letters that are no base, and are not scored.
    log_likelihood : in nats; 0 where there is nothing to score.
    per_base : the same by the bases that were scored; not a number where there are none.
    """

    name: str
    length: int
    tokens: int
    ambiguous: int
    log_likelihood: float
    per_base: float

    @property
    def perplexity(self) -> float:
        """Bases between which the model hesitates: 1 is certainty, 4 is chance."""
        return math.exp(-self.per_base)


def frames_of(model: GenomicModel) -> int:
    """In how many ways the model can read the same bases: k for k-mers side by side, otherwise 1."""
    if getattr(model.tokenizer, "overlapping", True):
        return 1
    return int(getattr(model.tokenizer, "k", 1))


def score(
    model: GenomicModel,
    sequences: Iterable[Record],
    options: laws.Options,
    *,
    all_frames: bool = False,
    both_strands: bool = False,
) -> Iterator[Score]:
    """Score sequences, in order.

    Parameters
    ----------
    all_frames : average over the frames of k-mers, see above.
    both_strands : average over the sequence and its reverse complement.

    Raises
    ------
    UsageError
        as `laws.log_probs`.
    """
    frames = frames_of(model) if all_frames else 1
    readings = frames * (2 if both_strands else 1)
    read = (each for record in sequences for each in _readings(model, record, frames, both_strands))
    scored = laws.log_probs(model, read, options)
    while some := list(itertools.islice(scored, readings)):
        yield _score(model, some)


def _readings(model: GenomicModel, record: Record, frames: int, both_strands: bool) -> Iterator[Record]:
    """The record in every frame, on one strand or both; the first is the record as it is."""
    strands = [record.letters_L, *([reverse_complement(record.letters_L)] if both_strands else [])]
    for number, letters_L in enumerate(strands):
        for frame in range(frames):
            if number or frame:
                yield records.tokenize(model, record.name, letters_L, file=record.file, head=frame)
            else:
                yield record


def total(model: GenomicModel, record: Record, scores_T: np.ndarray) -> float:
    """The log-likelihood (nats) of a record from those of its tokens, in which every base counts once."""
    return _sum(model, *_scored(model, record, scores_T))


def _sum(model: GenomicModel, scores_T: np.ndarray, begins_T: np.ndarray, spans_T: np.ndarray) -> float:
    """Of the tokens that count."""
    if _shares_bases(model):
        scores_T = scores_T * _weights(begins_T, spans_T)
    return float(np.sum(scores_T))


def _shares_bases(model: GenomicModel) -> bool:
    """Whether each of the tokens that hold a base tells it, having seen none of the others."""
    return not model.is_causal and bool(getattr(model.tokenizer, "overlapping", False))


def _scored(
    model: GenomicModel, record: Record, scores_T: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tokens that count: their scores, the letters they begin at, and how many letters they hold."""
    spans_T = model.tokenizer.spans(record.ids_T).astype(np.int64)
    is_overlapping = getattr(model.tokenizer, "overlapping", False)
    begins_T = np.arange(spans_T.size) if is_overlapping else np.cumsum(spans_T) - spans_T
    ambiguous = np.concatenate([[0], np.cumsum(~np.isin(record.letters_L, _BASES))])
    counts_T = ~np.isnan(scores_T) & (ambiguous[begins_T + spans_T] == ambiguous[begins_T])
    if is_overlapping:
        whole_T = spans_T > 1
        counts_T &= whole_T | (_holders(begins_T[whole_T], spans_T[whole_T], spans_T.size)[begins_T] == 0)
    return scores_T[counts_T], begins_T[counts_T], spans_T[counts_T]


def _holders(begins_T: np.ndarray, spans_T: np.ndarray, least: int = 0) -> np.ndarray:
    """How many of some tokens hold each letter, (L,), at least so many letters."""
    ends_T = begins_T + spans_T
    borders = np.zeros(max(int(ends_T.max(initial=0)), least) + 1)
    np.add.at(borders, begins_T, 1)
    np.add.at(borders, ends_T, -1)
    return np.asarray(np.cumsum(borders)[:-1].round())


def _weights(begins_T: np.ndarray, spans_T: np.ndarray) -> np.ndarray:
    """What tokens that begin at some letters, and hold so many, count: 1 for every letter, shared evenly.

    Examples
    --------
    >>> _weights(np.array([0, 1]), np.array([3, 3])).round(3).tolist()
    [0.667, 0.667]
    """
    holders_L = _holders(begins_T, spans_T)
    before = np.concatenate([[0.0], np.cumsum(1 / np.maximum(holders_L, 1))])
    return np.asarray((before[begins_T + spans_T] - before[begins_T]) / spans_T)


def _score(model: GenomicModel, readings: list[tuple[Record, np.ndarray]]) -> Score:
    record = readings[0][0]
    totals, shares = [], []
    for reading, scores_T in readings:
        counted_T, begins_T, spans_T = _scored(model, reading, scores_T)
        totals.append(_sum(model, counted_T, begins_T, spans_T))
        bases = _scored_bases(model, reading, begins_T, spans_T)
        shares.append(totals[-1] / bases if bases else math.nan)
    return Score(
        name=record.name,
        length=record.letters_L.size,
        tokens=record.ids_T.size,
        ambiguous=int((~np.isin(record.letters_L, _BASES)).sum()),
        log_likelihood=float(np.mean(totals)),
        per_base=float(np.mean(shares)),
    )


def _scored_bases(model: GenomicModel, record: Record, begins_T: np.ndarray, spans_T: np.ndarray) -> int:
    """All that a token which counts is the first to hold, or, where tokens share them, that any holds."""
    if _shares_bases(model):
        return int((_holders(begins_T, spans_T) > 0).sum())
    spans = model.tokenizer.spans(record.ids_T).astype(np.int64)
    if not getattr(model.tokenizer, "overlapping", False):
        return int(spans_T.sum())
    told = np.maximum.accumulate(np.concatenate([[0], np.arange(spans.size) + spans]))
    return int(np.diff(told)[begins_T].sum())
