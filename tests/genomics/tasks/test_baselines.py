"""Baselines: k-mers are counted right, and both learn what is there and nothing else."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.genomics.finetune import metrics
from seqkit.genomics.tasks import convolution, counting
from seqkit.genomics.tasks.split import Split
from seqkit.genomics.tokens.files import reverse_complement

SEQUENCES = st.lists(st.text("ACGTN", max_size=30), min_size=1, max_size=4)


def letters(*texts: str) -> list[np.ndarray]:
    return [np.frombuffer(text.encode(), dtype=np.uint8) for text in texts]


def with_motif(number: int, seed: int, motif: str = "TATAAAT") -> Split:
    """Random sequences of 60 letters; a motif stands somewhere in every second one."""
    rng = np.random.default_rng(seed)
    texts = []
    for place in range(number):
        text = "".join(rng.choice(list("ACGT"), size=60))
        at = int(rng.integers(50))
        texts.append(text if place % 2 else text[:at] + motif + text[at + len(motif) :])
    return Split(letters(*texts), np.arange(number) % 2)


def by_hand(text: str, k: int) -> np.ndarray:
    words = ["".join(word) for word in itertools.product("ACGT", repeat=k)]
    counted = [sum(text[at : at + k] == word for at in range(len(text))) for word in words]
    return np.array(counted, dtype=float)


@given(SEQUENCES, st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_counts_are_those_by_hand(texts: list[str], k: int) -> None:
    found = counting.counts_of(letters(*texts), k).toarray()
    for row, text in zip(found, texts, strict=True):
        wanted = by_hand(text, k)
        np.testing.assert_allclose(row, wanted / max(np.linalg.norm(wanted), 1e-12), atol=1e-12)


@given(SEQUENCES, st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_both_strands_count_alike(texts: list[str], k: int) -> None:
    given_letters = letters(*texts)
    turned = [reverse_complement(one) for one in given_letters]
    one, other = (counting.counts_of(some, k, both_strands=True) for some in (given_letters, turned))
    np.testing.assert_allclose(one.toarray(), other.toarray(), atol=1e-12)


def mcc(found: counting.KmerClassifier | convolution.ConvolutionClassifier, split: Split) -> float:
    shares = found.probabilities(split.letters)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-9)
    return metrics.matthews(split.classes_N, shares.argmax(axis=1))


@pytest.mark.parametrize("both_strands", [False, True])
def test_both_find_a_motif(both_strands: bool) -> None:
    train, dev, test = (with_motif(size, seed) for size, seed in ((600, 1), (100, 2), (200, 3)))
    rng = np.random.default_rng(0)
    assert mcc(counting.fit(train, dev, rng, both_strands=both_strands), test) > 0.5
    config = convolution.ConvolutionConfig(filters=16, epochs=8, both_strands=both_strands)
    assert mcc(convolution.fit(train, dev, rng, config), test) > 0.5


def test_neither_learns_from_labels_that_say_nothing() -> None:
    splits = [with_motif(size, seed) for size, seed in ((200, 1), (60, 2), (400, 3))]
    rng = np.random.default_rng(0)
    train, dev, test = (Split(s.letters, rng.integers(2, size=len(s))) for s in splits)
    assert abs(mcc(counting.fit(train, dev, rng), test)) < 0.2
    config = convolution.ConvolutionConfig(filters=8, epochs=2)
    assert abs(mcc(convolution.fit(train, dev, rng, config), test)) < 0.2


def test_a_seed_repeats_itself() -> None:
    train, dev = with_motif(60, 1), with_motif(20, 2)
    config = convolution.ConvolutionConfig(filters=4, epochs=2)

    def shares(seed: int) -> np.ndarray:
        return convolution.fit(train, dev, np.random.default_rng(seed), config).probabilities(dev.letters)

    np.testing.assert_array_equal(shares(1), shares(1))
    assert not np.allclose(shares(1), shares(2))


def test_lengths_differ_and_some_are_empty() -> None:
    split = Split(letters("ACGTACGT", "", "NNN", "A", "ACG" * 30, "TTTT"), np.array([0, 1, 0, 1, 2, 2]))
    rng = np.random.default_rng(0)
    config = convolution.ConvolutionConfig(filters=4, epochs=1)
    for found in (counting.fit(split, split, rng), convolution.fit(split, split, rng, config)):
        shares = found.probabilities([*split.letters, *letters("ACGT" * 100)])
        assert shares.shape == (7, 3) and np.isfinite(shares).all()


def test_a_split_is_whole_and_can_be_thinned() -> None:
    with pytest.raises(errors.DataError, match="2 sequences, but 1"):
        Split(letters("A", "C"), np.array([1]))
    split = with_motif(20, 0)
    some = split.some(5, np.random.default_rng(0))
    assert len(some) == 5 and split.some(50, np.random.default_rng(0)) is split
    known = {one.tobytes(): label for one, label in zip(split.letters, split.classes_N, strict=True)}
    assert all(known[one.tobytes()] == label for one, label in zip(some.letters, some.classes_N, strict=True))
