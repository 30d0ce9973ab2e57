"""Fetches the Debian packages whose sound effects the sound encoder learns from, and keeps the sounds alone.

    python benchmarks/sounds/effects.py --out FOLDER [--more]

Needs apt-get and dpkg-deb, and no right to install. Each package is unpacked into a folder of its name, and
so are archives and banks of instruments in those of `--more`; what is no sound is left out, but its copyright
file stays beside them. What is there is not fetched again. The model that comes with the package learned from
those without `--more`; docs/benchmarks/captions.md tells what came of the others.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from banks import notes_of, write

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
    "megaglest-data",
    "unknown-horizons",
    "torcs-data",
)
MORE = (
    "0ad-data",
    "ardentryst",
    "bambam",
    "berusky2-data",
    "boswars-data",
    "btanks-data",
    "bzflag-data",
    "colobot-common-sounds",
    "crrcsim-data",
    "cube2-data",
    "endless-sky-data",
    "enigma-data",
    "extremetuxracer-data",
    "fillets-ng-data",
    "flare-game",
    "fluid-soundfont-gm",
    "freecol",
    "freedroidrpg-data",
    "freetennis-common",
    "frozen-bubble-data",
    "gamine-data",
    "gnome-audio",
    "hydrogen-data",
    "lmms-common",
    "lugaru-data",
    "marsshooter-data",
    "micropolis-data",
    "minetest-data",
    "naev-data",
    "netpanzer-data",
    "openarena-data",
    "planetblupi-common",
    "redeclipse-data",
    "scorched3d-data",
    "scratch",
    "searchandrescue-data",
    "simutrans-pak64",
    "sound-theme-freedesktop",
    "supertux-data",
    "trigger-rally-data",
    "triplea",
    "tuxpaint-data",
    "tuxtype-data",
    "ufoai-sound",
    "warmux-data",
    "warzone2100-data",
    "wordwarvi-sound",
)
KEPT = {".wav", ".ogg", ".oga", ".mp3", ".flac"}
ARCHIVES, BANKS = {".zip", ".pk3", ".wz"}, {".sf2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the packages")
    parser.add_argument("--more", action="store_true", help="two and a half times as many sounds")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for package in (*PACKAGES, *MORE) if arguments.more else PACKAGES:
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
        if package in MORE:
            spread(unpacked)
        for file in unpacked.rglob("*"):
            if file.is_file() and file.suffix.lower() not in KEPT and file.name != "copyright":
                file.unlink()
        unpacked.rename(folder)


def spread(folder: Path) -> None:
    """Put what is in archives and banks of instruments beside them."""
    for file in [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]:
        if file.suffix.lower() in ARCHIVES:
            unpack(file)
        if file.suffix.lower() in BANKS:
            for name, rate, wave_S in notes_of(file):
                write(file.with_name(f"{file.stem}-{name}.wav"), wave_S, rate)


def unpack(archive: Path) -> None:
    """The sounds of an archive beside it, whatever it says; their folders are in their names."""
    with zipfile.ZipFile(archive) as inner:
        for entry in inner.infolist():
            name = entry.filename.replace("\\", "/").replace("/", "--")[-200:]
            if Path(name).suffix.lower() in KEPT and not entry.is_dir():
                (archive.parent / f"{archive.stem}--{name}").write_bytes(inner.read(entry))


if __name__ == "__main__":
    main()
