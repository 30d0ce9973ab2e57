"""Batches: the same from the same step, all clips in every round, and nothing where something is missing."""

import dataclasses

import numpy as np
import pytest
import torch

from seqkit import errors
from seqkit.vision_speech import batches
from seqkit.vision_speech.batches import DisturbConfig, Sampler
from seqkit.vision_speech.corpus import Example
from seqkit.vision_speech.texts import END, START, Alphabet

STILL = DisturbConfig(noisy=0, flip=0, shift=0, zoom=0, spans=0)


def sampler(examples: list[Example], **changes: object) -> Sampler:
    options: dict[str, object] = {
        "size": 4,
        "seed": 3,
        "shares": {"both": 1.0},
        "disturb": DisturbConfig(),
        "words": batches.vocabulary(examples),
    }
    return Sampler(examples, **{**options, **changes})  # type: ignore[arg-type]


def test_a_step_gives_the_same_batch_again(examples: list[Example]) -> None:
    one, other = sampler(examples).at(5), sampler(examples).at(5)
    for part in ("waves_BS", "mouths_BTHW", "seen_BT", "heard_BT", "frames_B"):
        assert torch.equal(getattr(one.batch, part), getattr(other.batch, part))
    changed = sampler(examples, seed=4).at(5)
    assert changed.batch.mouths_BTHW is not None and one.batch.mouths_BTHW is not None
    assert (
        changed.ids_BL.shape != one.ids_BL.shape
        or not torch.equal(one.batch.frames_B, changed.batch.frames_B)
        or not torch.equal(changed.batch.mouths_BTHW, one.batch.mouths_BTHW)
    )


def test_every_clip_comes_once_in_a_round(examples: list[Example]) -> None:
    drawn = sampler(examples, disturb=STILL)
    texts = [ids.tolist() for step in range(3) for ids in drawn.at(step).ids_BL]
    frames = [int(number) for step in range(3) for number in drawn.at(step).batch.frames_B]
    assert sorted(frames) == sorted(example.frames for example in examples)
    assert len(texts) == len(examples)


def test_undisturbed_clips_are_as_they_were(examples: list[Example]) -> None:
    labelled = sampler(examples, disturb=STILL, size=12).at(0)
    plain = batches.plain(examples, "both", batches.vocabulary(examples))
    assert labelled.batch.mouths_BTHW is not None and plain.batch.mouths_BTHW is not None
    assert int(labelled.batch.mouths_BTHW.sum()) == int(plain.batch.mouths_BTHW.sum())


@pytest.mark.parametrize(("modality", "waves", "mouths"), [("audio", 1, 0), ("video", 0, 1), ("both", 1, 1)])
def test_modalities(examples: list[Example], modality: str, waves: int, mouths: int) -> None:
    batch = sampler(examples, shares={modality: 1.0}).at(0).batch
    assert (batch.waves_BS is not None) == bool(waves)
    assert (batch.mouths_BTHW is not None) == bool(mouths)


def test_hidden_spans_count_as_missing(examples: list[Example]) -> None:
    batch = sampler(examples, disturb=dataclasses.replace(STILL, spans=3, span=6), size=12).at(0).batch
    assert batch.heard_BT is not None and batch.seen_BT is not None
    assert not bool((batch.heard_BT | ~batch.real_BT).all())
    assert not bool((batch.seen_BT & ~batch.real_BT).any())


def test_babble_is_another_clip_than_the_own(examples: list[Example]) -> None:
    noisy = sampler(examples, disturb=dataclasses.replace(STILL, noisy=1.0), size=12).at(0).batch
    still = sampler(examples, disturb=STILL, size=12).at(0).batch
    assert noisy.waves_BS is not None and still.waves_BS is not None
    assert not torch.allclose(noisy.waves_BS, still.waves_BS, atol=1e-2)


def test_labels_are_spelled_and_timed(examples: list[Example]) -> None:
    words = batches.vocabulary(examples)
    labelled = batches.plain(examples[:2], "both", words)
    assert words == {"ab": 1, "cd": 2}
    assert labelled.ids_BL[0].tolist() == [START, *Alphabet().encode("ab cd"), END]
    assert labelled.lengths_B.tolist() == [5, 5]
    frames = examples[0].frames
    expected = [1] * (frames // 2) + [2] * (frames - frames // 2)
    assert labelled.words_BT[0, :frames].tolist() == expected


def test_pictures_keep_their_shape_when_moved(examples: list[Example]) -> None:
    moved = sampler(examples, disturb=DisturbConfig(flip=1.0, shift=6, zoom=0.3), size=12).at(2).batch
    assert moved.mouths_BTHW is not None
    assert moved.mouths_BTHW.shape[2:] == (40, 64)
    assert np.isin(np.unique(moved.mouths_BTHW.numpy())[1:], np.arange(80, 256)).all()


def test_wrong_options_are_refused() -> None:
    for wrong in ({"noisy": 2}, {"span": -1}, {"loudest": 20.0, "softest": 0.0}):
        with pytest.raises(errors.UsageError):
            DisturbConfig(**wrong)  # type: ignore[arg-type]
