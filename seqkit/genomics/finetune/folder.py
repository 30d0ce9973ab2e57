"""A fine-tuned model as a folder: a model of nucleotides, and beside it `head.safetensors` and `task.json`.

The folder without the two is one that every command loads. This file knows what the
two hold and checks it; it does not know training.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch

from seqkit import errors
from seqkit.backbone.prediction import POOLINGS, PredictionHead
from seqkit.genomics.finetune import predictor, rows, task
from seqkit.genomics.finetune.examples import Example
from seqkit.genomics.finetune.task import Task
from seqkit.io import atomic, tensor_files
from seqkit.models import genomic
from seqkit.models.genomic import GenomicModel

__all__ = ["HEAD", "TASK", "TunedModel", "load", "save"]

HEAD, TASK = "head.safetensors", "task.json"
FORMAT = "seqkit task 1"
#: Most labels of a head that is read.
_MOST = task.MOST_LABELS


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TunedModel:
    """A model that answers for sequences.

    Attributes
    ----------
    base : the model of nucleotides; its network is the predictor's.
    predictor : network and head.
    task : what the answers mean.
    temperature : softens probabilities; fitted on the dev split.
    both_strands : answers of a sequence and of its reverse complement are averaged.
    """

    base: GenomicModel
    predictor: predictor.Predictor
    task: Task
    temperature: float = 1.0
    both_strands: bool = False

    def answers(self, examples: list[Example], *, truncate: bool = False) -> list[np.ndarray]:
        """Answers of the head for every example: (C,), or (L, C) of its bases.

        Raises
        ------
        DataError
            as `rows.rows_of`.
        """
        found = self.predictor.answers(rows.rows_of(self.base, examples, truncate=truncate))
        if not self.both_strands:
            return found
        turned = self.predictor.answers(
            rows.rows_of(self.base, examples, truncate=truncate, other_strand=True)
        )
        return [(one + other) / 2 for one, other in zip(found, turned, strict=True)]

    def probabilities(self, examples: list[Example], *, truncate: bool = False) -> list[np.ndarray]:
        """Calibrated probabilities of labels in the shape of `answers`; of a regression the number (1,)."""
        return [
            task.probabilities(self.task, answer, self.temperature)
            for answer in self.answers(examples, truncate=truncate)
        ]


def save(directory: Path, tuned: TunedModel, report: dict[str, Any], *, card: str, replace: bool) -> None:
    """Write the folder, whole or not at all.

    Parameters
    ----------
    report : what is told of the training and its measures, kept in `task.json`.
    card : Markdown, written as README.md.
    replace : whether a folder that is there is replaced.

    Raises
    ------
    OutputError
        when it cannot be written, or exists.
    """
    head = tuned.predictor.head
    described = {
        "format": FORMAT,
        "task": tuned.task.described(),
        "temperature": tuned.temperature,
        "pooling": head.pooling,
        "both_strands": tuned.both_strands,
        "report": report,
    }
    with atomic.atomic_directory(directory, replace=replace) as aside:
        genomic.save(aside, tuned.base.network, tuned.base.tokenizer, card=card)
        tensor_files.save(aside / HEAD, head.state_dict())
        (aside / TASK).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def load(name: str, *, device: str = "auto", offline: bool = False) -> TunedModel:
    """Load a folder that `save` wrote.

    Raises
    ------
    UsageError
        when there is no such folder, or it holds no fine-tuned model.
    DataError
        when a file is damaged, or head and task do not belong together.
    """
    folder = Path(name).expanduser()
    if not (folder / TASK).is_file():
        raise errors.UsageError(
            "not a fine-tuned model: it holds no task.json", file=name, hint="seqkit finetune"
        )
    described = _described(folder / TASK)
    posed = _task(described, folder / TASK)
    pooling = "none" if posed.per_base else str(described.get("pooling"))
    temperature = described.get("temperature")
    if (
        pooling not in (*POOLINGS, "none")
        or not isinstance(temperature, int | float)
        or not 0 < temperature < math.inf
    ):
        raise errors.DataError("its pooling or temperature makes no sense", file=str(folder / TASK))
    base = genomic.load(name, device=device, offline=offline)
    built = predictor.build(base, posed.outputs, pooling=pooling)
    _fill(built.head, folder / HEAD)
    return TunedModel(
        base=base,
        predictor=built.eval(),
        task=posed,
        temperature=float(temperature),
        both_strands=described.get("both_strands") is True,
    )


def _described(path: Path) -> dict[str, Any]:
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(path)) from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise errors.DataError("is not the task of a fine-tuned model", file=str(path))
    return described


def _task(described: dict[str, Any], path: Path) -> Task:
    given = described.get("task")
    if not isinstance(given, dict):
        raise errors.DataError("names no task", file=str(path))
    labels = given.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise errors.DataError("names no labels", file=str(path))
    kind, center, scale = given.get("kind"), given.get("center"), given.get("scale")
    has_labels = kind != "regression"
    if (
        kind not in task.KINDS
        or has_labels != bool(labels)
        or len(labels) > _MOST
        or len({*labels}) < len(labels)
    ):
        raise errors.DataError("its kind of task and its labels do not fit", file=str(path))
    if not isinstance(scale, int | float) or not math.isfinite(scale) or not scale > 0:
        raise errors.DataError("its scale makes no sense", file=str(path))
    if not isinstance(center, int | float) or not math.isfinite(center):
        raise errors.DataError("its scale makes no sense", file=str(path))
    return Task(
        kind=kind,
        labels=tuple(labels),
        listed=given.get("listed") is True,
        center=float(center),
        scale=float(scale),
    )


def _fill(head: PredictionHead, path: Path) -> None:
    """Give a head the weights of a file."""
    wanted = {name: tuple(value.shape) for name, value in head.state_dict().items()}
    try:
        with safetensors.safe_open(path, "pt") as file:
            held = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # not a mapping
            if held != wanted:
                raise errors.DataError("the head does not fit the model and its task", file=str(path))
            tensors = {name: file.get_tensor(name).to(torch.float32) for name in wanted}
    except (safetensors.SafetensorError, OSError) as error:
        raise errors.DataError(f"the head cannot be read: {error}", file=str(path)) from error
    head.load_state_dict(tensors)
