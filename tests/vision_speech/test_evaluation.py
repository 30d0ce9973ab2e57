"""Error rates are jiwer's, their intervals those of the clips, and babble is the same for everybody."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jiwer
import numpy as np
import pytest

from seqkit import errors
from seqkit.vision_speech import evaluation
from seqkit.vision_speech.corpus import Example
from seqkit.vision_speech.evaluation import clip_of, evaluate, rates
from seqkit.vision_speech.interface import Clip, Heard


class Parrot:
    """Knows clips by their length, and stumbles where it has no pictures."""

    def __init__(self, examples: Sequence[Example], *uses: str) -> None:
        self.uses = frozenset(uses or ("audio", "video"))
        self.texts = {example.frames: example.line.text for example in examples}
        self.given: list[Clip] = []

    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        self.given += clips
        return [
            Heard(self.texts[clip.frames].upper() + ("" if clip.mouths_THW is not None else " um"), 0.0)
            for clip in clips
        ]


@pytest.fixture
def different(examples: list[Example]) -> list[Example]:
    """Six clips of different length."""
    return [
        dataclasses.replace(
            example,
            wave_S=example.wave_S[: 640 * (16 - number)],
            mouths_THW=example.mouths_THW[: 16 - number],
            seen_T=example.seen_T[: 16 - number],
        )
        for number, example in enumerate(examples[:6])
    ]


def test_each_modality_and_noise_has_its_cell(different: list[Example]) -> None:
    cells = evaluate(Parrot(different), different, decibels=[0.0, -5.0])
    assert [(cell.modality, cell.decibels) for cell in cells] == [
        ("audio", None),
        ("audio", 0.0),
        ("audio", -5.0),
        ("video", None),
        ("av", None),
        ("av", 0.0),
        ("av", -5.0),
    ]
    rates_ = {(cell.modality, cell.decibels): cell.words.value for cell in cells}
    assert rates_["audio", None] == 0.5 and rates_["av", -5.0] == 0.0
    assert cells[0].texts[different[0].line.name] == "ab cd um"


def test_rates_are_those_of_jiwer() -> None:
    truth = ["bin blue at f two now", "set red", "place"]
    texts = ["bin blue f two now now", "", "lace it please"]
    words, characters = rates(zip(truth, texts, strict=True))
    assert words.value == pytest.approx(jiwer.wer(truth, texts))
    assert characters.value == pytest.approx(jiwer.cer(truth, texts))
    assert words.low <= words.value <= words.high


def test_intervals_shrink_with_clips_and_repeat() -> None:
    few, many = ([("set red now", text) for text in ("set red now", "set red")] * times for times in (5, 500))
    narrow, wide = rates(many, seed=1)[0], rates(few, seed=1)[0]
    assert 0 < narrow.high - narrow.low < 0.3 * (wide.high - wide.low)
    assert rates(few, seed=1) == rates(few, seed=1)


def test_babble_is_of_the_other_clips_and_the_same_for_all(different: list[Example]) -> None:
    heard = clip_of(different, 2, "audio", 0.0, seed=3)
    seen = clip_of(different, 2, "av", 0.0, seed=3)
    assert heard.wave_S is not None and seen.wave_S is not None
    np.testing.assert_array_equal(heard.wave_S, seen.wave_S)
    clean = clip_of(different, 2, "audio")
    assert clean.wave_S is not None and clean.mouths_THW is None
    ratio = np.mean(clean.wave_S**2) / np.mean((heard.wave_S - clean.wave_S) ** 2)
    assert ratio == pytest.approx(1, rel=1e-3)
    other = clip_of(different, 2, "audio", 0.0, seed=4)
    assert other.wave_S is not None and np.abs(other.wave_S - heard.wave_S).max() > 0.01
    assert clip_of(different, 2, "video").wave_S is None


def test_what_is_not_there_is_left_out(different: list[Example]) -> None:
    cells = evaluate(Parrot(different, "audio"), different)
    assert [cell.modality for cell in cells] == ["audio"]
    deaf = [dataclasses.replace(one, wave_S=np.zeros_like(one.wave_S)) for one in different]
    assert [cell.modality for cell in evaluate(Parrot(different), deaf)] == ["video"]
    with pytest.raises(errors.UsageError, match="have no video"):
        evaluate(Parrot(different, "audio"), different, modalities=["video"])


def test_wrong_input_is_told(different: list[Example]) -> None:
    with pytest.raises(errors.UsageError, match="'smell' is none of"):
        evaluate(Parrot(different), different, modalities=["smell"])
    with pytest.raises(errors.UsageError, match="babble of 4 voices needs as many"):
        evaluate(Parrot(different), different[:3], decibels=[0.0])
    blank = dataclasses.replace(different[0].line, text="", file=Path("x.mp4"))
    with pytest.raises(errors.DataError, match=r"x\.mp4: has no text"):
        evaluate(Parrot(different), [dataclasses.replace(different[0], line=blank)])
    with pytest.raises(errors.UsageError, match="no clips"):
        evaluation.rates([])
