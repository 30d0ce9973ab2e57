"""CTC against sums over all paths, on grids small enough to write them down."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.vision_speech import ctc

BLANK = 0


def grid(seed: int, frames: int, ids: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(frames, ids)) * 2
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(number for number, _ in itertools.groupby(path) if number != BLANK)


def by_paths(log_TV: np.ndarray) -> dict[tuple[int, ...], float]:
    """The log-probability of every text, by enumeration of all paths."""
    texts: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(log_TV.shape[1]), repeat=len(log_TV)):
        text = collapsed(path)
        texts[text] = np.logaddexp(texts.get(text, -np.inf), sum(log_TV[t, v] for t, v in enumerate(path)))
    return texts


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4))
def test_prefix_scores_are_sums_over_all_paths(seed: int, frames: int, ids: int) -> None:
    log_TV = grid(seed, frames, ids)
    texts = by_paths(log_TV)
    scorer = ctc.PrefixScorer(log_TV, BLANK)
    states = {(): scorer.start()}
    for prefix in [(), (1,), (1, 1), (1, ids - 1), (ids - 1, 1, 1)]:
        for number in range(1, len(prefix) + 1):
            part = prefix[:number]
            if part not in states:
                states[part] = scorer.extend(states[part[:-1]], [part[-1]])[0]
        begun = [value for text, value in texts.items() if text[: len(prefix)] == prefix]
        assert states[prefix].score == pytest.approx(np.logaddexp.reduce(begun) if begun else -np.inf)
        assert scorer.whole(states[prefix]) == pytest.approx(texts.get(prefix, -np.inf))


def test_candidates_together_are_scored_as_one_by_one() -> None:
    scorer = ctc.PrefixScorer(grid(3, 6, 5), BLANK)
    state = scorer.extend(scorer.start(), [2])[0]
    together = scorer.extend(state, [1, 2, 3, 4])
    for number, found in zip([1, 2, 3, 4], together, strict=True):
        alone = scorer.extend(state, [number])[0]
        assert found.score == pytest.approx(alone.score)
        np.testing.assert_allclose(found.ends_T2, alone.ends_T2)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 3), max_size=3))
def test_alignment_is_the_best_of_all_paths(seed: int, ids: list[int]) -> None:
    log_TV = grid(seed, 6, 4)
    paths = [path for path in itertools.product(range(4), repeat=6) if collapsed(path) == tuple(ids)]
    best = max(paths, key=lambda path: sum(log_TV[t, v] for t, v in enumerate(path)))
    spans = ctc.align(log_TV, ids, BLANK)
    written = [BLANK] * 6
    for number, (first, end) in zip(ids, spans, strict=True):
        written[first:end] = [number] * (end - first)
    assert tuple(written) == best


def test_greedy_merges_and_leaves_out_blanks() -> None:
    log_TV = np.log(np.eye(4)[[0, 2, 2, 0, 2, 3, 3, 0]] + 1e-9)
    assert ctc.greedy(log_TV) == [2, 2, 3]
    assert ctc.greedy(np.zeros((0, 4))) == []


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(errors.UsageError, match="do not fit"):
        ctc.align(grid(0, 2, 3), [1, 1])
