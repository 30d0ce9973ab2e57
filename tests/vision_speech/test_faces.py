"""Faces are followed: through misses, apart from each other, smoothly, and never where there are none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.io import video
from seqkit.vision_speech.faces import CascadeFaces, FaceConfig, follow


class Scripted:
    """Finds, in the n-th frame that it is asked about, the boxes of a script."""

    def __init__(self, script: list[list[tuple[float, float, float, float]]]) -> None:
        self.script = script
        self.asked = 0

    def find(self, grey_HW: np.ndarray) -> np.ndarray:
        boxes = self.script[min(self.asked, len(self.script) - 1)]
        self.asked += 1
        return np.array(boxes, np.float32).reshape(-1, 4)


def blank(count: int) -> list[np.ndarray]:
    return [np.full((60, 80), 128, np.uint8)] * count


def test_a_face_that_moves_is_one_track() -> None:
    script = [[(2.0 * place, 5.0, 20.0, 20.0)] for place in range(5)]
    (track,) = follow(blank(21), Scripted(script), FaceConfig(smooth=0))
    assert (track.first, track.end) == (0, 21)
    np.testing.assert_allclose(track.boxes_T4[:, 0], np.arange(21) * 0.4, atol=1e-5)


def test_a_face_that_is_missed_once_is_followed_on() -> None:
    box = (10.0, 10.0, 20.0, 20.0)
    (track,) = follow(blank(26), Scripted([[box], [box], [], [box], [box], [box]]), FaceConfig())
    assert (track.first, track.end) == (0, 26)


def test_a_face_that_stays_away_ends_and_begins_anew() -> None:
    box = (10.0, 10.0, 20.0, 20.0)
    script = [[box], [box], [], [], [], [], [box], [box]]
    tracks = follow(blank(36), Scripted(script), FaceConfig(patience=1))
    assert sorted((track.first, track.end) for track in tracks) == [(0, 10), (26, 36)]


def test_two_faces_are_two_tracks_though_found_in_any_order() -> None:
    left, right = (5.0, 5.0, 20.0, 20.0), (50.0, 5.0, 20.0, 20.0)
    tracks = follow(blank(16), Scripted([[left, right], [right, left], [left, right]]), FaceConfig())
    assert len(tracks) == 2
    assert {round(float(track.boxes_T4[:, 0].mean())) for track in tracks} == {5, 50}
    assert all(float(np.ptp(track.boxes_T4[:, 0])) < 1e-3 for track in tracks)


def test_smoothing_takes_trembling_out() -> None:
    rng = np.random.default_rng(0)
    script = [[(10 + float(rng.normal()), 10.0, 20.0, 20.0)] for _ in range(40)]
    rough, smooth = (
        follow(blank(40), Scripted(script), FaceConfig(every=1, smooth=sigma))[0].boxes_T4[:, 0]
        for sigma in (0.0, 4.0)
    )
    assert np.diff(smooth).std() < 0.15 * np.diff(rough).std()


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 40),
    every=st.integers(1, 7),
    present=st.lists(st.booleans(), min_size=1, max_size=41),
)
def test_tracks_lie_within_the_frames(count: int, every: int, present: list[bool]) -> None:
    script = [[(10.0, 10.0, 20.0, 20.0)] if there else [] for there in present]
    tracks = follow(blank(count), Scripted(script), FaceConfig(every=every))
    for track in tracks:
        assert 0 <= track.first < track.end <= count
        np.testing.assert_allclose(track.boxes_T4, [[10, 10, 20, 20]] * len(track.boxes_T4), rtol=1e-5)


def test_nobody_is_seen_in_grey_frames_noise_or_none() -> None:
    finder = CascadeFaces()
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (120, 160), dtype=np.uint8) for _ in range(3)]
    for frames in (blank(7), noise, [], [np.zeros((2, 2), np.uint8)]):
        assert follow(frames, finder, FaceConfig()) == []


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"patience": -1}, {"smallest": 0.0}, {"overlap": 1.0}, {"smooth": -1.0}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(errors.UsageError):
        FaceConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.needs_dev_data
def test_a_real_speaker_is_found_in_every_frame(dev_data: Path) -> None:
    path = dev_data / "avsr" / "grid_s1" / "bbaf2n.mp4"
    if not path.is_file():
        pytest.skip("no clips of GRID beside the project")
    frames = [frame.grey_HW for frame in video.read_frames(path)]
    (track,) = follow(frames, CascadeFaces(), FaceConfig())
    assert (track.first, track.end) == (0, len(frames))
    x, y, width, _ = track.boxes_T4.mean(axis=0)
    # Where the speaker sits in all clips of this recording.
    assert 70 < x < 110 and 80 < y < 120 and 120 < width < 170
