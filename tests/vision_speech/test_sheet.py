"""The picture of what a model sees has every shown frame with its mouth, whatever the video."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from seqkit import errors
from seqkit.vision_speech.sheet import WIDTH, contact_sheet


class Finder:
    """Finds one face, or none."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)

    def find(self, grey_HW: np.ndarray) -> np.ndarray:
        return self.boxes


def frames(count: int) -> list[np.ndarray]:
    return [np.full((48, 64), 100, np.uint8)] * count


def test_a_sheet_shows_frames_boxes_and_mouths(film: Callable[..., Path], tmp_path: Path) -> None:
    path, out = film(tmp_path / "a.mp4", frames(30)), tmp_path / "a.png"
    told = contact_sheet(path, out, shown=10, finder=Finder((16, 8, 32, 32)))
    assert told == (30, 30, 1)
    sheet = cv2.imread(str(out))
    assert sheet is not None and sheet.shape == (2 * (20 + 180 + 88), 5 * WIDTH, 3)
    frame = sheet[20:200, :WIDTH]
    assert (frame[:, :, 1] > frame[:, :, 0] + 50).sum() > 300  # the green box
    mouth = sheet[204:284, 56:184]
    assert abs(float(mouth.mean()) - 100) < 3


def test_without_a_face_the_mouth_is_black_and_told(film: Callable[..., Path], tmp_path: Path) -> None:
    path, out = film(tmp_path / "a.mp4", frames(1)), tmp_path / "a.png"
    assert contact_sheet(path, out, finder=Finder()) == (1, 0, 0)
    sheet = cv2.imread(str(out))
    assert sheet is not None and sheet.shape[1] == WIDTH
    assert not sheet[204:284, 56:184].any()
    assert (sheet[:20, :, 2].astype(int) - sheet[:20, :, 1] > 100).any()  # "no face", in red


def test_a_face_that_is_never_seen_is_an_error(film: Callable[..., Path], tmp_path: Path) -> None:
    path, out = film(tmp_path / "a.mp4", frames(30)), tmp_path / "a.png"
    with pytest.raises(errors.DataError, match="has no face 9: 1 were found"):
        contact_sheet(path, out, face=9, finder=Finder((16, 8, 32, 32)))
    assert not out.exists()
    assert contact_sheet(path, out, face=1, finder=Finder((16, 8, 32, 32))) == (30, 30, 1)


def test_only_the_beginning_is_looked_at(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames(30))
    assert contact_sheet(path, tmp_path / "a.png", seconds=0.4, finder=Finder())[0] == 10


def test_a_sound_has_nothing_to_show(film: Callable[..., Path], tmp_path: Path) -> None:
    path = film(tmp_path / "a.wav", [], wave_S=np.zeros(1600, np.float32))
    with pytest.raises(errors.DataError, match="has no video track"):
        contact_sheet(path, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
