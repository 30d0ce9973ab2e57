"""Log-probabilities of tokens, each scored once however long the sequence is.

A model that reads from left to right gives the log-probability of each token after
those before it. A model that reads both ways has no likelihood; it gives that of each
token when that one is masked (pseudo-log-likelihood: Salazar et al., "Masked Language
Model Scoring", ACL 2020). k-mers that overlap would give each other away, so all that
share a base with the scored one are masked as well. Where a share to hide is given,
tokens at even distances are masked in one pass, as many at a time as make up that share:
fewer passes, and each token is told from a context with holes in it, as in training.
This file knows networks and windows; it does not know bases or strands.

Shape suffixes: T tokens of a record, B rows, n tokens of a row, K of them that are scored, V tokens of the
vocabulary.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from seqkit import errors
from seqkit.genomics.tokens import windows
from seqkit.genomics.tokens.records import Record
from seqkit.genomics.tokens.windows import Window
from seqkit.models.genomic import GenomicModel

__all__ = ["Options", "log_probs"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How sequences are read.

    Attributes
    ----------
    overlap : share of a window that the next one reads as well: what a token at its beginning has before it.
    batch_tokens : tokens of a batch, padding included.
    hidden : share of the scored tokens that a model which reads both ways has masked in one pass, at most a
        half; 0 masks each in a pass of its own. A model that reads from left to right needs neither.

    Raises
    ------
    UsageError
        when a value is out of range.
    """

    overlap: float = 0.5
    batch_tokens: int = 4096
    hidden: float = 0.0

    def __post_init__(self) -> None:
        """Check what can be checked without a model."""
        if self.batch_tokens < 1:
            raise errors.UsageError("a batch has at least one token", hint="--batch-tokens")
        windows.overlap_of(self.overlap, 2)
        if not 0 <= self.hidden <= 0.5:
            raise errors.UsageError(f"--hide {self.hidden} is not between 0 and 0.5")


def log_probs(
    model: GenomicModel, records: Iterable[Record], options: Options
) -> Iterator[tuple[Record, np.ndarray]]:
    """The log-probability (nats, float64) of every token (T,) of each record, in order.

    A first token before which there is nothing, as a model without a start token has it, is not a number.

    Raises
    ------
    UsageError
        when the model reads both ways and has no mask token.
    """
    if model.is_causal:
        found = windows.mapped(
            _windows(model, records, options),
            lambda item: 0 if item[1] is None else item[1].end - item[1].first + len(model.before),
            lambda items: _causal(model, items),
            options.batch_tokens,
        )
    else:
        if "mask" not in model.tokenizer.specials:
            raise errors.UsageError("the model has no mask token, so it cannot score", hint="--model")
        found = (
            (item, None if item[1] is None else _masked(model, *item, options))
            for item in _windows(model, records, options)
        )
    yield from _joined(found)


def _windows(
    model: GenomicModel, records: Iterable[Record], options: Options
) -> Iterator[tuple[Record, Window | None]]:
    room = model.context - len(model.before) if model.is_causal else model.room
    overlap = windows.overlap_of(options.overlap, room)
    for record in records:
        if not record.ids_T.size:
            yield record, None
        for window in windows.cut(record.ids_T.size, room, overlap, both_sides=not model.is_causal):
            yield record, window


def _joined(
    found: Iterable[tuple[tuple[Record, Window | None], np.ndarray | None]],
) -> Iterator[tuple[Record, np.ndarray]]:
    """The windows of a record in one array."""
    parts: list[np.ndarray] = []
    for (record, window), scores in found:
        parts.append(np.empty(0) if scores is None else scores)
        if window is None or window.counts_to == record.ids_T.size:
            yield record, np.concatenate(parts)
            parts = []


@torch.inference_mode()
def _causal(model: GenomicModel, items: list[tuple[Record, Window | None]]) -> list[np.ndarray]:
    """Log-probabilities of the tokens that count in each window, by one pass."""
    chosen = [(record, window) for record, window in items if window is not None]
    before = len(model.before)
    rows = [np.concatenate([model.before, record.ids_T[w.first : w.end]]) for record, w in chosen]
    ids_Bn, real_Bn = windows.pad(rows, model.pad)
    logits_BnV = _logits(model, ids_Bn, real_Bn)
    following_Bn = torch.from_numpy(ids_Bn[:, 1:]).to(logits_BnV.device)
    scores_Bn = _log_prob(logits_BnV[:, :-1], following_Bn).cpu().numpy()
    first_B1 = np.full((len(rows), 1), np.nan)
    # Column i is now the score of the token at place i of the row.
    scores_Bn = np.concatenate([first_B1, scores_Bn], axis=1)
    return [
        scores_Bn[row, before + w.counts_from - w.first : before + w.counts_to - w.first]
        for row, (_, w) in enumerate(chosen)
    ]


@torch.inference_mode()
def _masked(model: GenomicModel, record: Record, window: Window | None, options: Options) -> np.ndarray:
    """Log-probabilities of the tokens that count in a window, each masked in one of the rows."""
    assert window is not None
    ids_n = np.concatenate([model.before, record.ids_T[window.first : window.end], model.after]).astype(
        np.int64
    )
    offset = len(model.before) - window.first
    places = np.arange(window.counts_from + offset, window.counts_to + offset)
    is_overlapping = getattr(model.tokenizer, "overlapping", False)
    reach = int(getattr(model.tokenizer, "k", 1)) - 1 if is_overlapping else 0
    at_once = max(1, int(options.hidden * places.size / (2 * reach + 1)))
    passes = -(-places.size // at_once)
    rows = max(1, options.batch_tokens // ids_n.size)
    scores = np.empty(places.size)
    for first in range(0, passes, rows):
        some = [np.arange(row, places.size, passes) for row in range(first, min(first + rows, passes))]
        scores[np.concatenate(some)] = _told(model, ids_n, [places[row] for row in some], reach)
    return scores


def _told(model: GenomicModel, ids_n: np.ndarray, places: list[np.ndarray], reach: int) -> np.ndarray:
    """Log-probabilities of tokens at some places, those of one array masked together, with all in reach."""
    inner = slice(len(model.before), len(ids_n) - len(model.after))
    ids_Bn = np.tile(ids_n, (len(places), 1))
    for row, some in enumerate(places):
        near = np.zeros(ids_n.size, dtype=np.bool_)
        for away in range(-reach, reach + 1):
            near[np.clip(some + away, 0, ids_n.size - 1)] = True
        ids_Bn[row, inner][near[inner]] = model.tokenizer.specials["mask"]
    keep = np.concatenate(places)
    logits_BKV = _logits(model, ids_Bn, np.ones(ids_Bn.shape, dtype=np.bool_), torch.from_numpy(keep))
    row_K = torch.from_numpy(np.repeat(np.arange(len(places)), [some.size for some in places]))
    own_KV = logits_BKV[row_K.to(logits_BKV.device), torch.arange(keep.size, device=logits_BKV.device)]
    return np.asarray(_log_prob(own_KV, torch.from_numpy(ids_n[keep]).to(own_KV.device)).cpu().numpy())


def _logits(
    model: GenomicModel, ids_Bn: np.ndarray, real_Bn: np.ndarray, keep: torch.Tensor | None = None
) -> torch.Tensor:
    """Logits at all places, or at those of `keep`."""
    place = model.network.device
    logits: torch.Tensor = model.network(
        input_ids=torch.from_numpy(ids_Bn.astype(np.int64)).to(place),
        attention_mask=torch.from_numpy(real_Bn).to(place),
        use_cache=False,
        logits_to_keep=0 if keep is None else keep.to(place),
    ).logits
    return logits


def _log_prob(logits_V: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Log-probability (float64) of one token under each row of logits (..., V)."""
    logits_V = logits_V.float()
    return (logits_V.gather(-1, ids[..., None])[..., 0] - logits_V.logsumexp(dim=-1)).double()
