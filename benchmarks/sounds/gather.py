"""Lists sounds to learn from: what they are, where they come from, and on which side of the split they stand.

    python benchmarks/sounds/gather.py --effects FOLDER [--made FOLDER] -o manifest.jsonl

`$SEQKIT_DEV_DATA/caption` holds the data sets; the first FOLDER holds unpacked packages with sound effects,
one folder each, named as the package; the second what `made.py` made. A line of the manifest: file, seconds,
source, package, licence, label (as the source says), classes (AudioSet names, where the label or the name
tells them), split.

Held out, never trained on: ESC-10 fold 4, UrbanSound8K fold 2, the cities lisbon and lyon of the TAU scenes,
the Clotho clips with human captions, and a twentieth of the effects, drawn by their names.
"""

import argparse
import csv
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from names import classes_of_label, classes_of_name
from reading import load

from seqkit import errors

SHORTEST, LONGEST = 0.3, 600.0
RATE = 16_000
SUFFIXES = {".wav", ".ogg", ".oga", ".mp3", ".flac"}
LICENCES = {
    "esc10": "CC BY",
    "urbansound8k": "CC BY-NC",
    "tau_scenes": "research, non-commercial",
    "clotho": "non-commercial; see CLOTHO_LICENSE.txt",
    "made": "none: computed",
}
HELD_OUT_CITIES = ("lisbon", "lyon")
#: Spoken names, voices of games and single hits of drums are many and alike: so many of each are enough.
MOST = {
    "speech": 400,
    "voices": 250,
    "buckle": 80,
    "drumkits": 300,
    "sound/de": 0,
    "sound/he": 0,
    "memressp": 60,
    "codriver": 40,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--effects", type=Path, help="folder of unpacked packages")
    parser.add_argument("--made", type=Path, help="folder of what `made.py` made")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--more", action="store_true", help="know the words of `effects.py --more` too")
    arguments = parser.parse_args()
    data = Path(os.environ["SEQKIT_DEV_DATA"]).expanduser() / "caption"
    rows = [
        *data_sets(data),
        *(effects(arguments.effects, more=arguments.more) if arguments.effects else ()),
        *(made(arguments.made) if arguments.made else ()),
    ]
    kept = []
    for row in rows:
        seconds = duration(Path(row["file"]))
        if seconds is not None and SHORTEST < seconds < LONGEST:
            kept.append({**row, "seconds": round(seconds, 3)})
    arguments.out.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    hours = sum(row["seconds"] for row in kept) / 3600
    print(f"{len(kept)} of {len(rows)} sounds, {hours:.2f} hours", file=sys.stderr)


def data_sets(data: Path) -> Iterator[dict[str, Any]]:
    """Clips of the data sets, whose labels stand in tables or names."""
    for file in sorted((data / "esc10").glob("*.ogg")):
        label = file.stem.split("_")[1]
        yield row(file, "esc10", label, "test" if file.name.startswith("4-") else "train")
    with open(data / "urbansound8k" / "labels.csv", encoding="utf-8") as table:
        for entry in csv.DictReader(table):
            split = "test" if entry["fold"] == "fold2" else "train"
            yield row(data / "urbansound8k" / entry["file"], "urbansound8k", entry["label"], split)
    for file in sorted((data / "tau_scenes").glob("*.ogg")):
        label, city = file.stem.split("-")[:2]
        yield row(file, "tau_scenes", label, "test" if city in HELD_OUT_CITIES else "train")
    for file in sorted((data / "human").glob("*.ogg")):
        yield row(file, "clotho", "", "test")


def made(folder: Path) -> Iterator[dict[str, Any]]:
    """Sounds whose names begin with their labels."""
    for file in sorted(folder.glob("*.wav")):
        yield row(file, "made", file.stem.rpartition("-")[0], "train")


def row(file: Path, source: str, label: str, split: str) -> dict[str, Any]:
    classes = classes_of_label(label) if label else []
    return {
        "file": str(file),
        "source": source,
        "package": "",
        "licence": LICENCES[source],
        "label": label,
        "classes": classes,
        "split": split,
    }


def effects(folder: Path, *, more: bool = False) -> Iterator[dict[str, Any]]:
    """Sound files of unpacked packages, some kinds thinned out."""
    taken = dict.fromkeys(MOST, 0)
    files = [file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES]
    for file in sorted(files, key=lambda file: draw(file.relative_to(folder))):
        inner = str(file.relative_to(folder))
        kind = "speech" if "_desc" in inner else next((kind for kind in MOST if kind in inner), None)
        if kind is not None:
            taken[kind] += 1
            if taken[kind] > MOST[kind]:
                continue
        package = inner.split("/")[0]
        yield {
            "file": str(file),
            "source": "effects",
            "package": package,
            "licence": f"see /usr/share/doc/{package}/copyright",
            "label": "",
            "classes": classes_of_name(inner, more=more),
            "split": "held-out" if draw(Path("split", inner)) < 0.05 else "train",
        }


def draw(path: Path) -> float:
    """A number in [0, 1) that follows from a name, so that a split stays as it is when files are added."""
    return int.from_bytes(hashlib.sha256(str(path).encode()).digest()[:6]) / 2**48


def duration(file: Path) -> float | None:
    """Seconds of a sound; None for one that cannot be decoded to its end."""
    try:
        return len(load(file, RATE)) / RATE
    except errors.DataError as error:
        print(error, file=sys.stderr)
        return None


if __name__ == "__main__":
    main()
