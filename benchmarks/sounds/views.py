"""Mixes sounds of the training split into new ones, for teachers to label and an encoder to learn from.

    python benchmarks/sounds/views.py manifest.jsonl --count 10000 --out views -o views.jsonl

A student that has few sounds learns more of its teachers where these also label changed and mixed sounds, as
each then is (Beyer et al., Knowledge distillation: a good teacher is patient and consistent, arXiv
2106.05237). One to three pieces are drawn, each played faster or slower, through another filter, at another
loudness, and added. Half of the draws fall on the labelled data sets, half on effects and computed sounds.
The new manifest holds the old one's lines, then those of the views; a view has no label, and the classes of
those parts that are about as loud as the loudest.

Shape suffixes: S samples.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import banks
import numpy as np
from reading import load

from seqkit import errors
from seqkit.io import atomic

RATE = 32_000
SECONDS = 5.0
#: Parts that are so many dB below the loudest may not be heard: their classes are not told.
HEARD = -8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the views")
    parser.add_argument("-o", "--manifest-out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in arguments.manifest.read_text(encoding="utf-8").splitlines()]
    sounds = list(read(line for line in lines if line["split"] == "train"))
    groups = [[s for s in sounds if of_data_set(s[0]) is known] for known in (True, False)]
    groups = [group for group in groups if group]
    views = []
    for number in range(arguments.count):
        rng = np.random.default_rng([arguments.seed, number])
        wave_S, heard = view(groups, rng)
        path = arguments.out / f"{number:06d}.wav"
        write(path, wave_S)
        views.append(line_of(path.absolute(), wave_S, heard))
        if number % 1000 == 999:
            print(f"{number + 1} views", file=sys.stderr, flush=True)
    with atomic.atomic_file(arguments.manifest_out) as file:
        file.write("".join(json.dumps(line) + "\n" for line in (*lines, *views)).encode())


def read(lines: Any) -> Any:
    """Lines with their waves; of a long sound its first two minutes."""
    for line in lines:
        try:
            wave_S = load(Path(line["file"]), RATE)[: 120 * RATE]
        except errors.DataError as error:
            print(error, file=sys.stderr)
            continue
        if len(wave_S) > RATE // 4 and np.abs(wave_S).max() > 1e-4:
            yield line, wave_S.astype(np.float16)


def of_data_set(line: dict[str, Any]) -> bool:
    """Whether a sound is of a labelled data set, and neither an effect nor computed."""
    return bool(line["label"]) and line["source"] != "made"


def view(groups: list[list[Any]], rng: np.random.Generator) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """A mixture (S,), and the lines of the parts that are heard in it."""
    mixed_S = np.zeros(int(SECONDS * RATE), dtype=np.float32)
    parts, longest = [], 0
    for _ in range(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2])):
        group = groups[rng.integers(len(groups))]
        line, whole_S = group[rng.integers(len(group))]
        part_S = changed(whole_S, rng)
        level = 0.0 if not parts else rng.uniform(-15, 0)
        start = rng.integers(0, len(mixed_S) - len(part_S) + 1) if parts else 0
        mixed_S[start : start + len(part_S)] += part_S * 10 ** (level / 20)
        parts.append((level, line))
        longest = max(longest, start + len(part_S))
    mixed_S = mixed_S[:longest] * 10 ** (rng.uniform(-25, 0) / 20) / (np.abs(mixed_S).max() + 1e-9)
    return mixed_S, [line for level, line in parts if level >= HEARD]


def changed(whole_S: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A piece of a sound at another speed and through another filter, of a fixed loudness."""
    speed = 2 ** rng.uniform(-0.35, 0.35) if rng.random() < 0.7 else 1.0
    size = min(len(whole_S), int(SECONDS * RATE * speed))
    start = rng.integers(0, len(whole_S) - size + 1)
    part_S = whole_S[start : start + size].astype(np.float32)
    spectrum = np.fft.rfft(part_S)
    # Another speed is another length of the same spectrum; what lies above the new highest is cut off.
    wanted = min(int(SECONDS * RATE), max(2, round(size / speed)))
    bins = wanted // 2 + 1
    spectrum = np.pad(spectrum[:bins], (0, max(0, bins - len(spectrum))))
    octaves = np.log2(np.linspace(1, 256, bins))
    bends = np.interp(octaves, np.linspace(0, 8, 5), rng.normal(0, 4, 5))
    part_S = np.fft.irfft(spectrum * 10 ** (bends / 20), wanted).astype(np.float32)
    loudness = np.sqrt(np.square(part_S).mean()) + 1e-6
    return part_S / loudness


def write(path: Path, wave_S: np.ndarray) -> None:
    """A wave as 16-bit samples."""
    banks.write(path, np.clip(wave_S, -1, 1) * 32767, RATE)


def line_of(path: Path, wave_S: np.ndarray, heard: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "file": str(path),
        "source": "views",
        "package": "",
        "licence": "that of its parts",
        "label": "",
        "classes": list(dict.fromkeys(name for line in heard for name in line["classes"])),
        "split": "train",
        "seconds": round(len(wave_S) / RATE, 3),
    }


if __name__ == "__main__":
    main()
