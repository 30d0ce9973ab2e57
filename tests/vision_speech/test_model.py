"""The model: padding and missing modalities change nothing but what they should; folders come back."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from seqkit import errors
from seqkit.vision_speech import batches, folder
from seqkit.vision_speech.corpus import Example
from seqkit.vision_speech.model import Batch, SpeechConfig, SpeechModel
from seqkit.vision_speech.objective import LossConfig, SpeechLoss


@pytest.fixture
def model() -> SpeechModel:
    torch.manual_seed(0)
    sizes = {"audio_layers": 1, "video_layers": 1, "joint_layers": 1, "decoder_layers": 1}
    return SpeechModel(
        SpeechConfig(d_model=16, heads=2, feed_forward_size=32, visual_widths=(4, 8), dropout=0.0, **sizes)
    ).eval()


@torch.no_grad()
@pytest.mark.parametrize("modality", ["audio", "video", "both"])
def test_padding_changes_nothing(model: SpeechModel, examples: list[Example], modality: str) -> None:
    alone = batches.plain(examples[:1], modality, {}).batch
    padded = batches.plain([examples[0], examples[-1]], modality, {}).batch
    frames = examples[0].frames
    assert examples[-1].frames > frames
    states_alone, _ = model.encode(alone)
    states_padded, _ = model.encode(padded)
    torch.testing.assert_close(states_padded[0, :frames], states_alone[0], atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_a_missing_modality_is_that_modality_hidden(model: SpeechModel, examples: list[Example]) -> None:
    both = batches.plain(examples[:1], "both", {}).batch
    hidden = Batch(
        frames_B=both.frames_B,
        waves_BS=both.waves_BS,
        mouths_BTHW=both.mouths_BTHW,
        seen_BT=torch.zeros_like(both.real_BT),
    )
    without = Batch(frames_B=both.frames_B, waves_BS=both.waves_BS)
    torch.testing.assert_close(model.encode(hidden)[0], model.encode(without)[0])
    assert not torch.allclose(model.encode(both)[0], model.encode(without)[0])


def test_every_part_of_the_loss_counts_and_learns(model: SpeechModel, examples: list[Example]) -> None:
    words = batches.vocabulary(examples)
    labelled = batches.plain(examples, "both", words)
    whole = SpeechLoss(model, len(words)).train()
    parts = {
        name: whole(labelled, LossConfig(**{"ctc": 0, "attention": 0, "words": 0, name: 1.0})).item()
        for name in ("ctc", "attention", "words")
    }
    total = whole(labelled, LossConfig(ctc=1.0, attention=1.0, words=1.0)).item()
    assert total == pytest.approx(sum(parts.values()), rel=1e-3)
    optimizer = torch.optim.Adam(whole.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        loss = whole(labelled, LossConfig(words=0.5))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_a_folder_comes_back(model: SpeechModel, tmp_path: Path, examples: list[Example]) -> None:
    folder.save(tmp_path / "m", model, card="# card\n", dtype=torch.float32)
    again = folder.load_model(tmp_path / "m")
    batch = batches.plain(examples[:2], "both", {}).batch
    with torch.no_grad():
        torch.testing.assert_close(again.encode(batch)[0], model.encode(batch)[0])
    assert {path.name for path in (tmp_path / "m").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
    }


def test_what_does_not_fit_is_named(model: SpeechModel, tmp_path: Path) -> None:
    folder.save(tmp_path, model, card="")
    config = json.loads((tmp_path / "config.json").read_text())
    for name, value, words in (
        ("d_model", 32, "should be"),
        ("d_model", -4, "out of range"),
        ("heads", "many", "heads"),
        ("heads", 3, "multiple"),
        ("nonsense", 1, "nonsense"),
        ("model_type", "bert", "not the config"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, name: value}))
        with pytest.raises(errors.DataError, match=words):
            folder.load_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    tensors.pop("ctc.weight")
    safetensors.torch.save_file(tensors, weights)
    with pytest.raises(errors.DataError, match=r"ctc\.weight"):
        folder.load_model(tmp_path)
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(errors.DataError, match=r"model\.safetensors"):
        folder.load_model(tmp_path)
    weights.unlink()
    with pytest.raises(errors.DataError, match=r"model\.safetensors"):
        folder.load_model(tmp_path)
