"""Which classes of AudioSet a caption names, by its words; and what labels of data sets are called.

A class is named by any of the names it has ("Dog"; "Bark"; "Rain"), whatever the ending
of a word is. Knows words; not sounds.

Shape suffixes: C classes.
"""

import csv
import functools
import re
from collections.abc import Iterable
from importlib import resources

from seqkit.audio import classes

__all__ = ["classes_in", "label_phrases", "stem"]

#: Names of classes that say nothing in a sentence, or something else.
_EMPTY = frozenset(
    {
        "inside",
        "outside",
        "noise",
        "sound effect",
        "music",
        "silence",
        "field recording",
        "run",
        "fly",
        "crow",
    }
)
#: Further names, as people write them.
_ALSO = {
    "Speech": ("talk", "speak", "voice", "conversation", "people speaking"),
    "Male speech, man speaking": ("man talk", "man speak", "men speak", "male voice"),
    "Female speech, woman speaking": ("woman talk", "woman speak", "women speak", "female voice"),
    "Child speech, kid speaking": ("child talk", "child speak", "kid speak", "children speak", "boy speak"),
    "Children playing": ("children play", "kids play", "children shout"),
    "Baby cry, infant cry": ("baby cry", "infant cry", "baby wail"),
    "Vehicle": ("vehicle", "traffic"),
    "Car": ("car", "automobile"),
    "Traffic noise, roadway noise": ("traffic", "cars pass", "street noise", "road noise"),
    "Vehicle horn, car horn, honking": ("horn", "honk", "beep horn"),
    "Emergency vehicle": ("siren", "ambulance", "police car"),
    "Gunshot, gunfire": ("gun", "gunshot", "shot", "shooting", "gunfire"),
    "Bird vocalization, bird call, bird song": ("chirp", "tweet", "birdsong", "bird sing"),
    "Water": ("water", "stream", "river"),
    "Wind": ("wind", "breeze"),
    "Fire": ("fire", "flame"),
    "Crackle": ("crackle",),
    "Ocean": ("ocean", "sea", "surf"),
    "Waves, surf": ("wave", "surf"),
    "Clock": ("clock",),
    "Tick-tock": ("tick", "tick tock"),
    "Engine": ("engine", "motor"),
    "Idling": ("idle",),
    "Air conditioning": ("air conditioner", "air conditioning"),
    "Mechanical fan": ("fan",),
    "Jackhammer": ("jackhammer", "pneumatic drill"),
    "Drill": ("drill",),
    "Train": ("train", "locomotive"),
    "Subway, metro, underground": ("subway", "metro", "underground train"),
    "Bus": ("bus",),
    "Walk, footsteps": ("walk", "footstep", "step"),
    "Inside, public space": ("crowd", "station", "mall"),
    "Crowd": ("crowd", "audience"),
    "Music": ("music", "song", "melody", "tune"),
    "Musical instrument": ("instrument",),
}


@functools.cache
def stem(word: str) -> str:
    """A word without its ending, so that forms of one word are one.

    Examples
    --------
    >>> [stem(word) for word in ("barking", "barks", "barked", "running", "runs", "cries", "cry")]
    ['bark', 'bark', 'bark', 'run', 'run', 'cri', 'cri']
    """
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending)
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":
                word = word[:-1]
            break
    if word.endswith("y") and len(word) > 2:
        word = word[:-1] + "i"
    return word.removesuffix("e") if len(word) > 3 else word


def classes_in(caption: str) -> tuple[int, ...]:
    """Places of the classes that a caption names, in the order of AudioSet.

    Examples
    --------
    >>> names = classes.audioset_names()
    >>> [names[place] for place in classes_in("Dogs are barking while rain falls")]
    ['Dog', 'Bark', 'Canidae, dogs, wolves', 'Rain']
    """
    words = tuple(stem(word) for word in re.findall(r"[a-z]+", caption.lower()))
    table = _table()
    found: set[int] = set()
    for place in range(len(words)):
        for length in (1, 2, 3):
            found.update(table.get(words[place : place + length], ()))
    return tuple(sorted(found))


@functools.cache
def label_phrases() -> dict[str, tuple[str, ...]]:
    """Captions for labels of data sets: what a clip with only a label is said to be."""
    text = (resources.files("seqkit.audio.captioning") / "phrases.tsv").read_text(encoding="utf-8")
    rows = csv.reader(text.splitlines(), delimiter="\t")
    return {row[0]: tuple(row[1].split(" | ")) for row in rows if row}


@functools.cache
def _table() -> dict[tuple[str, ...], tuple[int, ...]]:
    """Stems of every name, and the classes it is a name of."""
    table: dict[tuple[str, ...], list[int]] = {}
    for place, name in enumerate(classes.audioset_names()):
        for said in _names(name):
            stems = tuple(stem(word) for word in re.findall(r"[a-z]+", said.lower()))
            if stems and place not in table.setdefault(stems, []):
                table[stems].append(place)
    return {stems: tuple(places) for stems, places in table.items()}


def _names(name: str) -> Iterable[str]:
    plain = re.sub(r"\(.*?\)", "", name)
    yield from (part for part in plain.split(",") if part.strip().lower() not in _EMPTY)
    yield from _ALSO.get(name, ())
