"""Checkpoints of transformers as describers: tiny ones, made on the spot."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest

from seqkit import errors
from seqkit.audio.captioning import choosing, foreign
from seqkit.models import listening


def waves() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=size).astype(np.float32) * 0.1 for size in (16_000, 9_000)]


#: Kinds with an encoder and a decoder, and language models that are asked; and the class that holds each.
KINDS = {
    checkpoints.whisper: "WhisperForConditionalGeneration",
    checkpoints.moonshine: "MoonshineForConditionalGeneration",
    checkpoints.speech_encoder_decoder: "SpeechEncoderDecoderModel",
    checkpoints.qwen2_audio: "Qwen2AudioForConditionalGeneration",
    checkpoints.audio_flamingo: "AudioFlamingo3ForConditionalGeneration",
}


@pytest.mark.parametrize("make", KINDS)
def test_they_describe_with_scores(make: Callable[[Path], Path], tmp_path: Path) -> None:
    assert foreign.class_of(make(tmp_path / "m")) == KINDS[make]
    describer = choosing.describer(str(tmp_path / "m"))
    assert describer.rate == 16_000
    together = describer.describe(waves(), n_best=2)
    apart = [describer.describe([wave], n_best=2)[0] for wave in waves()]
    assert together == apart
    for row in together:
        # Each caption once; Whisper's own search gives its best one twice.
        assert len({one.text for one in row}) == len(row) <= 2
        for one in row:
            assert one.logprob is not None
            assert one.score == pytest.approx(math.exp(one.logprob))
            assert "\n" not in one.text
        assert row[0].score >= row[-1].score


@pytest.mark.parametrize(
    ("make", "longest"),
    [(checkpoints.whisper, 2), (checkpoints.qwen2_audio, 2), (checkpoints.audio_flamingo, 6)],
)
def test_longer_clips_than_are_read_at_once_are_refused(
    make: Callable[[Path], Path], longest: int, tmp_path: Path
) -> None:
    describer = foreign.load(make(tmp_path / "m"))
    assert describer.longest == longest
    assert describer.describe([np.zeros(longest * 16_000, np.float32)])
    with pytest.raises(errors.DataError, match=rf"a clip of {longest}\.5 s, .* reads {longest} s at once"):
        describer.describe([np.zeros(longest * 16_000 + 8_000, np.float32)])


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model_type": "wav2vec2"}, "model_type 'wav2vec2' does not write text from sound"),
        ({"model_type": "dia"}, "model_type 'dia' does not write text from sound"),
        ({"model_type": "llava"}, "model_type 'llava' does not write text from sound"),
        (
            {"model_type": "whisper", "architectures": ["WhisperForAudioClassification"]},
            "WhisperForAudioClassification does not write text from sound",
        ),
    ],
)
def test_what_writes_no_text_from_sound_is_refused_by_name(
    config: dict[str, object], told: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(errors.DataError, match=told):
        foreign.load(tmp_path)


def test_a_checkpoint_that_fails_is_named(tmp_path: Path) -> None:
    describer = foreign.load(checkpoints.moonshine(tmp_path / "m"))
    with pytest.raises(errors.DataError, match="cannot describe a sound") as caught:
        describer.describe([np.zeros(3, np.float32)])
    assert str(tmp_path / "m") in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"method": "beam"}, {"candidates": 3}, {"temperature": 1.0}, {"top_p": 0.5}, {"seed": 0}]
    + [{"likelihood": 1.0}, {"similarity": 1.0}, {"filter_faults": False}, {"classifier": "c"}],
)
def test_options_of_our_own_search_have_no_effect_and_are_refused(
    options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(errors.UsageError, match="has no effect on a checkpoint"):
        choosing.describer(str(checkpoints.moonshine(tmp_path / "m")), **options)


def test_other_kinds_and_damaged_folders_are_refused(tmp_path: Path) -> None:
    folder = checkpoints.whisper(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(errors.DataError, match="cannot be loaded"):
        foreign.load(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(errors.DataError, match="pickle"):
        foreign.load(folder)
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(errors.DataError, match="gpt2"):
        foreign.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(errors.DataError, match=r"config\.json"):
        listening.kind_of(folder)
