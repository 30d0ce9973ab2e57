"""Captions of clips that people captioned too, beside a tagger's label in a template and shuffled captions.

    python benchmarks/captions/evaluate.py --data SEQKIT_DEV_DATA [--model FOLDER] [--page PAGE]

Nothing here was trained on: neither the clips nor what people said of them.
"""

import dataclasses
from pathlib import Path
from typing import Any

import naming
import numpy as np
import saving
import torch

from seqkit.audio.captioning import describer
from seqkit.audio.evaluation import report

SHUFFLES = 20
METRICS = ("CIDEr-D", "ROUGE-L", "sentence vectors", "faulty language")


def main() -> None:
    parser = saving.parser(__doc__, "clotho")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=describer.DEFAULT)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    own = describer.load(arguments.model)
    clips = naming.human_clips(arguments.data)
    waves = naming.waves_of(clips, own.rate)
    references = [list(clip.references) for clip in clips]
    encode, encoder = naming.sentences_of(own)
    said = [own.describe([wave_S])[0][0] for wave_S in waves]
    template = naming.tagged(own.parts.encoder, waves)
    values = {
        "model": report.per_clip([one.text for one in said], references, encode),
        "template": report.per_clip(template, references, encode),
        "shuffled": shuffled([one.text for one in said], references, encode),
        "people": people(references, encode),
    }
    scores = {name: {key: mean(found[key]) for key in METRICS} for name, found in values.items()}
    ahead = {
        name: {key: report.difference(values["model"][key], values[name][key]) for key in METRICS}
        for name in ("template", "shuffled")
    }
    told = {
        "kind": "captions-clotho",
        "model": Path(arguments.model).name,
        "sentence encoder": encoder,
        "scores": as_numbers(scores),
        "model ahead of": as_numbers(ahead),
        "not run": report.NOT_RUN,
        "clips": [
            {"file": clip.file.name, "model": one.text, "score": one.score, "template": other}
            for clip, one, other in zip(clips, said, template, strict=True)
        ],
    }
    saving.save(arguments, told, as_text(scores, ahead, told))


def shuffled(captions: list[str], references: list[list[str]], encode: Any) -> dict[str, list[float]]:
    """What captions of other clips score, every clip's mean over some shuffles."""
    runs = [report.per_clip(report.shuffled(captions, seed), references, encode) for seed in range(SHUFFLES)]
    return {key: np.mean([run[key] for run in runs], axis=0).tolist() for key in METRICS}


def people(references: list[list[str]], encode: Any) -> dict[str, list[float]]:
    """What each person scores against the others, every clip's mean over persons."""
    runs = [
        report.per_clip(
            [texts[person] for texts in references],
            [[*texts[:person], *texts[person + 1 :]] for texts in references],
            encode,
        )
        for person in range(min(map(len, references)))
    ]
    return {key: np.mean([run[key] for run in runs], axis=0).tolist() for key in METRICS}


def mean(values: list[float]) -> report.Score:
    return report.difference(values, np.zeros(len(values)).tolist())


def as_numbers(tables: dict[str, dict[str, report.Score]]) -> dict[str, Any]:
    return {
        name: {key: dataclasses.asdict(score) for key, score in found.items()}
        for name, found in tables.items()
    }


def as_text(
    scores: dict[str, dict[str, report.Score]],
    ahead: dict[str, dict[str, report.Score]],
    told: dict[str, Any],
) -> str:
    titles = {
        "model": f"`{told['model']}`",
        "template": "template with the tagger's best label",
        "shuffled": "the model's captions, shuffled between clips",
        "people": "people, each against the others",
    }
    rows = [[titles[name], *(saving.shown(found[key]) for key in METRICS)] for name, found in scores.items()]
    rows += [
        [f"model minus {name}", *(saving.shown(found[key]) for key in METRICS)]
        for name, found in ahead.items()
    ]
    clips = [[one["file"], one["model"], f"{one['score']:.2f}", one["template"]] for one in told["clips"]]
    return "\n".join(
        [
            saving.table(["captions", *METRICS], rows),
            f"{len(clips)} clips; in brackets 95 % of resamples of clips. "
            f"Sentence vectors: {told['sentence encoder']}. "
            f"SPICE and SPIDEr: not run ({told['not run']['SPICE']}).",
            "",
            saving.table(["clip", "model", "score", "template"], clips),
        ]
    )


if __name__ == "__main__":
    main()
