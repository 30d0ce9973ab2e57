"""`seqkit transcribe pretrain audio` to `train --audio-start` to `transcribe --model`, and wrong starts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqkit.training import loop
from seqkit.vision_speech import folder, selfsupervision

TINY = {"hidden": 16, "layers": 1, "heads": 2, "channels": 8, "negatives": 4, "batch": 2, "seconds": 0.6}
RECIPE = """
name = "tiny"
manifest = "clips.jsonl"
bfloat16 = false

[model]
d_model = 16
heads = 2
feed_forward_size = 32
audio_layers = 1
video_layers = 1
joint_layers = 1
decoder_layers = 1
visual_widths = [4, 8]

[[stages]]
name = "both"
batch = 2
shares = { audio = 0.5, both = 0.5 }
loop = { steps = 2, learning_rate = 1e-3, warmup = 1, evaluate_every = 0 }
"""


@pytest.fixture
def data(film: Callable[..., Path], tmp_path: Path) -> Path:
    """Three clips with texts, their sounds without, and a recipe."""
    made, rng = tmp_path / "data", np.random.default_rng(0)
    made.mkdir()
    texts, sounds = [], []
    for number in range(3):
        wave_S = rng.normal(0, 0.1, 16_000).astype(np.float32)
        film(made / f"c{number}.mp4", [np.full((48, 64), 100, np.uint8)] * 25, wave_S=wave_S)
        film(made / f"s{number}.wav", [], wave_S=wave_S)
        texts.append({"file": f"c{number}.mp4", "text": "set red"})
        sounds.append({"file": f"s{number}.wav"})
    (made / "clips.jsonl").write_text("\n".join(map(json.dumps, texts)))
    (made / "sounds.jsonl").write_text("\n".join(map(json.dumps, sounds)))
    (made / "recipe.toml").write_text(RECIPE)
    return made


@pytest.fixture
def sound(data: Path, tmp_path: Path) -> Path:
    """What `pretrain audio` leaves, smaller."""
    config = loop.LoopConfig(steps=2, warmup=1, evaluate_every=0)
    selfsupervision.pretrain("audio", data / "sounds.jsonl", tmp_path / "sound", config, options=TINY)
    return tmp_path / "sound"


def test_a_model_hears_by_what_was_pretrained(
    run: Callable[..., Any], film: Callable[..., Path], data: Path, sound: Path, tmp_path: Path
) -> None:
    recipe, out = data / "recipe.toml", tmp_path / "model"
    result = run("transcribe", "train", recipe, "-o", out, "--data", data, "--audio-start", sound)
    assert result.exit_code == 0 and "2 steps" in result.stderr
    config = folder.load_model(out).config
    assert (config.audio_stem, config.wave.hidden_size) == ("wav2vec2", 16)
    wave_S = np.random.default_rng(1).normal(0, 0.1, round(5.3 * 16_000)).astype(np.float32)
    long = film(tmp_path / "long.wav", [], wave_S=wave_S)
    result = run("transcribe", long, "--model", out, "--window", "2", "-f", "json", "--beams", "2")
    assert result.exit_code == 0
    assert all(0 <= segment["start"] <= segment["end"] <= 5.4 for segment in json.loads(result.stdout))
    # A recipe that names no stem has that of the model it begins with.
    tuned = tmp_path / "tuned"
    assert run("transcribe", "train", recipe, "-o", tuned, "--data", data, "--start", out).exit_code == 0
    assert folder.load_model(tuned).config == config


def test_starts_of_the_wrong_kind_are_refused(
    run: Callable[..., Any], data: Path, sound: Path, tmp_path: Path
) -> None:
    def told(*starts: str | Path, recipe: Path = data / "recipe.toml") -> str:
        result = run("transcribe", "train", recipe, "-o", tmp_path / "out", "--data", data, *starts)
        assert result.exit_code in (1, 2)
        assert not (tmp_path / "out" / "model.safetensors").exists()
        return str(result.stderr)

    assert "--audio-start" in told("--start", sound)
    whisper, model = tmp_path / "whisper", tmp_path / "model"
    whisper.mkdir()
    (whisper / "config.json").write_text('{"model_type": "whisper"}')
    assert "model_type 'whisper' is not wav2vec2" in told("--audio-start", whisper)
    assert "config.json" in told("--audio-start", data)
    recipe = data / "recipe.toml"
    assert run("transcribe", "train", recipe, "-o", model, "--data", data).exit_code == 0
    assert "is not wav2vec2" in told("--audio-start", model)
    assert "hears already" in told("--start", model, "--audio-start", sound)
    other = data / "other.toml"
    other.write_text(
        RECIPE.replace("[model]", '[model]\naudio_stem = "wav2vec2"\nwave = { hidden_size = 32 }')
    )
    assert "hidden_size is 16, and the recipe's is 32" in told("--audio-start", sound, recipe=other)
    weights = sound / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    assert str(sound) in told("--audio-start", sound)
