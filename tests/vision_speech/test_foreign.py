"""Checkpoints of transformers as transcribers of sound: tiny ones, made on the spot."""

from pathlib import Path

import checkpoints
import numpy as np
import pytest

from seqkit import errors
from seqkit.vision_speech import choosing, foreign
from seqkit.vision_speech.interface import Clip


def clips() -> list[Clip]:
    rng = np.random.default_rng(0)
    return [Clip(25, rng.normal(size=16_000).astype(np.float32)), Clip(5)]


def test_whisper_gives_texts(tmp_path: Path) -> None:
    transcriber = choosing.transcriber("unused", str(checkpoints.whisper(tmp_path / "m")))
    assert transcriber.uses == {"audio"}
    heard, nothing = transcriber.transcribe(clips())
    assert heard.text and heard.score < 0
    assert (nothing.text, nothing.score) == ("", 0.0)


def test_ctc_gives_words_within_the_clip(tmp_path: Path) -> None:
    transcriber = choosing.transcriber("unused", str(checkpoints.wav2vec2_ctc(tmp_path / "m")))
    heard, _ = transcriber.transcribe(clips())
    assert heard.text == " ".join(word.text for word in heard.words)
    assert set(heard.text) <= set("abc ")
    times = [time for word in heard.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 <= time <= 1.0 for time in times)


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(errors.DataError, match="llama"):
        foreign.load(tmp_path)
    with pytest.raises(errors.DataError, match=r"config\.json"):
        foreign.load(tmp_path / "nowhere")
