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
new base, and the logarithms simply add up. This file does not know how tokens are scored.

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """How likely a model finds a sequence.

    Attributes
    ----------
    name, length, tokens : of the sequence; tokens of the first frame.
    log_likelihood : in nats; 0 where there is nothing to score.
    per_base : the same by the bases that were scored; not a number where there are none.
    """

    name: str
    length: int
    tokens: int
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
    if not model.is_causal and getattr(model.tokenizer, "overlapping", False):
        scores_T = scores_T * _weights(model.tokenizer.spans(record.ids_T))
    return float(np.nansum(scores_T))


def _weights(spans_T: np.ndarray) -> np.ndarray:
    """What tokens at neighbouring letters, of so many letters each, count: 1 for every letter, shared evenly.

    Examples
    --------
    >>> _weights(np.array([3, 3])).round(3).tolist()
    [0.667, 0.667]
    """
    first_T = np.arange(spans_T.size)
    ends_T = first_T + spans_T
    borders = np.zeros(int(ends_T.max(initial=0)) + 1)
    np.add.at(borders, first_T, 1)
    np.add.at(borders, ends_T, -1)
    holders_L = np.cumsum(borders)[:-1].round()
    before = np.concatenate([[0.0], np.cumsum(1 / holders_L)])
    return np.asarray((before[ends_T] - before[first_T]) / spans_T)


def _score(model: GenomicModel, readings: list[tuple[Record, np.ndarray]]) -> Score:
    record = readings[0][0]
    totals, shares = [], []
    for reading, scores_T in readings:
        totals.append(total(model, reading, scores_T))
        bases = _scored_bases(model, reading, scores_T)
        shares.append(totals[-1] / bases if bases else math.nan)
    return Score(
        name=record.name,
        length=record.letters_L.size,
        tokens=record.ids_T.size,
        log_likelihood=float(np.mean(totals)),
        per_base=float(np.mean(shares)),
    )


def _scored_bases(model: GenomicModel, record: Record, scores_T: np.ndarray) -> int:
    """All, but for those of a token that nothing stands before."""
    missing_T = record.ids_T[np.isnan(scores_T)]
    return record.letters_L.size - int(model.tokenizer.spans(missing_T).sum())
