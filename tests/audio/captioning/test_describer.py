"""The describer: the same alone and in company, every search, candidates scored by the formula."""

import dataclasses

import numpy as np
import pytest
import torch

from seqkit import errors
from seqkit.audio.captioning import describer, examples
from seqkit.audio.captioning.describer import CaptionDescriber, DescribeConfig
from seqkit.audio.captioning.folder import Calibration, Parts
from seqkit.audio.captioning.general import BROAD, GENERAL
from seqkit.audio.captioning.model import Source
from seqkit.audio.captioning.ranking import RankConfig
from seqkit.audio.captioning.words import classes_in


def waves(count: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=16_000 * (1 + row)).astype(np.float32) * 0.1 for row in range(count)]


@pytest.mark.parametrize("method", ["sample", "beam", "diverse"])
def test_every_search_gives_captions_that_do_not_depend_on_company(parts: Parts, method: str) -> None:
    own = CaptionDescriber(parts, DescribeConfig(method=method, candidates=4, most_tokens=8))
    together = own.describe(waves(), n_best=3)
    apart = [own.describe([wave], n_best=3)[0] for wave in waves()]
    assert [[one.text for one in row] for row in together] == [[one.text for one in row] for row in apart]
    for row in together:
        assert 1 <= len(row) <= 3
        assert len({one.text for one in row}) == len(row)
        assert all(0 < one.score < 1 for one in row)


@pytest.mark.parametrize("method", ["beam", "diverse"])
def test_searches_find_as_many_as_are_asked_for(parts: Parts, method: str) -> None:
    found = {
        count: len(
            CaptionDescriber(parts, DescribeConfig(method=method, candidates=count, most_tokens=8)).describe(
                waves(1), n_best=20
            )[0]
        )
        for count in (1, 3, 12)
    }
    assert found[1] == 1 and found[3] <= 3
    assert 8 < found[12] <= 12


def test_clips_of_any_lengths_are_drawn_together_and_as_each_alone(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = DescribeConfig(candidates=6, temperature=1.5, most_tokens=10)
    own = CaptionDescriber(parts, config)
    some = [*waves(4), *waves(2)]
    alone = [[one.text for one in own.describe([wave], n_best=6)[0]] for wave in some]
    for most in (describer.TOGETHER, 100, 1):
        monkeypatch.setattr(describer, "TOGETHER", most)
        assert [[one.text for one in row] for row in own.describe(some, n_best=6)] == alone


@torch.inference_mode()
def test_scores_are_the_formulas(parts: Parts) -> None:
    own = CaptionDescriber(parts, DescribeConfig(candidates=6, most_tokens=8))
    wave = waves(1)[0]
    best = own.describe([wave])[0][0]
    assert best.logprob is not None and best.similarity is not None
    hybrid = 0.3 * best.logprob + 0.7 * best.similarity
    assert best.score == pytest.approx(1 / (1 + np.exp(-4.0 * hybrid)))
    source = Source.of(parts.encoder.hear([torch.from_numpy(wave)]))
    places = parts.model.place(source).norm(dim=-1), torch.from_numpy(own.encode(["rain", ""])).norm(dim=-1)
    for norms in places:
        torch.testing.assert_close(norms, torch.ones_like(norms))


def test_what_is_unlikely_to_be_right_stays_general(parts: Parts) -> None:
    sure = dataclasses.replace(parts, calibration=Calibration(slope=1.0, offset=-9.0, least=0.5))
    found = CaptionDescriber(sure, DescribeConfig(candidates=3, most_tokens=6)).describe(waves(1), 2)[0]
    assert found[0].text in {GENERAL, *BROAD.values()}
    assert found[0].score < 0.01
    assert len(found) == 2


@torch.inference_mode()
def test_a_score_is_of_cosine_and_of_the_class_that_is_named(parts: Parts) -> None:
    calibration = Calibration(slope=0.0, similarity=3.0, named=2.0, offset=-1.0)
    own = CaptionDescriber(dataclasses.replace(parts, calibration=calibration), DescribeConfig(candidates=6))
    wave = waves(1)[0]
    found = own.describe([wave], 6)[0]
    # Classes that are not worth telling the decoder count as not heard.
    probabilities_C = examples.told(parts.encoder.hear([torch.from_numpy(wave)]).logits_BC[0].sigmoid())
    most = 1.0
    for one in found:
        heard = max((float(probabilities_C[place]) for place in classes_in(one.text)), default=0.0)
        assert one.similarity is not None
        most = min(most, 1 / (1 + np.exp(-(3.0 * one.similarity + 2.0 * heard - 1.0))))
        assert one.score == pytest.approx(most, abs=1e-5)


def test_seeds_draw_anew_and_the_same_seed_again(parts: Parts) -> None:
    def told(seed: int) -> list[str]:
        config = DescribeConfig(candidates=5, temperature=1.5, most_tokens=10, seed=seed)
        return [one.text for one in CaptionDescriber(parts, config).describe(waves(1), 5)[0]]

    assert told(1) == told(1)
    assert told(1) != told(2)


def test_nothing_and_wrong_options(parts: Parts) -> None:
    assert CaptionDescriber(parts).describe([]) == []
    with pytest.raises(errors.UsageError, match="classifier"):
        CaptionDescriber(parts, DescribeConfig(method="conditional")).describe(waves(1))
    nan = float("nan")
    for wrong in (
        *({"method": "x"}, {"candidates": 0}, {"most_tokens": 1}),
        *({"temperature": value} for value in (0.0, -1.0, nan, float("inf"))),
        *({"top_p": value} for value in (0.0, 1.5, nan)),
    ):
        with pytest.raises(errors.UsageError):
            DescribeConfig(**wrong)  # type: ignore[arg-type]
    for weights in ((0.0, 0.0), (-1.0, 1.0), (nan, 1.0), (1.0, float("inf"))):
        with pytest.raises(errors.UsageError, match="-weight"):
            RankConfig(likelihood=weights[0], similarity=weights[1])
    with pytest.raises(errors.UsageError, match="no such model"):
        describer.load("nowhere")
