"""The stem that hears waves: padding changes nothing, sizes are checked, folders come back."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from seqkit import errors
from seqkit.vision_speech import folder, selfsupervision
from seqkit.vision_speech.model import Batch, SpeechConfig, SpeechModel
from seqkit.vision_speech.wavestem import WaveSizes, WaveStem

SIZES = WaveSizes(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    conv_dim=(8,) * 7,
)


def model(sizes: WaveSizes = SIZES) -> SpeechModel:
    torch.manual_seed(0)
    layers = {"audio_layers": 1, "video_layers": 1, "joint_layers": 1, "decoder_layers": 1}
    config = SpeechConfig(
        d_model=16, heads=2, visual_widths=(4, 8), audio_stem="wav2vec2", wave=sizes, **layers
    )
    return SpeechModel(config).eval()


@torch.no_grad()
@pytest.mark.parametrize("norm", ["layer", "group"])
def test_padding_changes_nothing(norm: str) -> None:
    stem = model(dataclasses.replace(SIZES, feat_extract_norm=norm)).audio_stem
    waves_BS = torch.randn(2, 20 * 640) + 0.5
    waves_BS[1, 13 * 640 :] = 0
    real_BT = torch.arange(20) < torch.tensor([[20], [13]])
    together_BTD = stem(waves_BS, real_BT)
    alone_BTD = stem(waves_BS[1:, : 13 * 640], real_BT[1:, :13])
    torch.testing.assert_close(together_BTD[1, :13], alone_BTD[0], atol=1e-5, rtol=1e-4)
    assert not together_BTD[1, 13:].any()


@torch.no_grad()
def test_waves_are_heard_as_the_model_learned_them() -> None:
    stem = model().audio_stem
    assert isinstance(stem, WaveStem)
    wave_S = np.random.default_rng(0).normal(3, 9, size=640 * 10).astype(np.float32)
    features = transformers.Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
    read = features(wave_S, sampling_rate=16_000, return_tensors="pt")["input_values"]
    around = torch.nn.functional.pad(read, (40, 40))
    states_UH = stem.wave(around).last_hidden_state
    paired_TD = stem.out(states_UH.reshape(1, 10, -1))
    found_TD = stem(torch.from_numpy(wave_S)[None], torch.ones(1, 10, dtype=torch.bool))
    torch.testing.assert_close(found_TD, paired_TD, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"hidden_size": 0}, "at least 1"),
        ({"num_attention_heads": 3}, "multiple of num_attention_heads"),
        ({"num_conv_pos_embedding_groups": 5}, "multiple of num_conv_pos_embedding_groups"),
        ({"conv_dim": (8, 8)}, "of one length"),
        ({"conv_kernel": (2,) * 7}, "not be less"),
        ({"feat_extract_norm": "batch"}, "layer or group"),
    ],
)
def test_sizes_that_make_no_model_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(errors.UsageError, match=told):
        dataclasses.replace(SIZES, **wrong)  # type: ignore[arg-type]


def test_a_stem_has_a_name_and_fills_frames() -> None:
    with pytest.raises(errors.UsageError, match="'ears' is none of log-mel, wav2vec2"):
        SpeechConfig(audio_stem="ears")
    odd = WaveSizes(conv_dim=(8,), conv_kernel=(30,), conv_stride=(30,))
    with pytest.raises(errors.UsageError, match="steps of 30 samples"):
        SpeechConfig(audio_stem="wav2vec2", wave=odd)


@torch.no_grad()
def test_a_folder_comes_back(tmp_path: Path) -> None:
    saved = model()
    folder.save(tmp_path, saved, card="# one\n", dtype=torch.float32)
    again = folder.load_model(tmp_path)
    assert again.config == saved.config
    batch = Batch(frames_B=torch.tensor([10]), waves_BS=torch.randn(1, 6400))
    torch.testing.assert_close(again.encode(batch)[0], saved.encode(batch)[0])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"wave": "large"}, "its wave 'large'"),
        ({"wave": {"hidden_size": 1 << 20}}, "out of range"),
        ({"wave": {"conv_bias": 1}}, "its conv_bias 1"),
        ({"wave": {"conv_dim": [8, "x"]}}, "its conv_dim 'x'"),
        ({"wave": {"depth": 3}}, "its depth 3"),
        ({"wave": {"conv_dim": [8]}}, "of one length"),
        ({"audio_stem": "ears"}, "'ears' is none of"),
        ({"audio_stem": "log-mel"}, "should be"),
    ],
)
def test_a_damaged_config_is_named(tmp_path: Path, change: dict[str, object], told: str) -> None:
    folder.save(tmp_path, model(), card="# one\n")
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(errors.DataError, match=told) as caught:
        folder.load_model(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_weights_of_any_head_are_taken(tmp_path: Path) -> None:
    theirs = transformers.Wav2Vec2ForCTC(SIZES.theirs(vocab_size=5, pad_token_id=0))
    theirs.save_pretrained(tmp_path)
    assert selfsupervision.wave_sizes(tmp_path) == SIZES
    stem = model().audio_stem
    assert isinstance(stem, WaveStem)
    selfsupervision.fill_wave(stem, tmp_path)
    wanted = theirs.wav2vec2.encoder.layers[0].attention.q_proj.weight
    torch.testing.assert_close(stem.wave.encoder.layers[0].attention.q_proj.weight, wanted)


def test_models_with_other_parts_are_refused(tmp_path: Path) -> None:
    for change in ({"add_adapter": True}, {"hidden_act": "relu"}, {"conv_kernel": [1] * 7}):
        SIZES.theirs(**change).save_pretrained(tmp_path)
        with pytest.raises(errors.DataError, match=r"config\.json"):
            selfsupervision.wave_sizes(tmp_path)
