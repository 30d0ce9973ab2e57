"""Unimodal self-supervision by files: clips in, a trunk or a model of sound out.

What `seqkit transcribe pretrain` does. Knows how corpus, task and loop fit together; not
how either task works.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
import transformers

from seqkit import errors
from seqkit.io import tensor_files
from seqkit.models import folders
from seqkit.training import curves, loop
from seqkit.vision_speech import corpus, manifest, moco, wav2vec
from seqkit.vision_speech.stems import Trunk
from seqkit.vision_speech.wavestem import UNUSED, WaveSizes, WaveStem

__all__ = ["MODALITIES", "TRUNK", "fill_trunk", "fill_wave", "pretrain", "wave_sizes"]

MODALITIES = ("audio", "video")
#: The file that holds a visual trunk.
TRUNK = "trunk.safetensors"
RUN = "training"


def pretrain(
    modality: str,
    clips: Path,
    out: Path,
    config: loop.LoopConfig,
    *,
    held_out: frozenset[str] = frozenset(),
    options: dict[str, Any] | None = None,
    resume: bool = True,
    minutes: float | None = None,
    on_read: Callable[[int, int], None] | None = None,
    on_step: Callable[[loop.Progress], None] | None = None,
) -> loop.Progress:
    """Learn from clips without their texts.

    Parameters
    ----------
    modality : one of `MODALITIES`.
    clips : a manifest, see `manifest.read`.
    out : folder of the result: `trunk.safetensors` of lips, a wav2vec 2.0 folder in transformers' layout of
        sound; with checkpoint and curves in `training/`.
    held_out : names of clips that are not even read.
    options : fields of `moco.MocoConfig` or `wav2vec.Wav2VecConfig`.

    Raises
    ------
    UsageError, DataError
        when options or clips cannot be used, or the checkpoint is another run's.
    """
    if modality not in MODALITIES:
        raise errors.UsageError(f"{modality!r} is none of {', '.join(MODALITIES)}")
    lines = [line for line in manifest.read(clips, texts=False) if line.name not in held_out]
    examples = corpus.read(lines, out / RUN / "clips", seen=modality == "video", on_read=on_read)
    seed = int((options or {}).get("seed", 0))
    torch.manual_seed(seed)
    task: moco.MocoTask | wav2vec.Wav2VecTask
    if modality == "video":
        pictures_NHW = np.concatenate([example.mouths_THW[example.seen_T] for example in examples])
        task = moco.MocoTask(pictures_NHW, moco.MocoConfig(**(options or {})))
    else:
        waves = [example.wave_S for example in examples]
        task = wav2vec.Wav2VecTask(waves, wav2vec.Wav2VecConfig(**(options or {})), config.steps)
    progress = loop.train(
        task,
        task.loss_at,
        config,
        out / RUN,
        resume=resume,
        minutes=minutes,
        on_step=on_step,
        fingerprint=json.dumps([modality, dataclasses.asdict(task.config), len(examples)]),
    )
    _save(task, out)
    title = f"{modality} alone: {progress.step:,} steps, {progress.seconds / 60:.1f} minutes"
    curves.save_curves(out / RUN / "curves.png", progress.losses, [], title=title, unit="loss")
    return progress


def fill_trunk(trunk: Trunk, folder: Path) -> None:
    """The weights of a trunk that was pretrained.

    Raises
    ------
    DataError
        if the file cannot be read, or is of another size.
    """
    path = folder / TRUNK
    try:
        found = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(path)) from error
    wanted = trunk.state_dict()
    for name in sorted(set(found) | set(wanted)):
        have = tuple(found[name].shape) if name in found else None
        need = tuple(wanted[name].shape) if name in wanted else None
        if have != need:
            raise errors.DataError(f"{name} is {have}, and should be {need}", file=str(path))
    trunk.load_state_dict(found)


def wave_sizes(folder: Path) -> WaveSizes:
    """The sizes of a wav2vec 2.0 model's folder, in transformers' layout.

    Raises
    ------
    DataError
        if there is no config, it is another kind's, or the stem cannot be of such sizes.
    """
    path = folder / "config.json"
    told = folders.read_config(folder)
    if told["model_type"] != "wav2vec2":
        raise errors.DataError(
            f"model_type {told['model_type']!r} is not wav2vec2", file=str(path), hint="--audio-start"
        )
    with folders.refusing(folder):
        config = transformers.Wav2Vec2Config.from_dict(told)
    try:
        return WaveSizes.of(config)
    except (errors.UsageError, TypeError) as error:
        raise errors.DataError(str(error), file=str(path), hint="--audio-start") from error


def fill_wave(stem: WaveStem, folder: Path) -> None:
    """The weights of a wav2vec 2.0 model's folder, whatever head is on it.

    Raises
    ------
    DataError
        if weights are missing, damaged, pickled, or of other sizes.
    """
    found = wave_sizes(folder)
    for name, value in dataclasses.asdict(found).items():
        wanted = getattr(stem.sizes, name)
        if value != wanted:
            raise errors.DataError(
                f"{name} is {value}, and the recipe's is {wanted}", file=str(folder / "config.json")
            )
    folders.require_safetensors(folder)
    loaded = folders.load_network(transformers.Wav2Vec2Model, folder, torch.float32)
    weights = {name: weight for name, weight in loaded.state_dict().items() if name != UNUSED}
    stem.wave.load_state_dict(weights)


def _save(task: moco.MocoTask | wav2vec.Wav2VecTask, out: Path) -> None:
    if isinstance(task, wav2vec.Wav2VecTask):
        task.model.wav2vec2.save_pretrained(out)
        wav2vec.feature_extractor().save_pretrained(out)
        return
    tensor_files.save(out / TRUNK, task.encoder.trunk.state_dict())
