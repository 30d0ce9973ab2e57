"""Lips trained for a tiny Whisper, as files: written, read again, refused where they do not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
import torch

from seqkit import errors
from seqkit.training.loop import LoopConfig
from seqkit.vision_speech import attached, attaching, choosing, corpus, folder
from seqkit.vision_speech.batches import DisturbConfig
from seqkit.vision_speech.interface import Clip
from seqkit.vision_speech.model import SpeechConfig, SpeechModel

QUIET = DisturbConfig(noisy=0.0, flip=0.0, shift=0, zoom=0.0, spans=0)


@pytest.fixture
def visual(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    config = SpeechConfig(d_model=16, heads=2, visual_widths=(4, 8), feed_forward_size=16)
    folder.save(tmp_path / "visual", SpeechModel(config), card="")
    return tmp_path / "visual"


@pytest.fixture
def clips(tmp_path: Path, examples: list[corpus.Example], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of the clips that are made on the spot; what is read of them is at hand."""
    path = tmp_path / "clips.jsonl"
    path.write_text(
        "".join(json.dumps({"file": str(e.line.file), "text": e.line.text}) + "\n" for e in examples)
    )
    monkeypatch.setattr(corpus, "read", lambda lines, kept=None, **more: examples)
    return path


def trained(tmp_path: Path, visual: Path, clips: Path, steps: int = 3, **more: Any) -> Path:
    attaching.attach(
        checkpoints.whisper(tmp_path / "whisper"),
        clips,
        tmp_path / "lips",
        LoopConfig(steps=steps, learning_rate=2e-2, warmup=1, evaluate_every=0),
        attaching.AttachConfig(visual=str(visual), batch=4, disturb=QUIET),
        **more,
    )
    return tmp_path / "lips"


def test_lips_learn_and_the_checkpoint_stays(
    tmp_path: Path, visual: Path, clips: Path, examples: list[corpus.Example]
) -> None:
    whisper = checkpoints.whisper(tmp_path / "whisper")
    before = {path.name: path.read_bytes() for path in whisper.iterdir()}
    lips = trained(tmp_path, visual, clips, steps=60)
    losses = json.loads((lips / "training" / "history.json").read_text())["losses"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
    assert {path.name: path.read_bytes() for path in whisper.iterdir()} == before

    reader = choosing.transcriber("unused", str(whisper), lips=str(lips))
    alone = choosing.transcriber("unused", str(whisper))
    wave_S = examples[0].wave_S.astype(np.float32) / 32768
    seen = Clip(examples[0].frames, wave_S, examples[0].mouths_THW, examples[0].seen_T)
    assert reader.uses == {"audio", "video"}
    [with_lips, without, silent, nothing] = reader.transcribe(
        [seen, Clip(seen.frames, wave_S), Clip(seen.frames, None, seen.mouths_THW, seen.seen_T), Clip(5)]
    )
    assert without.text == alone.transcribe([Clip(seen.frames, wave_S)])[0].text
    assert with_lips.text != without.text
    assert silent.score < 0 and (nothing.text, nothing.score) == ("", 0.0)


def test_a_stopped_run_goes_on_to_the_same_lips(tmp_path: Path, visual: Path, clips: Path) -> None:
    whole = trained(tmp_path, visual, clips, steps=4)
    kept = (whole / "model.safetensors").read_bytes()
    for path in sorted(whole.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()

    class Stopped(Exception):
        pass

    def stop(progress: Any) -> None:
        if progress.step == 2:
            raise Stopped

    with pytest.raises(Stopped):
        trained(tmp_path, visual, clips, steps=4, on_step=stop)
    assert (trained(tmp_path, visual, clips, steps=4) / "model.safetensors").read_bytes() == kept


def test_lips_of_another_checkpoint_are_refused(tmp_path: Path, visual: Path, clips: Path) -> None:
    lips = trained(tmp_path, visual, clips)
    told = json.loads((lips / "config.json").read_text())
    (lips / "config.json").write_text(json.dumps({**told, "layers": 7}))
    with pytest.raises(errors.DataError, match="another checkpoint"):
        attached.load(tmp_path / "whisper", lips)
    (lips / "config.json").write_text("{")
    with pytest.raises(errors.DataError, match="lips: cannot be read"):
        attached.load(tmp_path / "whisper", lips)
    (lips / "config.json").write_text(json.dumps(told))
    (lips / "model.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(errors.DataError, match="lips: cannot be read"):
        attached.load(tmp_path / "whisper", lips)


def test_lips_need_a_checkpoint_of_their_kind(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="--audio-model"):
        choosing.transcriber("speech-small", lips=str(tmp_path))
    wav2vec = checkpoints.wav2vec2_ctc(tmp_path / "wav2vec")
    with pytest.raises(errors.DataError, match="wav2vec2"):
        choosing.transcriber("speech-small", str(wav2vec), lips=str(tmp_path))


def test_the_command_trains_and_reads(
    run: Callable[..., Any], tmp_path: Path, visual: Path, clips: Path
) -> None:
    whisper = checkpoints.whisper(tmp_path / "whisper")
    result = run(
        *("transcribe", "attach", clips, "--audio-model", whisper, "-o", tmp_path / "lips"),
        *("--visual", visual, "--steps", 2, "--batch", 2),
    )
    assert result.exit_code == 0, result.stderr
    assert "2 steps" in result.stderr and "finished" in result.stderr
    assert choosing.transcriber("unused", str(whisper), lips=str(tmp_path / "lips")).uses == {
        "audio",
        "video",
    }
