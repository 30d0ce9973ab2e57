"""How often a caption names the right source, on clips of folds that were never trained on.

    python benchmarks/captions/names.py MANIFEST --model FOLDER --out names

A caption names a clip's source when it holds one of the words accepted for the clip's label; the words
are in this file, and were written down before any caption was read. Beside it the baseline: the sound
encoder's most probable AudioSet class in a template. Tells shares with their 95 % intervals (Wilson), and
how well the score tells right from wrong; writes report.json, report.md, calibration.png into --out.
"""

import argparse
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from seqkit.audio import classes
from seqkit.audio.captioning import describer
from seqkit.audio.captioning.words import stem
from seqkit.audio.encoders import corpus
from seqkit.io import audio

matplotlib.use("Agg")

#: Words (their stems) that name a label. Synonyms of the source itself only.
ACCEPTED = {
    "dog-bark": "dog bark puppy howl",
    "dog_bark": "dog bark puppy howl",
    "chainsaw": "chainsaw saw",
    "fire-crackling": "fire flame crackle campfire fireplace",
    "helicopter": "helicopter rotor",
    "rain": "rain raindrop downpour",
    "baby-cry": "baby infant",
    "clock-tick": "clock tick",
    "person-sneeze": "sneeze",
    "rooster": "rooster cock chicken",
    "sea-waves": "sea ocean wave surf beach",
    "gun_shot": "gun gunshot gunfire shot rifle",
    "jackhammer": "jackhammer drill hammer",
    "engine_idling": "engine motor idle",
    "children_playing": "children child kid",
    "siren": "siren ambulance",
    "street_music": "music band song musician",
    "air_conditioner": "conditioner conditioning fan ventilation",
    "drilling": "drill",
    "car_horn": "horn honk",
    "street_traffic": "traffic car vehicle",
    "metro_station": "station",
    "airport": "airport",
    "tram": "tram",
    "bus": "bus",
    "street_pedestrian": "pedestrian footstep walk",
    "public_square": "square",
    "metro": "metro subway underground train",
    "park": "park bird",
    "shopping_mall": "mall shop shopping",
}


def main() -> None:
    """Describe, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", default=describer.DEFAULT)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = describer.load(arguments.model, describer.DescribeConfig(candidates=arguments.candidates))
    sounds = [
        sound
        for sound in corpus.read_manifest(arguments.manifest)
        if sound.split != "train" and sound.label in ACCEPTED
    ]
    judged = [judge(sound, model) for sound in sounds]
    report = {"kind": "captions", "clips": judged}
    lines = table(judged)
    print("\n".join(lines))
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        draw(judged, arguments.out / "calibration.png")
        picture = "![Share of right captions by score](calibration.png)"
        (arguments.out / "report.md").write_text("\n".join([*lines, "", picture, ""]))


def judge(sound: corpus.Sound, model: describer.CaptionDescriber) -> dict[str, Any]:
    """A clip's caption, the baseline's, and whether each names the source."""
    wave = audio.load(sound.file, model.rate, limit=10.0)
    best = model.describe([wave])[0][0]
    with torch.inference_mode():
        logits = model.parts.encoder.hear([torch.from_numpy(wave)]).logits_BC[0]
    label = classes.audioset_names()[int(logits.argmax())]
    baseline = f"this is the sound of {label.lower()}"
    return {
        "source": sound.source,
        "label": sound.label,
        "caption": best.text,
        "score": best.score,
        "right": names(best.text, sound.label),
        "baseline": baseline,
        "baseline_right": names(baseline, sound.label),
    }


def names(text: str, label: str) -> bool:
    """Whether a text holds a word that is accepted for a label."""
    accepted = {stem(word) for word in ACCEPTED[label].split()}
    return any(stem(word) in accepted for word in re.findall(r"[a-z]+", text.lower()))


def interval(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, z = right / total, 1.96
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    return centre - reach, centre + reach


def table(judged: Sequence[dict[str, Any]]) -> list[str]:
    """Shares by source, and what right and wrong captions score."""
    lines = ["| clips of | clips | names the source | template of the best class |", "|---|---|---|---|"]
    for source in sorted({row["source"] for row in judged}):
        rows = [row for row in judged if row["source"] == source]
        cells = []
        for key in ("right", "baseline_right"):
            right = sum(row[key] for row in rows)
            low, high = interval(right, len(rows))
            cells.append(f"{100 * right / len(rows):.1f} % ({100 * low:.0f} to {100 * high:.0f})")
        lines.append(f"| {source} | {len(rows)} | {cells[0]} | {cells[1]} |")
    for key, called in ((True, "right"), (False, "wrong")):
        scores = [row["score"] for row in judged if row["right"] == key]
        if scores:
            lines += ["", f"Mean score of {called} captions: {np.mean(scores):.3f} ({len(scores)})."]
    return lines


def draw(judged: Sequence[dict[str, Any]], path: Path) -> None:
    """Share of right captions in fifths of the score."""
    scores = np.array([row["score"] for row in judged])
    right = np.array([row["right"] for row in judged], float)
    order = np.array_split(np.argsort(scores), 5)
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    axes.plot([scores[part].mean() for part in order], [right[part].mean() for part in order], "o-")
    axes.set(xlabel="mean score of a fifth of the clips", ylabel="share whose caption names the source")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
