"""From files to segments: times from the file's start, whichever modality there is, and nothing invented."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from seqkit import errors
from seqkit.io.segments import Segment
from seqkit.vision_speech.interface import Clip, Heard, Word
from seqkit.vision_speech.recording import RecordingConfig
from seqkit.vision_speech.transcribe import transcribe_file


class Finder:
    """Finds one face in every frame."""

    def find(self, grey_HW: np.ndarray) -> np.ndarray:
        return np.array([[16, 8, 32, 32]], np.float32)


class Transcriber:
    """Says which modalities it is given, with a word from 0.2 to 0.6 s."""

    def __init__(self, *uses: str) -> None:
        self.uses = frozenset(uses or ("audio", "video"))
        self.given: list[Clip] = []

    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        self.given += clips
        return [
            Heard(_told(clip), -0.5, (Word(_told(clip), 0.2, 0.6),) if clip.frames > 20 else ())
            for clip in clips
        ]


def _told(clip: Clip) -> str:
    return "+".join(
        name for name, value in (("sound", clip.wave_S), ("lips", clip.mouths_THW)) if value is not None
    )


def speech(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)


def frames(count: int) -> list[np.ndarray]:
    return [np.full((48, 64), 100, np.uint8)] * count


def run(
    path: Path | bytes, transcriber: Transcriber | None = None, **options: object
) -> tuple[list[Segment], list[str]]:
    notes: list[str] = []
    found = transcribe_file(
        path,
        transcriber or Transcriber(),
        RecordingConfig(**options),  # type: ignore[arg-type]
        finder=Finder(),
        note=notes.append,
    )
    return list(found), notes


def test_words_have_times_from_the_files_start(film: Callable[..., Path], tmp_path: Path) -> None:
    wave_S = np.concatenate([speech(3), np.zeros(16_000, np.float32), speech(3)])
    path = film(tmp_path / "a.mkv", frames(175), wave_S=wave_S)
    found, notes = run(path)
    assert [segment.text for segment in found] == ["sound+lips", "sound+lips"] and notes == []
    first, second = (segment.words[0] for segment in found)
    assert (first.start, first.end) == (0.2, 0.6)
    assert (found[0].start, found[0].end, found[0].file) == (0.2, 0.6, str(path))
    assert second.start == pytest.approx(3.5 + 0.2, abs=0.06)


def test_without_word_times_a_segment_is_its_window(film: Callable[..., Path], tmp_path: Path) -> None:
    ((segment,), _) = run(film(tmp_path / "a.wav", [], wave_S=speech(0.4)))
    assert (segment.start, segment.end, segment.words, segment.score) == (0.0, 0.4, (), -0.5)


def test_a_missing_modality_is_told(film: Callable[..., Path], tmp_path: Path) -> None:
    found, notes = run(film(tmp_path / "a.mp4", frames(30)))
    assert [segment.text for segment in found] == ["lips"]
    assert notes == ["has no audio track; video alone is used"]
    found, notes = run(film(tmp_path / "a.wav", [], wave_S=speech(1.0)))
    assert [segment.text for segment in found] == ["sound"]
    assert notes == ["has no video track; audio alone is used"]


def test_a_model_of_sound_alone_is_given_sound_alone(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", frames(30), wave_S=speech(1.2))
    found, notes = run(path, Transcriber("audio"))
    assert [segment.text for segment in found] == ["sound"] and notes == []
    for modality in ("video", "av"):
        with pytest.raises(errors.UsageError, match="the model can use audio only"):
            run(path, Transcriber("audio"), modality=modality)


def test_silence_is_not_asked_about(film: Callable[..., Path], tmp_path: Path) -> None:
    transcriber = Transcriber()
    path = film(tmp_path / "a.wav", [], wave_S=np.zeros(32_000, np.float32))
    (segment,), notes = run(path, transcriber)
    assert (segment.text, segment.start, segment.end) == ("", 0.0, 2.0)
    assert transcriber.given == []
    assert notes == ["has no video track; audio alone is used", "the sound is silent"]


def test_the_bytes_of_a_file_do_as_well(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", frames(30), wave_S=speech(1.2))
    (segment,), _ = run(path.read_bytes())
    assert (segment.file, segment.text) == ("-", "sound+lips")
