"""Learning without texts: losses fall, runs go on, trunks are handed over, and masks are what they say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.training import loop
from seqkit.vision_speech import corpus, moco, selfsupervision, training, wav2vec
from seqkit.vision_speech.corpus import Example
from seqkit.vision_speech.moco import MocoConfig, MocoTask
from seqkit.vision_speech.model import SpeechConfig, SpeechModel
from seqkit.vision_speech.wav2vec import Wav2VecConfig, Wav2VecTask

SMALL = MocoConfig(widths=(4, 8), width=8, queue=32, batch=16)
TINY = {"hidden": 16, "layers": 1, "heads": 2, "channels": 8, "negatives": 4, "batch": 2, "seconds": 0.6}


def pictures(count: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 255, size=(8, 40, 64))
    return (kinds[rng.integers(0, 8, size=count)] * 0.8 + rng.integers(0, 50, (count, 40, 64))).astype(
        np.uint8
    )


def test_moco_learns_which_views_belong_together() -> None:
    torch.manual_seed(0)
    task = MocoTask(pictures(), SMALL)
    optimizer = torch.optim.Adam(task.encoder.parameters(), lr=3e-3)
    losses = []
    for step in range(30):
        loss = task.loss_at(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[2:7])


def test_the_slow_copy_follows_and_the_queue_turns() -> None:
    torch.manual_seed(0)
    task = MocoTask(pictures(), SMALL)
    before = task.queue_QD.clone()
    fast = next(task.encoder.parameters())
    fast.data += 1.0
    slow = next(task.slow.parameters()).clone()
    task.loss_at(1)
    torch.testing.assert_close(next(task.slow.parameters()), slow + (fast.detach() - slow) * 0.01)
    changed = (task.queue_QD != before).any(dim=1)
    assert changed.tolist() == [False] * 16 + [True] * 16


def test_views_are_drawn_from_the_step() -> None:
    shots = pictures(4)
    one, other, third = (moco.views(shots, SMALL, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    assert one.shape == (4, 40, 64)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(3, 60), st.floats(0.05, 0.95), st.integers(0, 99))
def test_negatives_are_other_hidden_frames_of_the_same_row(
    rows: int, frames: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    hidden = wav2vec.hidden_spans(rows, frames, share, rng)
    assert hidden.any(axis=1).all()
    assert not hidden.all(axis=1).any()
    places = wav2vec.negative_places(hidden, 5, rng)
    for row, frame in zip(*np.nonzero(hidden), strict=True):
        if hidden[row].sum() > 1:
            within = places[row, frame] - row * frames
            assert hidden[row][within].all()
            assert frame not in within


def test_wav2vec_gives_a_loss_with_gradients_and_cools_down() -> None:
    waves = [np.random.default_rng(seed).normal(size=16_000).astype(np.float32) for seed in range(3)]
    task = Wav2VecTask(waves, Wav2VecConfig(**TINY), steps=10)
    loss = task.loss_at(0)
    loss.backward()
    assert torch.isfinite(loss)
    assert task.model.wav2vec2.encoder.layers[0].attention.q_proj.weight.grad is not None
    assert task.temperature(0) == pytest.approx(2.0)
    assert task.temperature(10) == pytest.approx(0.5)
    again = task.loss_at(0)
    assert again.item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.fixture
def clips(examples: list[Example], monkeypatch: pytest.MonkeyPatch) -> list[Example]:
    """Examples in place of what would be read from files."""
    lines = [example.line for example in examples]
    monkeypatch.setattr(selfsupervision.manifest, "read", lambda path, texts: lines)
    found = {example.line.name: example for example in examples}
    monkeypatch.setattr(
        corpus, "read", lambda lines, kept, seen, on_read=None: [found[line.name] for line in lines]
    )
    return examples


def test_a_trunk_is_handed_over(clips: list[Example], tmp_path: Path) -> None:
    options = {"widths": (4, 8), "width": 8, "queue": 32, "batch": 16}
    config = loop.LoopConfig(steps=3, warmup=1, evaluate_every=0)
    held = frozenset({clips[0].line.name})
    out = tmp_path / "trunk"
    progress = selfsupervision.pretrain("video", Path("x"), out, config, held_out=held, options=options)
    assert progress.finished
    sizes = SpeechConfig(d_model=16, heads=2, visual_widths=(4, 8))
    model = SpeechModel(sizes)
    before = model.visual_stem.trunk.blocks[0].first.weight.clone()
    training.begin_with(model, out)
    assert not torch.equal(model.visual_stem.trunk.blocks[0].first.weight, before)
    with pytest.raises(errors.DataError, match="should be"):
        training.begin_with(SpeechModel(SpeechConfig(d_model=16, heads=2, visual_widths=(4, 6))), out)


def test_what_sound_leaves_loads_in_transformers(clips: list[Example], tmp_path: Path) -> None:
    import transformers

    config = loop.LoopConfig(steps=2, warmup=1, evaluate_every=0)
    selfsupervision.pretrain("audio", Path("x"), tmp_path / "sound", config, options=TINY)
    loaded = transformers.Wav2Vec2Model.from_pretrained(tmp_path / "sound", local_files_only=True)
    assert loaded.config.hidden_size == 16
    features = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "sound", local_files_only=True)
    waves = [np.random.default_rng(0).normal(3, 9, size=size).astype(np.float32) for size in (8000, 6000)]
    read = features(waves, sampling_rate=16_000, padding=True, return_tensors="pt")
    assert abs(float(read["input_values"][0].mean())) < 1e-3
    tuned = transformers.Wav2Vec2ForCTC.from_pretrained(
        tmp_path / "sound", local_files_only=True, vocab_size=5, pad_token_id=0
    )
    assert torch.isfinite(tuned(**read, labels=torch.tensor([[1, 2], [3, 4]])).loss)
    with pytest.raises(errors.UsageError, match="smell"):
        selfsupervision.pretrain("smell", Path("x"), tmp_path / "no", config)


def test_wrong_options_are_refused() -> None:
    for wrong in ({"momentum": 1.0}, {"queue": 33, "batch": 16}, {"temperature": 0.0}):
        with pytest.raises(errors.UsageError):
            MocoConfig(**wrong)  # type: ignore[arg-type]
    for wrong in ({"masked": 0.0}, {"hidden": 10, "heads": 4}, {"coolest": 3.0}):
        with pytest.raises(errors.UsageError):
            Wav2VecConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(errors.DataError, match="fewer than a batch"):
        MocoTask(pictures(4), SMALL)
