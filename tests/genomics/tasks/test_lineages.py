"""Lineages against a slow search of all pairs, and splits that never part them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.genomics.tasks import lineages

sets = st.lists(st.sets(st.integers(0, 12), max_size=6), max_size=12)


def slow_clusters(found: list[set[int]], threshold: float) -> set[frozenset[int]]:
    groups = [{number} for number in range(len(found))]
    for one, other in itertools.combinations(range(len(found)), 2):
        smaller = min(len(found[one]), len(found[other]))
        if smaller and len(found[one] & found[other]) >= threshold * smaller:
            joined = next(g for g in groups if one in g) | next(g for g in groups if other in g)
            groups = [group for group in groups if not group & joined] + [joined]
    return {frozenset(group) for group in groups}


@given(sets, st.sampled_from([0.1, 0.3, 0.5, 1.0]))
@settings(max_examples=80, deadline=None)
def test_clusters_are_those_of_all_pairs(found: list[set[int]], threshold: float) -> None:
    sketches = [np.array(sorted(one), dtype=np.uint64) for one in found]
    labels = lineages.cluster(sketches, threshold).tolist() if found else []
    groups = {frozenset(at for at, label in enumerate(labels) if label == each) for each in set(labels)}
    assert groups == slow_clusters(found, threshold)
    assert list(dict.fromkeys(labels)) == list(range(len(set(labels))))


@given(st.lists(st.floats(0.1, 1000), min_size=3, max_size=60), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_every_split_has_lineages_and_none_much_more_than_its_share(weights: list[float], seed: int) -> None:
    weights_C = np.array(weights)
    splits_C = lineages.assign(weights_C, np.random.default_rng(seed))
    assert set(splits_C.tolist()) == {0, 1, 2}
    held = np.bincount(splits_C, weights=weights_C) / weights_C.sum()
    # A split never takes a lineage, beyond its first, when it has its share already.
    assert (held <= np.array(list(lineages.SPLITS.values())) + weights_C.max() / weights_C.sum() + 1e-9).all()
    again = lineages.assign(weights_C, np.random.default_rng(seed))
    assert np.array_equal(splits_C, again)


@given(st.lists(st.integers(0, 4), max_size=60), st.sampled_from([1, 2, 4, 8, 16, 32]))
@settings(max_examples=60, deadline=None)
def test_words_of_either_strand_are_the_same(codes: list[int], length: int) -> None:
    codes_L = np.array(codes, dtype=np.uint8)
    other_L = np.where(codes_L < 4, 3 - np.minimum(codes_L, 3), 4)[::-1]
    words_W, is_whole_W = lineages.canonical(codes_L, length)
    others_W, other_whole_W = lineages.canonical(other_L, length)
    assert np.array_equal(is_whole_W, other_whole_W[::-1])
    assert np.array_equal(words_W[is_whole_W], others_W[::-1][is_whole_W])
    slow = [
        min(
            int("".join(map(str, part)), 4),
            int("".join(str(3 - base) for base in reversed(part)), 4),
        )
        for at in range(len(codes) - length + 1)
        if max(part := codes[at : at + length]) < 4
    ]
    assert words_W[is_whole_W].tolist() == slow


def test_variants_and_parts_are_of_one_lineage_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 4, 20_000, dtype=np.uint8) for _ in range(2))
    variant = np.where(rng.random(one.size) < 0.05, rng.integers(0, 4, one.size), one).astype(np.uint8)
    units = [one, other, (3 - variant)[::-1], one[4000:6000]]
    for share in (1.0, 1 / 16):
        assert lineages.cluster([lineages.sketch(unit, share) for unit in units]).tolist() == [0, 1, 0, 0]


def test_too_few_lineages_are_refused() -> None:
    with pytest.raises(errors.DataError, match="2 lineages are too few"):
        lineages.assign(np.ones(2), np.random.default_rng(0))
