"""Mouths are cut where faces are, of the one who talks or of the one that is wanted."""

import numpy as np
import pytest

from seqkit import errors
from seqkit.vision_speech.faces import FaceConfig, Track
from seqkit.vision_speech.mouths import MouthConfig, cut, find_mouths

LEFT, RIGHT = (4.0, 10.0, 40.0, 40.0), (84.0, 10.0, 40.0, 40.0)


class Always:
    """Finds the same faces in every frame."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)

    def find(self, grey_HW: np.ndarray) -> np.ndarray:
        return self.boxes


def scene(
    talker: tuple[float, float, float, float], nodder: tuple[float, float, float, float] | None = None
) -> list[np.ndarray]:
    """Twelve frames in which one mouth opens and closes, and one whole face flickers."""
    frames = []
    for number in range(12):
        grey_HW = np.full((64, 128), 100, np.uint8)
        x, y, width, height = (int(value) for value in talker)
        lips = slice(y + int(0.75 * height), y + int(0.95 * height))
        grey_HW[lips, x + width // 4 : x + 3 * width // 4] = 40 if number % 2 else 180
        if nodder is not None:
            x, y, width, height = (int(value) for value in nodder)
            grey_HW[y : y + height, x : x + width] = 80 if number % 2 else 120
        frames.append(grey_HW)
    return frames


def test_the_talking_face_is_taken_wherever_it_is() -> None:
    for talker, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
        found = find_mouths(scene(talker, nodder=other), Always(LEFT, RIGHT))
        assert found.faces == 2 and found.seen_T.all()
        change = np.abs(np.diff(found.grey_THW.astype(int), axis=0)).mean()
        assert change > 40  # of lips, not of the flicker


def test_a_face_that_is_wanted_is_taken_though_another_talks() -> None:
    found = find_mouths(scene(LEFT), Always(LEFT, RIGHT), face=2)
    assert found.seen_T.all() and np.ptp(found.grey_THW) == 0
    with pytest.raises(errors.UsageError, match="there is no face 3: 2 were found"):
        find_mouths(scene(LEFT), Always(LEFT, RIGHT), face=3)


def test_frames_without_a_face_are_black_and_told() -> None:
    found = find_mouths(scene(LEFT), Always())
    assert found.faces == 0 and not found.seen_T.any() and not found.grey_THW.any()
    assert found.grey_THW.shape == (12, 40, 64)
    assert find_mouths([], Always(LEFT)).grey_THW.shape == (0, 40, 64)
    assert find_mouths(scene(LEFT)[:1], Always(LEFT)).seen_T.tolist() == [True]


def test_a_cut_is_what_slow_sampling_gives() -> None:
    rng = np.random.default_rng(0)
    grey_HW = rng.integers(0, 256, (64, 128)).astype(np.uint8)
    config = MouthConfig()
    box = np.array([[40, 4, 48, 48]], np.float32)
    (found_HW,) = cut([grey_HW], Track(0, box), config)
    scale = config.columns / (config.width * 48)
    slow_HW = np.zeros((config.rows, config.columns))
    padded = np.pad(grey_HW.astype(float), 1, mode="edge")
    for row in range(config.rows):
        for column in range(config.columns):
            x = 40 + config.across * 48 + (column - (config.columns - 1) / 2) / scale
            y = 4 + config.down * 48 + (row - (config.rows - 1) / 2) / scale
            left, top = int(np.floor(x)), int(np.floor(y))
            right, low = x - left, y - top
            corners = padded[top + 1 : top + 3, left + 1 : left + 3]
            slow_HW[row, column] = np.array([1 - low, low]) @ corners @ np.array([1 - right, right])
    # OpenCV samples at thirty-seconds of a pixel.
    assert np.abs(found_HW - slow_HW).mean() < 4


def test_a_face_at_the_edge_repeats_the_edge() -> None:
    grey_HW = np.full((64, 128), 90, np.uint8)
    (found_HW,) = cut([grey_HW], Track(0, np.array([[-20, 40, 40, 40]], np.float32)), MouthConfig())
    assert (found_HW == 90).all()


@pytest.mark.parametrize("wrong", [{"across": 0.0}, {"down": 2.0}, {"width": 0.0}, {"rows": 4}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(errors.UsageError):
        MouthConfig(**wrong)  # type: ignore[arg-type]


def test_a_search_now_and_then_is_enough() -> None:
    every, seldom = (
        find_mouths(scene(LEFT), Always(LEFT), faces=FaceConfig(every=step)).grey_THW for step in (1, 5)
    )
    np.testing.assert_array_equal(every, seldom)
