"""CTC: greedy paths, scores of prefixes, and when each character is said.

Graves et al. (ICML 2006); prefix scores for joint decoding after Watanabe et al. (IEEE
JSTSP 2017). Knows tables of log-probabilities; not models or texts.

Shape suffixes: T frames, V ids, L characters, C candidates.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqkit import errors

__all__ = ["PrefixScorer", "PrefixState", "align", "greedy"]

Table = npt.NDArray[np.float64]


def greedy(log_TV: npt.NDArray[np.floating], blank: int = 0) -> list[int]:
    """The best path's ids: repetitions merged, blanks left out.

    Examples
    --------
    >>> greedy(np.log(np.eye(3)[[1, 1, 0, 1, 2]] + 1e-9))
    [1, 1, 2]
    """
    best_T = np.asarray(log_TV).argmax(axis=1)
    changed_T = np.diff(best_T, prepend=-1) != 0
    return [int(number) for number in best_T[changed_T & (best_T != blank)]]


@dataclasses.dataclass(frozen=True)
class PrefixState:
    """What is known of a prefix.

    Attributes
    ----------
    ends_T2 : log-probability that the prefix has been said by each frame, by paths that end in its last
        id, and by those that end in a blank.
    score : log-probability of all texts that begin with the prefix.
    last : its last id; -1 for none.
    """

    ends_T2: Table
    score: float
    last: int


class PrefixScorer:
    """Log-probabilities of prefixes under CTC.

    Examples
    --------
    >>> scorer = PrefixScorer(np.log(np.full((4, 3), 1 / 3)), blank=0)
    >>> start = scorer.start()
    >>> states = scorer.extend(start, [1, 2])
    >>> total = np.logaddexp(np.logaddexp(states[0].score, states[1].score), scorer.whole(start))
    >>> round(float(total), 9) + 0.0  # a text is empty, or begins with one of them
    0.0
    """

    def __init__(self, log_TV: npt.NDArray[np.floating], blank: int = 0) -> None:
        self.log_TV = np.asarray(log_TV, dtype=np.float64)
        self.blank = blank

    def start(self) -> PrefixState:
        """The empty prefix."""
        ends_T2 = np.full((len(self.log_TV), 2), -np.inf)
        ends_T2[:, 1] = np.cumsum(self.log_TV[:, self.blank])
        return PrefixState(ends_T2, 0.0, -1)

    def whole(self, state: PrefixState) -> float:
        """Log-probability that a prefix is the whole text."""
        return float(np.logaddexp(*state.ends_T2[-1])) if len(self.log_TV) else 0.0

    def extend(self, state: PrefixState, ids: Sequence[int]) -> list[PrefixState]:
        """The prefix with each of some ids after it."""
        log_TC = self.log_TV[:, list(ids)]
        same_C = np.asarray(ids) == state.last
        both_T = np.logaddexp(state.ends_T2[:, 0], state.ends_T2[:, 1])
        # What may precede the first frame of the new id: after a repeated id only a blank.
        before_TC = np.where(same_C, state.ends_T2[:, 1:], both_T[:, None])
        first = 0.0 if state.last < 0 else -np.inf
        before_TC = np.vstack([np.full((1, len(ids)), first), before_TC[:-1]])
        begins_TC = before_TC + log_TC
        ends_TC2 = np.full((*log_TC.shape, 2), -np.inf)
        said_C = np.full(len(ids), -np.inf)
        silent_C = np.full(len(ids), -np.inf)
        for frame in range(len(self.log_TV)):
            silent_C = np.logaddexp(said_C, silent_C) + self.log_TV[frame, self.blank]
            said_C = np.logaddexp(said_C + log_TC[frame], begins_TC[frame])
            ends_TC2[frame] = np.stack([said_C, silent_C], axis=1)
        scores_C = np.logaddexp.reduce(begins_TC, axis=0)
        return [
            PrefixState(ends_TC2[:, column], float(scores_C[column]), int(number))
            for column, number in enumerate(ids)
        ]


def align(log_TV: npt.NDArray[np.floating], ids: Sequence[int], blank: int = 0) -> list[tuple[int, int]]:
    """First frame and the one after the last of every id, on the best path that spells them.

    Raises
    ------
    UsageError
        if there are too few frames for the ids.

    Examples
    --------
    >>> align(np.log(np.eye(3)[[0, 1, 1, 0, 2]] + 1e-9), [1, 2])
    [(1, 3), (4, 5)]
    """
    states = [blank]
    for number in ids:
        states += [number, blank]
    needed = len(ids) + sum(a == b for a, b in zip(ids, ids[1:], strict=False))
    if needed > len(log_TV):
        raise errors.UsageError(f"{len(ids)} characters do not fit into {len(log_TV)} frames")
    if not ids:
        return []
    path = _best_path(np.asarray(log_TV, dtype=np.float64), np.asarray(states), blank)
    spans = []
    for index in range(len(ids)):
        frames = np.flatnonzero(path == 2 * index + 1)
        spans.append((int(frames[0]), int(frames[-1]) + 1))
    return spans


def _best_path(log_TV: Table, states: npt.NDArray[np.int64], blank: int) -> npt.NDArray[np.int64]:
    """Which of the states (blank, id, blank, id, ...) each frame is in."""
    emitted_TS = log_TV[:, states]
    may_skip = (states != blank) & (states != np.roll(states, 2))
    may_skip[:2] = False
    score = np.full(len(states), -np.inf)
    score[:2] = emitted_TS[0, :2]
    came = np.zeros(emitted_TS.shape, dtype=np.int64)
    for frame in range(1, len(log_TV)):
        one = np.concatenate([[-np.inf], score[:-1]])
        two = np.where(may_skip, np.concatenate([[-np.inf, -np.inf], score[:-2]]), -np.inf)
        options = np.stack([score, one, two])
        came[frame] = options.argmax(axis=0)
        score = options.max(axis=0) + emitted_TS[frame]
    path = np.empty(len(log_TV), dtype=np.int64)
    path[-1] = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    for frame in range(len(log_TV) - 1, 0, -1):
        path[frame - 1] = path[frame] - came[frame, path[frame]]
    return path
