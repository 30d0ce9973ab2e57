"""Checkpoints of transformers as transcribers of sound: tiny ones, made on the spot."""

from collections.abc import Callable, Sequence
from pathlib import Path

import checkpoints
import numpy as np
import pytest

from seqkit import errors
from seqkit.vision_speech import choosing, foreign
from seqkit.vision_speech.interface import Clip, Heard
from seqkit.vision_speech.recording import RecordingConfig
from seqkit.vision_speech.transcribe import transcribe_file


def clips() -> list[Clip]:
    rng = np.random.default_rng(0)
    return [Clip(25, rng.normal(size=16_000).astype(np.float32)), Clip(5)]


def test_whisper_gives_texts(tmp_path: Path) -> None:
    transcriber = choosing.transcriber("unused", str(checkpoints.whisper(tmp_path / "m")))
    assert transcriber.uses == {"audio"}
    heard, nothing = transcriber.transcribe(clips())
    assert heard.text and heard.score < 0
    assert (nothing.text, nothing.score) == ("", 0.0)


def test_whisper_is_not_given_more_than_it_reads(tmp_path: Path) -> None:
    transcriber = choosing.transcriber("unused", str(checkpoints.whisper(tmp_path / "m")))
    assert isinstance(transcriber, foreign.WhisperTranscriber) and transcriber.longest == 2
    rng = np.random.default_rng(0)
    fits, longer = (Clip(n, rng.normal(size=n * 640).astype(np.float32)) for n in (50, 51))
    transcriber.transcribe([fits])
    with pytest.raises(errors.DataError, match=r"2\.0 s, and the checkpoint reads 2 s"):
        transcriber.transcribe([longer])


def test_windows_are_as_long_as_whisper_reads(film: Callable[..., Path], tmp_path: Path) -> None:
    transcriber = choosing.transcriber("unused", str(checkpoints.whisper(tmp_path / "m")))
    given: list[int] = []
    read = transcriber.transcribe

    def kept(clips: Sequence[Clip]) -> list[Heard]:
        given.extend(clip.frames for clip in clips)
        return read(clips)

    transcriber.transcribe = kept  # type: ignore[method-assign]
    wave_S = np.random.default_rng(0).normal(0, 0.1, round(5.3 * 16_000)).astype(np.float32)
    path, notes = film(tmp_path / "a.wav", [], wave_S=wave_S), []
    list(transcribe_file(path, transcriber, RecordingConfig(seconds=60), note=notes.append))
    assert max(given) <= 50 and sum(given) == pytest.approx(5.3 * 25, abs=1)
    assert notes[0].startswith("windows are at most 2 s long")


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
