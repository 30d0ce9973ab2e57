"""Recordings come in windows: in step, cut where it is quiet, without what is not there, in flat memory."""

import contextlib
import tracemalloc
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.io import audio, video
from seqkit.vision_speech.recording import Piece, Recording, RecordingConfig

BOX = (16.0, 8.0, 32.0, 32.0)


class Finder:
    """Finds the same faces in every frame."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)

    def find(self, grey_HW: np.ndarray) -> np.ndarray:
        return self.boxes


def frames(count: int) -> list[np.ndarray]:
    """Grey frames, each a level brighter than the one before."""
    return [np.full((48, 64), 60 + number, np.uint8) for number in range(count)]


def speech(seconds: float, *pauses: tuple[float, float]) -> np.ndarray:
    """Noise with stretches of near silence."""
    rng = np.random.default_rng(0)
    wave_S = rng.normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
    for start, end in pauses:
        wave_S[round(start * 16_000) : round(end * 16_000)] *= 0.01
    return wave_S


def pieces(recording: Recording) -> list[Piece]:
    return list(recording.pieces())


def read(path: Path, finder: Finder | None = None, **options: object) -> tuple[list[Piece], Recording]:
    recording = Recording(path, RecordingConfig(**options), finder=finder or Finder())  # type: ignore[arg-type]
    return pieces(recording), recording


def test_both_modalities_come_in_step(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", frames(40), wave_S=speech(1.6))
    (piece,), recording = read(path, Finder(BOX))
    assert (piece.start, piece.end, piece.clip.frames, piece.faces) == (0, 1.6, 40, 1)
    assert piece.clip.wave_S is not None and piece.clip.wave_S.shape == (40 * 640,)
    assert piece.clip.mouths_THW is not None and piece.clip.mouths_THW.shape == (40, 40, 64)
    levels = piece.clip.mouths_THW.mean(axis=(1, 2))
    assert np.abs(levels - np.arange(60, 100)).max() < 2
    assert piece.clip.seen_T is not None and piece.clip.seen_T.all()
    assert recording.notes == [] and (recording.frames, recording.frames_with_face) == (40, 40)


def test_windows_are_cut_in_pauses_and_join_without_gaps(film: Callable[..., Path], tmp_path: Path) -> None:
    wave_S = speech(16, (3.0, 4.0), (8.0, 8.6), (12.0, 12.1))
    path = film(tmp_path / "a.wav", [], wave_S=wave_S)
    found, _ = read(path)
    assert [round(piece.start, 1) for piece in found] == [0.0, 3.5, 8.3]
    assert all(a.end == b.start for a, b in zip(found, found[1:], strict=False)) and found[-1].end == 16
    heard_S = np.concatenate([piece.clip.wave_S for piece in found if piece.clip.wave_S is not None])
    np.testing.assert_allclose(heard_S, wave_S, atol=1e-3)


def test_without_pauses_windows_end_at_the_quietest_place(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.wav", [], wave_S=speech(14, (9.0, 9.2)))
    found, _ = read(path)
    assert len(found) == 2 and 9.0 <= found[0].end <= 9.2


@settings(max_examples=20, deadline=None)
@given(seconds=st.floats(0.05, 30), window=st.floats(1, 12), seed=st.integers(0, 5))
def test_windows_hold_every_sample_once(seconds: float, window: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wave_S = rng.normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
    wave_S *= np.repeat(rng.random(61) < 0.7, 8_000)[: len(wave_S)] * 0.99 + 0.01
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio, "opened", _opened(sound=True, sight=False))
        patch.setattr(audio, "read_blocks", lambda *given, **more: iter(np.array_split(wave_S, 7)))
        found, _ = read(Path("any.wav"), seconds=window)
    assert all(piece.clip.frames <= window * 25 + 0.5 for piece in found)
    assert [piece.end for piece in found[:-1]] == [piece.start for piece in found[1:]]
    assert sum(piece.clip.frames for piece in found) == -(-len(wave_S) // 640)


def _opened(*, sound: bool, sight: bool) -> Callable[..., object]:
    streams = types.SimpleNamespace(
        audio=[1] if sound else [], video=[types.SimpleNamespace(disposition=0)] if sight else []
    )
    return lambda *given, **more: contextlib.nullcontext(types.SimpleNamespace(streams=streams))


def test_without_sound_windows_end_where_the_lips_are_still(
    film: Callable[..., Path], tmp_path: Path
) -> None:
    talking = []
    for number in range(200):
        grey_HW = np.full((48, 64), 100, np.uint8)
        # The mouth rests from 2.8 to 3.6 s; something else moves all the time.
        grey_HW[30:38, 24:40] = 100 if 70 <= number < 90 else 60 + 80 * (number % 2)
        grey_HW[:6] = 60 + 80 * (number % 2)
        talking.append(grey_HW)
    found, _ = read(film(tmp_path / "a.mp4", talking), Finder(BOX))
    assert len(found) == 2 and 2.9 < found[0].end < 3.5
    muted = film(tmp_path / "b.mkv", talking, wave_S=np.zeros(8 * 16_000, np.float32))
    assert [piece.end for piece in read(muted, Finder(BOX))[0]] == [piece.end for piece in found]
    unseen, _ = read(tmp_path / "a.mp4", Finder(), seconds=5.0)
    assert [piece.clip.frames for piece in unseen] == [125, 75]


def test_frames_without_a_face_are_counted_and_not_fatal(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", frames(30), wave_S=speech(1.2))
    (piece,), recording = read(path)
    assert piece.clip.mouths_THW is None and piece.clip.wave_S is not None
    assert recording.notes == ["no face in 30 of 30 frames"]


def test_a_film_without_sound_falls_back_on_lips(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames(30))
    for modality in ("auto", "av"):
        (piece,), recording = read(path, Finder(BOX), modality=modality)
        assert piece.clip.wave_S is None and piece.clip.mouths_THW is not None
        assert recording.notes == ["has no audio track; video alone is used"]
    with pytest.raises(errors.DataError, match=r"a\.mp4: has no audio track \(--modality\)"):
        read(path, modality="audio")


def test_sound_alone_falls_back_on_sound(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.wav", [], wave_S=speech(1))
    (piece,), recording = read(path)
    assert piece.clip.mouths_THW is None and recording.notes == ["has no video track; audio alone is used"]
    with pytest.raises(errors.DataError, match=r"a\.wav: has no video track"):
        read(path, modality="video")


def test_what_is_not_asked_for_is_not_used(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", frames(30), wave_S=speech(1.2))
    (heard,), recording = read(path, Finder(BOX), modality="audio")
    assert heard.clip.mouths_THW is None and recording.notes == []
    (seen,), recording = read(path, Finder(BOX), modality="video")
    assert seen.clip.wave_S is None and seen.clip.mouths_THW is not None and recording.notes == []


def test_a_muted_track_leaves_the_lips(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", frames(30), wave_S=np.zeros(19_200, np.float32))
    (piece,), recording = read(path, Finder(BOX))
    assert piece.clip.wave_S is None and piece.clip.mouths_THW is not None
    assert recording.notes == ["the sound is silent; video alone is used"]


def test_of_a_silent_window_after_speech_nothing_is_given(film: Callable[..., Path], tmp_path: Path) -> None:
    wave_S = np.concatenate([speech(3), np.zeros(5 * 16_000, np.float32)])
    path = film(tmp_path / "a.mkv", frames(195), wave_S=wave_S)
    found, _ = read(path, Finder(BOX), seconds=3.0)
    assert len(found) > 2 and found[0].clip.wave_S is not None
    assert found[-1].clip.wave_S is None and found[-1].clip.mouths_THW is None


def test_pictures_and_sound_of_different_length(film: Callable[..., Path], tmp_path: Path) -> None:
    longer = film(tmp_path / "a.mkv", frames(20), wave_S=speech(1.6))
    (piece,), _ = read(longer, Finder(BOX))
    assert piece.clip.frames == 40 and piece.clip.seen_T is not None
    assert piece.clip.seen_T.tolist() == [True] * 20 + [False] * 20
    shorter = film(tmp_path / "b.mkv", frames(40), wave_S=speech(0.8))
    (piece,), _ = read(shorter, Finder(BOX))
    assert piece.clip.wave_S is not None and not piece.clip.wave_S[20 * 640 + 640 :].any()


def test_one_frame_is_one_window(film: Callable[..., Path], tmp_path: Path) -> None:
    (piece,), _ = read(film(tmp_path / "a.mp4", frames(1)), Finder(BOX))
    assert piece.clip.frames == 1 and piece.clip.mouths_THW is not None


def test_a_face_that_is_never_seen_is_an_error_that_names_the_file(
    film: Callable[..., Path], tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mp4", frames(10))
    with pytest.raises(errors.DataError, match=r"a\.mp4: has no face 2: 1 were found \(--face\)"):
        read(path, Finder(BOX), face=2)


def test_a_damaged_file_is_named(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames(10))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(errors.DataError, match=r"a\.mp4: "):
        read(path)
    with pytest.raises(errors.DataError, match=r"none\.mp4: no such file"):
        read(tmp_path / "none.mp4")


@pytest.mark.parametrize("wrong", [{"modality": "smell"}, {"face": 0}, {"seconds": 0.1}])
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(errors.UsageError):
        RecordingConfig(**wrong)  # type: ignore[arg-type]


def test_memory_is_flat_over_two_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    grey_HW, block_S = np.full((24, 32), 90, np.uint8), speech(12, (5.0, 6.0))

    def peak(minutes: int) -> int:
        def sight(*given: object, **more: object) -> Iterator[video.Frame]:
            return (video.Frame(number, grey_HW.copy()) for number in range(minutes * 60 * 25))

        monkeypatch.setattr(audio, "opened", _opened(sound=True, sight=True))
        monkeypatch.setattr(video, "read_frames", sight)
        monkeypatch.setattr(audio, "read_blocks", lambda *given, **more: iter([block_S] * (minutes * 5)))
        recording = Recording("any.mp4", RecordingConfig(), finder=Finder())
        tracemalloc.start()
        total = sum(piece.clip.frames for piece in recording.pieces())
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == minutes * 60 * 25
        return top

    assert peak(120) < 1.1 * peak(2)
