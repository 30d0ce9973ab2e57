"""Measures against scikit-learn and scipy, on random answers with any counts."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.genomics.finetune import calibration, metrics

SEEDS = st.integers(0, 10_000)


def drawn(seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, guess, a score with ties, and counts, 0 among them."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(8, 60))
    truth = rng.integers(classes, size=size)
    guess = np.where(rng.random(size) < 0.5, truth, rng.integers(classes, size=size))
    score = np.round(truth + rng.normal(size=size), 1)
    counts = rng.integers(0, 4, size=size).astype(float)
    counts[:2] = 1
    return truth, guess, score, counts


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_classes_agree_with_scikit_learn(seed: int) -> None:
    truth, guess, _, counts = drawn(seed)
    matthews = sklearn.metrics.matthews_corrcoef(truth, guess, sample_weight=counts)
    assert metrics.matthews(truth, guess, counts) == pytest.approx(matthews, abs=1e-9)
    right = sklearn.metrics.accuracy_score(truth, guess, sample_weight=counts)
    assert metrics.accuracy(truth, guess, counts) == pytest.approx(right, abs=1e-12)
    occur = np.unique(np.concatenate([truth[counts > 0], guess[counts > 0]]))
    f1 = sklearn.metrics.f1_score(truth, guess, labels=occur, average="macro", sample_weight=counts)
    assert metrics.macro_f1(truth, guess, counts) == pytest.approx(f1, abs=1e-9)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_two_classes_agree_with_scikit_learn(seed: int) -> None:
    truth, guess, score, counts = drawn(seed, classes=2)
    truth[:2], guess[:2] = (0, 1), (1, 1)
    f1 = sklearn.metrics.f1_score(truth, guess, sample_weight=counts)
    assert metrics.positive_f1(truth, guess, counts) == pytest.approx(f1, abs=1e-9)
    area = sklearn.metrics.roc_auc_score(truth, score, sample_weight=counts)
    assert metrics.auroc(truth, score, counts) == pytest.approx(area, abs=1e-9)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_numbers_agree_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.round(rng.normal(size=30), 1)
    guess = np.round(truth + rng.normal(size=30), 1)
    counts = rng.integers(1, 3, size=30)
    often_truth, often_guess = np.repeat(truth, counts), np.repeat(guess, counts)
    assert metrics.pearson(truth, guess, counts) == pytest.approx(
        scipy.stats.pearsonr(often_truth, often_guess).statistic
    )
    assert metrics.spearman(truth, guess, counts) == pytest.approx(
        scipy.stats.spearmanr(often_truth, often_guess).statistic
    )
    assert metrics.r_squared(truth, guess, counts) == pytest.approx(
        sklearn.metrics.r2_score(often_truth, often_guess)
    )


def test_many_labels_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(2, size=(50, 4))
    score = truth + rng.normal(size=(50, 4))
    area = sklearn.metrics.roc_auc_score(truth, score, average="macro")
    assert metrics.macro_auroc(truth, score) == pytest.approx(area)


def test_degenerate_cases_have_the_value_of_chance() -> None:
    zeros, ones = np.zeros(5, dtype=int), np.ones(5)
    assert metrics.matthews(zeros, zeros) == 0.0
    assert metrics.auroc(zeros, ones) == 0.5
    assert metrics.macro_auroc(np.zeros((5, 2)), np.zeros((5, 2))) == 0.5
    assert metrics.pearson(ones, ones) == metrics.spearman(ones, ones) == metrics.r_squared(ones, ones) == 0.0
    empty = np.zeros(0, dtype=int)
    assert metrics.accuracy(empty, empty) == 0.0 == metrics.macro_f1(empty, empty)


def test_an_interval_is_of_the_right_width_and_the_same_for_a_seed() -> None:
    rng = np.random.default_rng(0)
    right = (rng.random(400) < 0.8).astype(int)

    def interval(seed: int) -> metrics.Score:
        return metrics.with_interval(
            lambda counts: metrics.accuracy(right, np.ones(400, int), counts),
            np.arange(400),
            np.random.default_rng(seed),
        )

    score = interval(1)
    spread = np.sqrt(score.value * (1 - score.value) / 400)
    assert score.high - score.low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert score == interval(1) != interval(2)


def test_what_is_drawn_together_widens_the_interval() -> None:
    truth = np.repeat(np.random.default_rng(0).integers(2, size=40), 10)

    def width(groups: np.ndarray) -> float:
        score = metrics.with_interval(
            lambda counts: metrics.accuracy(truth, np.ones(400, int), counts),
            groups,
            np.random.default_rng(0),
        )
        return score.high - score.low

    assert width(np.repeat(np.arange(40), 10)) > 2 * width(np.arange(400))


def test_a_temperature_is_found_where_the_loss_is_least() -> None:
    for wanted in (0.2, 1.0, 7.0):
        found = calibration.fit_temperature(lambda at, wanted=wanted: (np.log(at) - np.log(wanted)) ** 2)
        assert found == pytest.approx(wanted, rel=1e-3)


def test_overconfident_answers_are_mended_by_their_temperature() -> None:
    rng = np.random.default_rng(3)
    margin = rng.normal(scale=1.5, size=4000)
    true = rng.random(4000) < 1 / (1 + np.exp(-margin))
    told = 4.0 * margin  # four times as sure as it should be

    def shares(at: float) -> np.ndarray:
        return 1 / (1 + np.exp(-told / at))

    def loss(at: float) -> float:
        return float(-np.mean(np.log(np.where(true, shares(at), 1 - shares(at)) + 1e-12)))

    at = calibration.fit_temperature(loss)
    assert at == pytest.approx(4.0, rel=0.15)

    def error(at: float) -> float:
        sure = np.maximum(shares(at), 1 - shares(at))
        return calibration.calibration_error(sure, (shares(at) >= 0.5) == true)

    assert error(at) < 0.03 < error(1.0)
    assert calibration.calibration_error(np.empty(0), np.empty(0)) == 0.0
