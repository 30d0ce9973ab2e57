"""Joint decoding against brute force; drafts that change nothing but the number of calls."""

import itertools

import numpy as np
import pytest
import torch

from seqkit import errors
from seqkit.decoders.engine import Statistics
from seqkit.vision_speech import ctc, decoding, language
from seqkit.vision_speech.decoding import DecodeConfig
from seqkit.vision_speech.model import Batch, SpeechConfig, SpeechModel
from seqkit.vision_speech.texts import BLANK, END, START, Alphabet


def tiny(seed: int = 0, characters: str = " ab") -> SpeechModel:
    torch.manual_seed(seed)
    config = SpeechConfig(
        d_model=16,
        heads=2,
        feed_forward_size=16,
        audio_layers=1,
        video_layers=1,
        joint_layers=1,
        decoder_layers=1,
        visual_widths=(4, 4),
        dropout=0.0,
        characters=characters,
    )
    model = SpeechModel(config).eval()
    for weight in model.joint.parameters():
        weight.data.mul_(3)  # so that texts differ in what they are worth
    return model


def clips(count: int = 1, frames: int = 5, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        frames_B=torch.full((count,), frames), waves_BS=torch.randn(count, frames * 640, generator=generator)
    )


@torch.no_grad()
def joint_score(model: SpeechModel, batch: Batch, ids: tuple[int, ...], weight: float) -> float:
    """What a whole text is worth, straight from the definition."""
    states, real = model.encode(batch)
    said = model.spell(states, real, torch.tensor([[START, *ids]]))[0].double().log_softmax(dim=-1)
    decoder = sum(float(said[place, token]) for place, token in enumerate((*ids, END)))
    scorer = ctc.PrefixScorer(model.ctc(states).log_softmax(dim=-1)[0].numpy(), BLANK)
    state = scorer.start()
    for number in ids:
        state = scorer.extend(state, [number])[0]
    return (1 - weight) * decoder + weight * scorer.whole(state)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weight", [0.1, 0.3, 0.9])
def test_the_beam_finds_the_best_of_all_texts(seed: int, weight: float) -> None:
    model, batch = tiny(seed), clips(frames=4, seed=seed)
    letters = range(3, 6)
    texts = [text for length in range(5) for text in itertools.product(letters, repeat=length)]
    worth = {text: joint_score(model, batch, text, weight) for text in texts}
    best = max(worth, key=lambda text: worth[text])
    config = DecodeConfig(beams=200, ctc_weight=weight, characters=25.0)
    found = decoding.read(model, batch, config)[0]
    assert found.ids == best
    assert found.score * (len(best) + 1) == pytest.approx(worth[best], abs=1e-4)


def test_a_draft_changes_only_the_calls() -> None:
    model, batch = tiny(3, characters=" abcdefgh"), clips(count=3, frames=40)
    plain, drafted = Statistics(), Statistics()
    greedy = decoding.read(model, batch, DecodeConfig(method="greedy"), statistics=plain)
    verified = decoding.read(model, batch, DecodeConfig(method="verified"), statistics=drafted)
    assert [one.ids for one in greedy] == [one.ids for one in verified]
    assert drafted.calls <= plain.calls


def test_a_clip_reads_the_same_alone_and_with_others() -> None:
    model = tiny(2, characters=" abcd")
    both = clips(count=2, frames=12)
    short = Batch(frames_B=torch.tensor([12, 7]), waves_BS=both.waves_BS)
    assert short.waves_BS is not None
    short.waves_BS[1, 7 * 640 :] = 0
    alone = Batch(frames_B=torch.tensor([7]), waves_BS=short.waves_BS[1:, : 7 * 640])
    for method in decoding.METHODS:
        config = DecodeConfig(method=method)
        together = decoding.read(model, short, config)[1]
        apart = decoding.read(model, alone, config)[0]
        assert together.ids == apart.ids
        np.testing.assert_allclose(together.log_TV, apart.log_TV, atol=1e-4)


def test_a_language_model_pulls_towards_its_texts() -> None:
    model, batch = tiny(5), clips(frames=8)
    alphabet = Alphabet(" ab")
    known = language.CharacterModel(["ab ab"], alphabet)
    strong = DecodeConfig(language_weight=50.0, ctc_weight=0.0)
    assert alphabet.decode(decoding.read(model, batch, strong, known)[0].ids) == "ab ab"


@pytest.mark.parametrize("method", decoding.METHODS)
@pytest.mark.parametrize("frames", [1, 3])
def test_a_short_clip_has_no_more_characters_than_frames(method: str, frames: int) -> None:
    for seed in range(6):
        found = decoding.read(tiny(seed), clips(frames=frames, seed=seed), DecodeConfig(method=method))[0]
        assert len(found.ids) <= frames
        assert np.isfinite(found.score)


@pytest.mark.parametrize("wrong", [{"method": "x"}, {"beams": 0}, {"ctc_weight": 2.0}, {"characters": 0.0}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(errors.UsageError):
        DecodeConfig(**wrong)  # type: ignore[arg-type]
