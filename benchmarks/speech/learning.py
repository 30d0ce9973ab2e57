"""Ways to learn speech, side by side: starts by MoCo, by wav2vec 2.0 or at random; PCPG or cross-entropy.

    python benchmarks/speech/learning.py GRID_SPEAKER --out learning --page docs/benchmarks/speech.md

One model learns from sound, so that encoder and decoder know the sentences. From it, and for every seed,
lips are learned with a random visual trunk and with one that MoCo v2 pretrained on the same clips without
texts; then the random one goes on for a while, with cross-entropy alone and with the policy gradient beside
it; error rates are of lips alone. Apart from these, a stem that hears waves learns from a random start and
from one that wav2vec 2.0 pretrained on the same clips without texts; error rates are of sound alone. All are
of clips that nothing was trained on. Started again, it goes on where it stopped.
"""

import argparse
import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from seqkit.io import atomic, pages
from seqkit.training.loop import LoopConfig
from seqkit.vision_speech import (
    corpus,
    evaluation,
    folder,
    manifest,
    recipe,
    selfsupervision,
    training,
    transcriber,
)
from seqkit.vision_speech.decoding import DecodeConfig
from seqkit.vision_speech.model import SpeechModel
from seqkit.vision_speech.pcpg import PcpgConfig

#: Which recipe a stage is of.
RECIPES = {"audio": "learning", "video": "learning", "policy": "learning", "waves": "waves"}
#: Two of the ways in which a text is read; CTC does not see what the policy gradient does to the decoder.
WAYS = {"decoder": DecodeConfig(method="greedy"), "CTC": DecodeConfig(method="ctc")}


class Comparison:
    """What all runs share.

    Parameters
    ----------
    clips : a GRID speaker's folder.
    out : folder of models and measurements.
    seeds : how many.
    moco_steps, wave_steps : of self-supervision by MoCo v2 and by wav2vec 2.0.
    """

    def __init__(self, clips: Path, out: Path, seeds: int, moco_steps: int, wave_steps: int) -> None:
        self.clips, self.out, self.seeds = clips, out, seeds
        self.moco_steps, self.wave_steps = moco_steps, wave_steps
        self.recipes = {
            name: recipe.load_recipe(str(Path(__file__).with_name(f"{name}.toml")))
            for name in dict.fromkeys(RECIPES.values())
        }
        self.held_out = manifest.read_names(recipe.names_file("grid-test.txt", Path()))
        lines = manifest.read(clips)
        known = [line for line in lines if line.name not in self.held_out]
        self.train = training.Split(corpus.read(known, out / "clips"), [])
        tested = [line for line in lines if line.name in self.held_out]
        self.test = corpus.read(tested, out / "test-clips")

    def rows(self) -> list[dict[str, Any]]:
        """All measurements."""
        return self.of_lips() + self.of_sound()

    def of_lips(self) -> list[dict[str, Any]]:
        """Error rates of lips alone."""
        sound = self.model("sound", "audio", 0, None)
        trunk = self.trunk()
        found = []
        for seed in range(self.seeds):
            for name, filled in (("random trunk", None), ("MoCo v2 trunk", trunk)):
                start = self.start(f"start-{name}-{seed}", seed, sound, filled)
                found.append(self.row("self-supervision", name, "video", seed, start))
            learned = self.path("random trunk", seed)
            for name, objective in (("cross-entropy alone", "cross-entropy"), ("with PCPG", "pcpg")):
                found.append(self.row("objective", name, "policy", seed, learned, objective))
        return found

    def of_sound(self) -> list[dict[str, Any]]:
        """Error rates of sound alone."""
        wave = self.wave()
        return [
            self.row("self-supervision of sound", name, "waves", seed, None, audio_start=filled)
            for seed in range(self.seeds)
            for name, filled in (("random stem", None), ("wav2vec 2.0 stem", wave))
        ]

    def stage(self, name: str) -> recipe.Stage:
        """A stage by its name."""
        (found,) = (stage for stage in self.recipes[RECIPES[name]].stages if stage.name == name)
        return found

    def path(self, name: str, seed: int) -> Path:
        """Where a run's model lies."""
        return self.out / "models" / f"{name.replace(' ', '-')}-{seed}"

    def model(
        self,
        name: str,
        stage: str,
        seed: int,
        start: Path | None,
        objective: str = "cross-entropy",
        audio_start: Path | None = None,
    ) -> Path:
        """The folder of a model, trained unless it is there."""
        out, whole = self.path(name, seed), self.recipes[RECIPES[stage]]
        part = dataclasses.replace(self.stage(stage), objective=objective)
        text = f"{whole.text}\n# {name}, stage {stage}, {objective}, seed {seed}\n"
        chosen = dataclasses.replace(whole, name=name, stages=(part,), seed=seed, text=text)
        kept = out / "recipe.toml"
        if not kept.is_file() or kept.read_text(encoding="utf-8") != text:
            print(f"{name}, seed {seed}: {part.loop.steps} steps", flush=True)
            training.train_on(self.train, chosen, out=out, start=start, audio_start=audio_start)
        return out

    def trunk(self) -> Path:
        """The folder of the trunk that learned from mouths alone."""
        out = self.out / "trunk"
        if not (out / selfsupervision.TRUNK).is_file():
            print(f"MoCo v2: {self.moco_steps} steps", flush=True)
            loop = LoopConfig(steps=self.moco_steps, warmup=self.moco_steps // 10)
            selfsupervision.pretrain("video", self.clips, out, loop, held_out=self.held_out)
        return out

    def wave(self) -> Path:
        """The folder of the wav2vec 2.0 model that learned from sound alone."""
        out, sizes = self.out / "wave", self.recipes["waves"].model.wave
        if not (out / "model.safetensors").is_file():
            print(f"wav2vec 2.0: {self.wave_steps} steps", flush=True)
            options = {
                "hidden": sizes.hidden_size,
                "layers": sizes.num_hidden_layers,
                "heads": sizes.num_attention_heads,
                "channels": sizes.conv_dim[0],
            }
            loop = LoopConfig(steps=self.wave_steps, warmup=self.wave_steps // 10)
            selfsupervision.pretrain("audio", self.clips, out, loop, held_out=self.held_out, options=options)
        return out

    def start(self, name: str, seed: int, sound: Path, trunk: Path | None) -> Path:
        """A model that knows sound, with a visual stem that is new but for the trunk, if one is given."""
        out = self.out / "starts" / name.replace(" ", "-")
        torch.manual_seed(seed)
        model = SpeechModel(self.recipes["learning"].model)
        learned = folder.load_model(sound).state_dict()
        stem = {key: value for key, value in model.state_dict().items() if key.startswith("visual_stem.")}
        model.load_state_dict({**learned, **stem})
        if trunk is not None:
            selfsupervision.fill_trunk(model.visual_stem.trunk, trunk)
        folder.save(out, model, card=f"# {name}\n")
        return out

    def row(
        self,
        table: str,
        name: str,
        stage: str,
        seed: int,
        start: Path | None,
        objective: str = "cross-entropy",
        audio_start: Path | None = None,
    ) -> dict[str, Any]:
        """Error rates of a model on the clips that were kept out, measured once and kept beside it."""
        out = self.model(name, stage, seed, start, objective, audio_start)
        path, told = out / "measured.json", (out / "recipe.toml").read_text(encoding="utf-8")
        if path.is_file() and json.loads(path.read_text(encoding="utf-8"))["of"] == told:
            return dict(json.loads(path.read_text(encoding="utf-8"))["row"])
        found: dict[str, Any] = {"table": table, "name": name, "seed": seed}
        model, modality = folder.load_model(out), "audio" if stage == "waves" else "video"
        for way, config in WAYS.items():
            reader = transcriber.SpeechTranscriber(model, config)
            [cell] = evaluation.evaluate(reader, self.test, modalities=(modality,))
            found[f"{way} WER"], found[f"{way} CER"] = cell.words.value, cell.characters.value
        with atomic.atomic_file(path) as file:
            file.write(json.dumps({"of": told, "row": found}).encode())
        print(found, flush=True)
        return found


def as_text(rows: list[dict[str, Any]], compared: Comparison) -> str:
    """Tables, and differences within seeds."""
    metrics = [f"{way} {rate}" for way in WAYS for rate in ("WER", "CER")]
    lines = []
    for table in dict.fromkeys(row["table"] for row in rows):
        of = [row for row in rows if row["table"] == table]
        names = list(dict.fromkeys(row["name"] for row in of))
        lines += [f"| {table} | {' | '.join(f'{metric} %' for metric in metrics)} |"]
        lines += ["|---|" + "---|" * len(metrics)]
        series = {name: {m: [row[m] for row in of if row["name"] == name] for m in metrics} for name in names}
        lines += [f"| {name} | {' | '.join(map(spread, found.values()))} |" for name, found in series.items()]
        first, second = (series[name] for name in names)
        gains = [[b - a for a, b in zip(first[m], second[m], strict=True)] for m in metrics]
        lines += [f"| the second minus the first | {' | '.join(map(spread, gains))} |", ""]
    steps = {name: compared.stage(name).loop.steps for name in RECIPES}
    options = PcpgConfig()
    lines += [
        f"Mean and standard deviation over {compared.seeds} seeds; the third row's are of differences within "
        f"a seed. {len(compared.test)} clips; lips alone, and sound alone in the last table. Schedules are "
        f"short: {steps['audio']} steps of sound, {compared.moco_steps} of MoCo v2, {steps['video']} of "
        f"lips, then {steps['policy']} with either objective (window {options.window}, stride "
        f"{options.stride}, weight {options.weight:g}); {compared.wave_steps} of wav2vec 2.0, "
        f"{steps['waves']} with either stem.",
    ]
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    """Mean and standard deviation in percent."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.fmean(values):.1f} ± {100 * deviation:.1f}"


def main() -> None:
    """Train, measure, and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, help="a GRID speaker's folder")
    parser.add_argument("--out", type=Path, default=Path("learning"), help="goes on with what is there")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--moco-steps", type=int, default=300)
    parser.add_argument("--wave-steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, help="where the report belongs, between its markers")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    compared = Comparison(
        arguments.clips, arguments.out, arguments.seeds, arguments.moco_steps, arguments.wave_steps
    )
    rows = compared.rows()
    (arguments.out / "report.md").write_text(as_text(rows, compared), encoding="utf-8")
    content = {"kind": "speech-learning", "rows": rows}
    (arguments.out / "report.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print((arguments.out / "report.md").read_text(encoding="utf-8"))
    if arguments.page:
        pages.paste(arguments.out, arguments.page)


if __name__ == "__main__":
    main()
