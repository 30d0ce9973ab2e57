"""Who is who, window after window: faces keep their numbers, by their place.

Knows frames and faces; not files or models. Whoever is seen first is numbered from left
to right, from 1; later comers follow. Somebody who comes back near an old place has the
old number.

Shape suffixes: T frames, H rows, W columns.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqkit.vision_speech.faces import CascadeFaces, FaceConfig, FaceFinder
from seqkit.vision_speech.mouths import MouthConfig, Mouths, Person, find_people, mouths_of, talking

__all__ = ["Look", "Looker"]

Grey = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen in a window.

    Attributes
    ----------
    people : by their numbers.
    chosen : number of the one whose mouth is taken; None for nobody.
    mouths : of the one that was chosen.
    """

    people: dict[int, Person]
    chosen: int | None
    mouths: Mouths


class Looker:
    """Looks at one window after the other, and remembers who was where.

    Parameters
    ----------
    face : number of the face that is wanted; None for the one that talks, in each window anew.
    finder : finds faces; OpenCV's cascade if not given.
    """

    def __init__(
        self,
        face: int | None = None,
        finder: FaceFinder | None = None,
        *,
        faces: FaceConfig = FaceConfig(),  # noqa: B008 - frozen
        mouths: MouthConfig = MouthConfig(),  # noqa: B008 - frozen
    ) -> None:
        self.face = face
        self._faces, self._mouths = faces, mouths
        self._finder = CascadeFaces(faces) if finder is None else finder
        self._places: list[tuple[float, float, float]] = []
        self.place: tuple[float, float, float] | None = None
        """Centre (x, y) and width of the face that was taken last."""

    @property
    def known(self) -> int:
        """How many faces were seen so far."""
        return len(self._places)

    def look(self, frames: Sequence[Grey]) -> Look:
        """The people of the next window, and the mouths of one."""
        people = self._numbered(find_people(frames, self._finder, self._faces))
        chosen = self.face if self.face in people else None
        if self.face is None and people:
            speaker = talking(frames, list(people.values()))
            chosen = next(number for number, person in people.items() if person is speaker)
        person = None if chosen is None else people[chosen]
        self.place = self.place if person is None else person.place
        return Look(people, chosen, mouths_of(frames, person, self._mouths, len(people)))

    def _numbered(self, people: list[Person]) -> dict[int, Person]:
        """Everybody by a number: nearest to an old place first, then new ones from left to right."""
        pairs = sorted(
            (_distance(place, person.place), number, index)
            for number, place in enumerate(self._places, start=1)
            for index, person in enumerate(people)
        )
        found: dict[int, Person] = {}
        named: set[int] = set()
        for distance, number, index in pairs:
            if distance < 1 and number not in found and index not in named:
                found[number] = people[index]
                named.add(index)
        for index, person in enumerate(people):
            if index not in named:
                self._places.append(person.place)
                found[len(self._places)] = person
        for number, person in found.items():
            self._places[number - 1] = person.place
        return found


def _distance(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Between two faces' centres, in widths of the larger."""
    return float(np.hypot(a[0] - b[0], a[1] - b[1])) / max(a[2], b[2])
