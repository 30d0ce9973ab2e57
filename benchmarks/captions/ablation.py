"""What each ingredient of the captioning model is worth: switched off in turn, over some seeds.

    python benchmarks/captions/ablation.py --training DIR --data SEQKIT_DEV_DATA [--page PAGE]

Trains every variant from the same recipe (ablation.toml, short) in OUT/models and measures it on clips that
were never trained on. Ranking is switched off when captions are chosen, so it needs no training of its own.
Started again, it goes on where it stopped: with models that are finished, and with values that were measured.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import naming
import numpy as np
import saving
import torch

from seqkit.audio.captioning import describer, folder, ranking, recipe, training
from seqkit.audio.evaluation import report
from seqkit.io import atomic, audio

#: What is set otherwise in training, by the name of the variant.
TRAINED: dict[str, dict[str, Any]] = {
    "everything": {},
    "without InfoNCE": {"infonce": 0.0},
    "without mixtures": {"mixtures": 0},
    "without SpecAugment": {"spec_augment": False},
    "without texts": {"text_share": 0.0},
}
#: How the full model's captions are chosen otherwise.
CHOSEN = {
    "ranked by likelihood alone": describer.DescribeConfig(
        ranking=ranking.RankConfig(likelihood=1.0, similarity=0.0)
    ),
    "one candidate, no ranking": describer.DescribeConfig(candidates=1),
}


def main() -> None:
    parser = saving.parser(__doc__, "ablation")
    parser.add_argument("--training", type=Path, required=True, help="folder of the recipe's files")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", default=str(Path(__file__).with_name("ablation.toml")))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--variants", nargs="+", default=[*TRAINED], choices=[*TRAINED])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--most", type=int, help="held-out clips at most, for a quick look")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    values: dict[str, dict[str, list[float]]] = {}
    chosen = recipe.load_recipe(arguments.recipe)
    for seed in arguments.seeds:
        for variant in arguments.variants:
            out = arguments.out / "models" / f"{variant.replace(' ', '-')}-{seed}"
            train(arguments, variant, seed, out)
            ways = {variant: describer.DescribeConfig()} | (CHOSEN if variant == "everything" else {})
            for name, config in ways.items():
                for metric, value in measured(arguments, out, name, config).items():
                    values.setdefault(name, {}).setdefault(metric, []).append(value)
    told = {
        "kind": "captions-ablation",
        "recipe": chosen.name,
        "steps": arguments.steps or chosen.loop.steps,
        "sentence steps": chosen.sentence_loop.steps,
        "seeds": arguments.seeds,
        "values": values,
    }
    saving.save(arguments, told, as_text(told))


def train(arguments: Any, variant: str, seed: int, out: Path) -> None:
    """Train a variant, unless that is done."""
    chosen = recipe.load_recipe(arguments.recipe, seed=seed, steps=arguments.steps, **TRAINED[variant])
    kept = out / "recipe.toml"
    if kept.is_file() and kept.read_text(encoding="utf-8") == chosen.text:
        return
    reuse(out, arguments.out / "models" / f"everything-{seed}")
    training.train_captions(
        chosen, out=out, data=arguments.training, load=lambda path, rate: audio.load(path, rate, limit=60.0)
    )


def reuse(out: Path, full: Path) -> None:
    """Put what the full model listened to at hand; training takes it where it would hear the same."""
    heard, here = (folder / training.RUN / "clips.safetensors" for folder in (full, out))
    if heard.is_file() and not here.exists():
        here.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(heard, here)


def measured(arguments: Any, out: Path, name: str, config: describer.DescribeConfig) -> dict[str, float]:
    """Values of a model and a way to choose, measured once and kept beside it."""
    told = json.dumps([name, arguments.most, (out / "recipe.toml").read_text(encoding="utf-8")])
    path = out / f"measured-{name.replace(' ', '-').replace(',', '')}.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["of"] == told:
            return dict(kept["values"])
    values = measure(arguments, out, config)
    with atomic.atomic_file(path) as file:
        file.write(json.dumps({"of": told, "values": values}).encode())
    return values


def measure(arguments: Any, out: Path, config: describer.DescribeConfig) -> dict[str, float]:
    """Shares of held-out clips that are named, and scores beside people's captions."""
    parts = dataclasses.replace(folder.load_parts(out), calibration=folder.Calibration())
    own = describer.CaptionDescriber(parts, config)
    clips = naming.held_out(arguments.training / recipe.load_recipe(arguments.recipe).manifest)
    clips = clips[:: max(1, len(clips) // arguments.most)] if arguments.most else clips
    said = [own.describe(naming.waves_of([clip], own.rate, 10.0))[0][0].text for clip in clips]
    values = {
        f"{source} named (%)": 100
        * float(
            np.mean(
                [
                    naming.names(clip.label, text)
                    for clip, text in zip(clips, said, strict=True)
                    if clip.source == source
                ]
            )
        )
        for source in sorted({clip.source for clip in clips})
    }
    humans = naming.human_clips(arguments.data)
    captions = [own.describe(naming.waves_of([clip], own.rate))[0][0].text for clip in humans]
    encode, _ = naming.sentences_of(own)
    scores = report.per_clip(captions, [list(clip.references) for clip in humans], encode)
    return values | {f"Clotho {metric}": float(np.mean(found)) for metric, found in scores.items()}


def as_text(told: dict[str, Any]) -> str:
    metrics = list(next(iter(told["values"].values())))
    rows = [
        [name, *(saving.spread(found[metric]) for metric in metrics)]
        for name, found in told["values"].items()
    ]
    return "\n".join(
        [
            saving.table(["model", *metrics], rows),
            f"Mean and standard deviation over {len(told['seeds'])} seeds; {told['sentence steps']:,} steps "
            f"of the sentence encoder and {told['steps']:,} of the captions for each.",
        ]
    )


if __name__ == "__main__":
    main()
