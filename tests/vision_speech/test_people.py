"""Faces keep their numbers from window to window, by where they are."""

import numpy as np

from seqkit.vision_speech.people import Looker

LEFT, MIDDLE, RIGHT = (4.0, 10.0, 20.0, 20.0), (50.0, 10.0, 20.0, 20.0), (100.0, 10.0, 20.0, 20.0)


class Finder:
    """Finds what it is told to."""

    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def find(self, grey_HW: np.ndarray) -> np.ndarray:
        return np.array(self.boxes, np.float32).reshape(-1, 4)


def window() -> list[np.ndarray]:
    return [np.full((64, 128), 100, np.uint8)] * 6


def numbers(looker: Looker) -> dict[int, float]:
    people = looker.look(window()).people
    return {number: round(person.place[0]) for number, person in people.items()}


def test_numbers_go_from_left_to_right_and_stay() -> None:
    finder = Finder()
    looker = Looker(finder=finder)
    finder.boxes = (RIGHT, LEFT)
    assert numbers(looker) == {1: 14, 2: 110}
    finder.boxes = (RIGHT,)
    assert numbers(looker) == {2: 110}
    finder.boxes = (LEFT, MIDDLE, RIGHT)
    assert numbers(looker) == {1: 14, 2: 110, 3: 60}
    assert looker.known == 3


def test_a_face_that_drifts_is_the_same_one() -> None:
    finder = Finder()
    looker = Looker(finder=finder)
    for step in range(8):
        finder.boxes = ((4.0 + 10 * step, 10.0, 20.0, 20.0),)
        assert list(numbers(looker)) == [1]


def test_the_wanted_face_is_waited_for() -> None:
    finder = Finder()
    looker = Looker(2, finder)
    finder.boxes = (LEFT,)
    look = looker.look(window())
    assert look.chosen is None and not look.mouths.seen_T.any() and look.mouths.faces == 1
    finder.boxes = (LEFT, RIGHT)
    look = looker.look(window())
    assert look.chosen == 2 and look.mouths.seen_T.all()


def test_nobody_is_nobody() -> None:
    look = Looker(finder=Finder()).look(window())
    assert look.people == {} and look.chosen is None and not look.mouths.seen_T.any()
