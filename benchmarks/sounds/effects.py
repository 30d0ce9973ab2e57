"""Fetches the Debian packages whose sound effects the sound encoder learns from, and keeps the sounds alone.

    python benchmarks/sounds/effects.py --out FOLDER

Needs apt-get and dpkg-deb, and no right to install. Each package is unpacked into a folder of its name; what
is no sound is left out, but its copyright file stays beside them. What is there is not fetched again.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = (
    "wesnoth-1.16-data",
    "hydrogen-drumkits",
    "hydrogen-drumkits-effects",
    "gcompris-qt-data",
    "sonic-pi-samples",
    "widelands-data",
    "freedink-data",
    "supertuxkart-data",
    "flightgear-data-base",
    "openttd-opensfx",
    "tuxpaint-stamps-default",
    "lincity-ng-data",
    "bucklespring-data",
    "hedgewars-data",
    "freeorion-data",
    "warzone2100-data",
    "megaglest-data",
    "unknown-horizons",
    "torcs-data",
)
KEPT = {".wav", ".ogg", ".oga", ".mp3", ".flac"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the packages")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        folder = arguments.out / package
        if not folder.exists():
            fetch(package, folder)
        sounds = sum(file.suffix.lower() in KEPT for file in folder.rglob("*"))
        print(f"{package}: {sounds} sounds", file=sys.stderr, flush=True)


def fetch(package: str, folder: Path) -> None:
    """A package's sounds and its copyright file, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{package}.") as aside:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=aside, check=True)
        [archive] = Path(aside).glob("*.deb")
        unpacked = Path(aside) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", str(archive), str(unpacked)], check=True)
        for file in unpacked.rglob("*"):
            if file.is_file() and file.suffix.lower() not in KEPT and file.name != "copyright":
                file.unlink()
        unpacked.rename(folder)


if __name__ == "__main__":
    main()
