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

from seqkit import errors
from seqkit.io import atomic
from seqkit.training import curves, loop
from seqkit.vision_speech import corpus, manifest, moco, wav2vec
from seqkit.vision_speech.stems import Trunk

__all__ = ["MODALITIES", "TRUNK", "fill_trunk", "pretrain"]

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
    lines = [line for line in manifest.read(clips) if line.name not in held_out]
    examples = corpus.read(lines, out / RUN / "clips", on_read=on_read)
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


def _save(task: moco.MocoTask | wav2vec.Wav2VecTask, out: Path) -> None:
    if isinstance(task, wav2vec.Wav2VecTask):
        task.model.wav2vec2.save_pretrained(out)
        wav2vec.feature_extractor().save_pretrained(out)
        return
    tensors = {name: weight.contiguous() for name, weight in task.encoder.trunk.state_dict().items()}
    with atomic.atomic_path(out / TRUNK) as path:
        safetensors.torch.save_file(tensors, path)
