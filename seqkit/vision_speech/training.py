"""Makes a speech model by a recipe: what `seqkit transcribe train` does.

Knows how corpus, batches, model, loss and loop fit together, and what a run leaves behind:
a model's folder, with checkpoints, clips and curves in `training/`. Stages follow each
other; each has a checkpoint of its own, so a stopped run goes on in the right one.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from seqkit import errors
from seqkit.io import atomic
from seqkit.training import curves, loop
from seqkit.vision_speech import corpus, folder, manifest, measuring, pcpg
from seqkit.vision_speech.batches import MODALITIES, Labelled, Sampler, vocabulary
from seqkit.vision_speech.corpus import Example
from seqkit.vision_speech.model import SpeechConfig, SpeechModel
from seqkit.vision_speech.objective import SpeechLoss
from seqkit.vision_speech.recipe import Recipe, Stage, names_file
from seqkit.vision_speech.selfsupervision import TRUNK, fill_trunk, fill_wave, wave_sizes
from seqkit.vision_speech.texts import END, START
from seqkit.vision_speech.wavestem import WaveStem

__all__ = ["RUN", "Result", "Split", "begin_with", "policy_part", "split", "train", "train_on"]

#: What a run keeps for itself, within the model's folder.
RUN = "training"


@dataclasses.dataclass(frozen=True)
class Split:
    """Clips by what is done with them; none is in two."""

    train: list[Example]
    dev: list[Example]


@dataclasses.dataclass(kw_only=True)
class Result:
    """What came of a run.

    Attributes
    ----------
    stages : progress of each stage that was begun, by its name.
    finished : whether all stages are complete.
    """

    stages: dict[str, loop.Progress] = dataclasses.field(default_factory=dict)
    finished: bool = False

    @property
    def seconds(self) -> float:
        """Wall time of all stages."""
        return sum(progress.seconds for progress in self.stages.values())


def train(
    chosen: Recipe,
    *,
    out: Path,
    data: Path,
    start: Path | None = None,
    audio_start: Path | None = None,
    resume: bool = True,
    minutes: float | None = None,
    on_read: Callable[[int, int], None] | None = None,
    on_step: Callable[[str, loop.Progress, int], None] | None = None,
) -> Result:
    """Train a model by a recipe and save it, however far it got.

    Parameters
    ----------
    out : folder of the result, see `folder.save`.
    data : folder in which the recipe's manifest lies.
    start : folder of a speech model, or of a trunk by `selfsupervision`, whose weights are begun with.
    audio_start : folder of a wav2vec 2.0 model that hears, and whose weights are begun with; a recipe that
        names no stem for sound takes its sizes.
    resume : go on from the checkpoints in `out`, if any.
    minutes : stop after this many; the same command goes on.
    on_read : told how many clips are read, of how many.
    on_step : told the stage's name, its progress and its number of steps, after every step.

    Raises
    ------
    DataError, UsageError
        when data or recipe cannot be used, or a checkpoint is another run's.
    """
    lines = manifest.read(data / chosen.manifest)
    held_out = _names(chosen.held_out, data)
    # Clips held out are not even read.
    lines = [line for line in lines if line.name not in held_out]
    examples = corpus.read(lines, out / RUN / "clips", on_read=on_read)
    parts = split(examples, _names(chosen.dev, data))
    return train_on(
        parts,
        chosen,
        out=out,
        start=start,
        audio_start=audio_start,
        resume=resume,
        minutes=minutes,
        on_step=on_step,
    )


def split(examples: Sequence[Example], dev: frozenset[str]) -> Split:
    """Examples to train on and to measure on, by their names."""
    train = [example for example in examples if example.line.name not in dev]
    if not train:
        raise errors.DataError("no clip is left to train on")
    return Split(train, [example for example in examples if example.line.name in dev])


def train_on(
    parts: Split,
    chosen: Recipe,
    *,
    out: Path,
    start: Path | None = None,
    audio_start: Path | None = None,
    resume: bool = True,
    minutes: float | None = None,
    on_step: Callable[[str, loop.Progress, int], None] | None = None,
) -> Result:
    """Train on clips that are read already; otherwise as `train`."""
    chosen = _hearing(chosen, start, audio_start)
    torch.manual_seed(chosen.seed)
    words = vocabulary(parts.train)
    task = _Task(chosen, SpeechModel(chosen.model), words)
    if start is not None:
        begin_with(task.loss.model, start)
    if audio_start is not None:
        _hear_with(task.loss.model, audio_start)
    begun = str(start) if audio_start is None else f"{start}, {audio_start}"
    result, left, began = Result(), minutes, time.monotonic()
    for number, stage in enumerate(chosen.stages):
        run = out / RUN / f"{number}-{stage.name}"
        task.enter(stage, number, parts)
        progress = loop.train(
            task,
            task.loss_at,
            stage.loop,
            run,
            resume=resume,
            minutes=left,
            evaluate=task.measure if parts.dev else None,
            on_step=_teller(on_step, stage),
            fingerprint=json.dumps([chosen.text, number, begun, sorted(words), len(parts.train)]),
        )
        result.stages[stage.name] = progress
        # Of this session: what earlier ones took is in the stages' own seconds.
        left = None if minutes is None else max(0.0, minutes - (time.monotonic() - began) / 60)
        if not progress.finished:
            break
    result.finished = len(result.stages) == len(chosen.stages) and progress.finished
    _save(out, chosen, task.loss.model, parts, result)
    return result


class _Task(torch.nn.Module):
    """What is trained, with the clips that it is trained on."""

    def __init__(self, chosen: Recipe, model: SpeechModel, words: dict[str, int]) -> None:
        super().__init__()
        self.chosen, self.words = chosen, words
        self.loss = SpeechLoss(model, len(words))
        self.stage: Stage | None = None
        self.dev: list[Example] = []
        self.modalities: list[str] = []

    def enter(self, stage: Stage, number: int, parts: Split) -> None:
        """Begin a stage: its batches, and a fresh look at what is measured."""
        self.stage, self.dev = stage, parts.dev
        self.modalities = [name for name in MODALITIES if stage.shares.get(name, 0) > 0]
        self.sampler = Sampler(
            parts.train,
            size=stage.batch,
            seed=_chosen_seed(self.chosen.seed, number),
            shares=stage.shares,
            disturb=stage.disturb,
            words=self.words,
        )

    def loss_at(self, step: int) -> torch.Tensor:
        """The loss of a step."""
        assert self.stage is not None
        labelled = self.sampler.at(step)
        torch.manual_seed(_chosen_seed(self.chosen.seed, step))  # dropout, the same after a restart
        with torch.autocast("cpu", torch.bfloat16, enabled=self.chosen.bfloat16):
            loss: torch.Tensor = self.loss(labelled, self.stage.loss)
            if self.stage.objective == "pcpg":
                loss = loss + policy_part(self.loss.model, labelled, self.stage.pcpg)
        return loss

    def measure(self) -> dict[str, float]:
        """Word error rates of the dev clips."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.chosen.bfloat16):
            return measuring.error_rates(self.loss.model, self.dev, self.modalities)


def _chosen_seed(seed: int, number: int) -> int:
    """Another seed for every number, far from those of neighbouring seeds."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def policy_part(model: SpeechModel, labelled: Labelled, options: pcpg.PcpgConfig) -> torch.Tensor:
    """The policy's loss of a batch: texts drawn from the decoder against its greedy ones.

    Draws with torch's own stream, which the caller has seeded.
    """
    states_BTD, real_BT = model.encode(labelled.batch)
    lengths = [int(length) + 2 for length in labelled.lengths_B]
    with torch.no_grad():
        drawn = _spelled(model, states_BTD, real_BT, max(lengths), draw=True)
        greedy = _spelled(model, states_BTD, real_BT, max(lengths), draw=False)
    longest = max(1, *map(len, drawn))
    ids_BL = torch.zeros(len(drawn), longest + 1, dtype=torch.long)
    ids_BL[:, 0] = START
    for row, text in enumerate(drawn):
        ids_BL[row, 1 : len(text) + 1] = torch.tensor(text, dtype=torch.long)
    logits_BLV = model.spell(states_BTD, real_BT, ids_BL[:, :-1])
    truth = [
        labelled.ids_BL[row, 1 : int(length) + 2].tolist() for row, length in enumerate(labelled.lengths_B)
    ]
    return pcpg.policy_loss(logits_BLV, drawn, greedy, truth, options)


def _spelled(
    model: SpeechModel, states_BTD: torch.Tensor, real_BT: torch.Tensor, most: int, *, draw: bool
) -> list[list[int]]:
    """A text for every clip, its end included, character by character."""
    ids_BL = torch.full((len(states_BTD), 1), START)
    ended_B = torch.zeros(len(states_BTD), dtype=torch.bool)
    for _ in range(most):
        shares_BV = model.spell(states_BTD, real_BT, ids_BL)[:, -1].float().softmax(dim=-1)
        next_B = torch.multinomial(shares_BV, 1)[:, 0] if draw else shares_BV.argmax(dim=-1)
        ids_BL = torch.cat([ids_BL, next_B[:, None]], dim=1)
        ended_B |= next_B == END
        if bool(ended_B.all()):
            break
    rows = ids_BL[:, 1:].tolist()
    return [row[: row.index(END) + 1] if END in row else row for row in rows]


def _names(name: str | None, data: Path) -> frozenset[str]:
    return frozenset() if name is None else manifest.read_names(names_file(name, data))


def _teller(
    on_step: Callable[[str, loop.Progress, int], None] | None, stage: Stage
) -> Callable[[loop.Progress], None] | None:
    if on_step is None:
        return None
    return lambda progress: on_step(stage.name, progress, stage.loop.steps)


def _hearing(chosen: Recipe, start: Path | None, audio_start: Path | None) -> Recipe:
    """A recipe that leaves the stem of sound open, with that of what is begun with."""
    is_model = start is not None and not (start / TRUNK).is_file()
    if is_model and audio_start is not None:
        raise errors.UsageError("is a model that hears already", file=str(start), hint="--audio-start")
    if chosen.model.audio_stem != SpeechConfig.audio_stem:
        return chosen
    sizes = chosen.model
    if audio_start is not None:
        sizes = dataclasses.replace(sizes, audio_stem="wav2vec2", wave=wave_sizes(audio_start))
    elif start is not None and is_model:
        begun = folder.read_config(start)
        sizes = dataclasses.replace(sizes, audio_stem=begun.audio_stem, wave=begun.wave)
    return dataclasses.replace(chosen, model=sizes)


def _hear_with(model: SpeechModel, start: Path) -> None:
    """Weights of a wav2vec 2.0 model for the stem that hears, which must be of its sizes."""
    assert isinstance(model.audio_stem, WaveStem), "a recipe with an audio start has this stem"
    fill_wave(model.audio_stem, start)


def begin_with(model: SpeechModel, start: Path) -> None:
    """Weights of another run's model, or of a visual trunk that learned without texts."""
    if (start / TRUNK).is_file():
        fill_trunk(model.visual_stem.trunk, start)
        return
    begun = folder.load_model(start)
    if begun.config != model.config:
        raise errors.UsageError("is a model of other sizes than the recipe's", file=str(start))
    model.load_state_dict(begun.state_dict())


def _save(out: Path, chosen: Recipe, model: SpeechModel, parts: Split, result: Result) -> None:
    """Write the model's folder, the curves and the history."""
    losses = [loss for progress in result.stages.values() for loss in progress.losses]
    evaluations: list[dict[str, float]] = []
    before = 0
    for progress in result.stages.values():
        evaluations += [{**each, "step": each["step"] + before} for each in progress.evaluations]
        before += progress.step
    folder.save(out, model.eval(), card=_card(chosen, model, parts, result))
    history = {name: dataclasses.asdict(progress) for name, progress in result.stages.items()}
    for path, content in (
        (out / RUN / "history.json", json.dumps(history) + "\n"),
        (out / "recipe.toml", chosen.text),
    ):
        with atomic.atomic_file(path) as file:
            file.write(content.encode())
    title = f"{chosen.name}: {before:,} steps, {result.seconds / 60:.1f} minutes"
    curves.save_curves(out / RUN / "curves.png", losses, evaluations, title=title, unit="loss; WER (%)")


def _card(chosen: Recipe, model: SpeechModel, parts: Split, result: Result) -> str:
    parameters = sum(weight.numel() for weight in model.parameters())
    seconds = sum(example.frames for example in parts.train) / 25
    rows = [
        f"| {name} | {progress.step:,} | {progress.seconds / 60:.1f} | {_told(progress)} |"
        for name, progress in result.stages.items()
    ]
    return "\n".join(
        [
            f"# {chosen.name}",
            "",
            f"Speech from sound ({model.config.audio_stem}) and lips: {parameters:,} parameters, made by "
            "`seqkit transcribe train` from the recipe beside this file.",
            "",
            f"Trained on {len(parts.train)} clips, {seconds / 60:.1f} minutes; {len(parts.dev)} clips were "
            "measured on to watch the run.",
            "",
            "| stage | steps | minutes | last word error rates on them (greedy CTC, %) |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _told(progress: loop.Progress) -> str:
    """The last error rates of a stage, by modality."""
    last = (progress.evaluations or [{}])[-1]
    return ", ".join(f"{key} {value:.1f}" for key, value in last.items() if key != "step")
