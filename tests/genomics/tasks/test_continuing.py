"""Continuations without a model, against slow searches."""

import collections

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.genomics.tasks import continuing

bases = st.lists(st.integers(0, 3), max_size=40)
codes = st.lists(st.integers(0, 4), max_size=40)


def slow_markov(learnt: list[int], prompt: list[int], count: int, order: int) -> list[int]:
    table: dict[tuple[int, ...], collections.Counter[int]] = collections.defaultdict(collections.Counter)
    other = [3 - base if base < 4 else 4 for base in reversed(learnt)]
    for strand in (learnt, other):
        for length in range(order + 1):
            for at in range(len(strand) - length):
                part = strand[at : at + length + 1]
                if max(part) < 4:
                    table[tuple(part[:-1])][part[-1]] += 1
    text = list(prompt)
    for _ in range(count):
        best = 0
        for length in range(min(order, len(text)), -1, -1):
            seen = table.get(tuple(text[len(text) - length :]))
            if seen:
                best = min(range(4), key=lambda base: (-seen[base], base))
                break
        text.append(best)
    return text[len(prompt) :]


def slow_copy(prompt: list[int], count: int, otherwise: int) -> list[int]:
    text = list(prompt)
    for _ in range(count):
        best = (0, -1)
        for end in range(len(text)):
            length = 0
            while length < end and text[end - 1 - length] == text[-1 - length]:
                length += 1
            best = max(best, (length, end))
        text.append(text[best[1]] if best[0] else otherwise)
    return text[len(prompt) :]


@given(codes, bases, st.integers(0, 8), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_a_markov_model_is_that_of_counted_contexts(
    learnt: list[int], prompt: list[int], count: int, order: int
) -> None:
    model = continuing.MarkovModel.fit(np.array(learnt, dtype=np.uint8), order)
    found = model.continued(np.array(prompt, dtype=np.int64), count).tolist()
    assert found == slow_markov(learnt, prompt, count, order)


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 10), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_a_copy_is_that_of_the_longest_repeat(prompt: list[int], count: int, otherwise: int) -> None:
    found = continuing.copied(np.array(prompt, dtype=np.int64), count, otherwise).tolist()
    assert found == slow_copy(prompt, count, otherwise)


def test_contexts_do_not_reach_over_gaps_and_strands_count_alike() -> None:
    model = continuing.MarkovModel.fit(np.array([0, 0, 4, 2, 2], dtype=np.uint8), 1)
    assert model.best[1].tolist() == [0, 1, 2, 3]
    assert model.order == 1
