"""Makes a sound encoder from a recipe: what `seqkit caption train-encoder` does.

Knows how corpus, labels, augmentation, network and loop fit together, and what a run leaves behind: an
encoder's folder, with checkpoint, energies, history and curves in `training/`. Whatever is random follows
from the recipe's seed and a step's number, so that an interrupted run goes on as if it had not been.

Shape suffixes: B clips, T frames, M mel bands, N pieces, C classes, E numbers of a teacher's embedding.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from seqkit import errors
from seqkit.audio import augment, features
from seqkit.audio.encoders import corpus, kinds, labels, recipe
from seqkit.audio.encoders.heard import SoundEncoder
from seqkit.audio.encoders.patches import MaskedPatches, PatchEncoder
from seqkit.backbone import device as devices
from seqkit.io import atomic
from seqkit.training import curves, loop

__all__ = ["RUN", "train_encoder"]

#: What a run keeps for itself, within the encoder's folder.
RUN = "training"
_EVALUATION_BATCH = 32
_EVALUATION_PIECES = 320


def train_encoder(
    recipe_name: str,
    *,
    out: str,
    data: str,
    load: corpus.Load,
    start: str | None = None,
    resume: bool = True,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
    device: str = "auto",
    threads: int = 0,
    on_read: Callable[[int, int], Any] = lambda done, total: None,
    on_step: Callable[[loop.Progress, int], Any] | None = None,
) -> loop.Progress:
    """Train an encoder by a recipe and save it, however far it got.

    Parameters
    ----------
    recipe_name : name of a recipe in the package, or path of one.
    out : folder of the result, see `kinds.save`.
    data : folder in which the recipe's manifest and labels lie.
    load : decodes a sound's file: path and rate, to its wave (S,), float32, mono.
    start : folder of an encoder whose weights are begun with.
    resume : go on from the checkpoint in `out`, if any.
    minutes : stop after this many; the same command goes on.
    steps, seed : instead of the recipe's.
    device, threads : where, and on how many threads; 0 leaves them as they are.
    on_read : told how many pieces are read, of how many, where that was not done before.
    on_step : told the progress, and the number of steps in all, after every step.

    Raises
    ------
    UsageError
        when recipe, data or device cannot be used.
    DataError
        when files are damaged, the checkpoint is another run's, or the loss is no number.
    """
    chosen = recipe.load_recipe(recipe_name, steps=steps, seed=seed)
    if threads:
        torch.set_num_threads(threads)
    folder, place = Path(data), devices.choose_device(device)
    if not folder.is_dir():
        raise errors.UsageError("no such folder", file=data, hint="--data DIR")
    torch.manual_seed(chosen.seed)
    encoder = kinds.build(chosen.encoder, chosen.network)
    if start is not None:
        _begin_with(encoder, Path(start))
    run = Path(out) / RUN
    pieces = corpus.cut(
        corpus.read_manifest(folder / chosen.manifest), seconds=chosen.seconds, most=chosen.most
    )
    read = corpus.build(pieces, encoder.mel.config, run / "energies", load, advance=on_read)
    task = (_Labelled if chosen.objective == "labels" else _Masked)(chosen, encoder, read, folder)
    task.to(place)
    progress = loop.train(
        task,
        task.loss_at,
        chosen.loop,
        run,
        resume=resume,
        minutes=minutes,
        evaluate=task.measure if len(task.held_out) else None,
        on_step=None if on_step is None else lambda done: on_step(done, chosen.loop.steps),
        fingerprint=json.dumps([chosen.text, corpus.digest(pieces), start]),
    )
    _save(Path(out), chosen, encoder, read, progress)
    return progress


def _begin_with(encoder: SoundEncoder, folder: Path) -> None:
    """Take the weights of an encoder of the same kind and size."""
    begun = kinds.load(folder)
    if kinds.describe(begun) != kinds.describe(encoder):
        raise errors.UsageError(
            "an encoder of another kind or size than the recipe's", file=str(folder), hint="--start"
        )
    encoder.load_state_dict(begun.state_dict())


class _Batch(NamedTuple):
    """Pieces as they are shown."""

    features_BTM: torch.Tensor
    lengths_B: torch.Tensor
    places_B: np.ndarray
    """Which pieces."""
    others_B: np.ndarray
    """Which are mixed to them; -1 for none."""


class _Task(nn.Module):
    """What is trained, with the pieces it is trained on."""

    def __init__(self, chosen: recipe.Recipe, encoder: SoundEncoder, read: corpus.Corpus) -> None:
        super().__init__()
        self.chosen, self.encoder, self.read = chosen, encoder, read
        self.trained = read.places("train")
        if not len(self.trained):
            raise errors.DataError("no sound is of the split 'train'", file=chosen.manifest)
        others = np.setdiff1d(np.arange(len(read.pieces)), self.trained)
        order = np.random.default_rng([chosen.seed, 1]).permutation(others)
        self.held_out = np.sort(order[:_EVALUATION_PIECES])
        self.weights_N = np.full(len(self.trained), 1.0 / len(self.trained))

    @property
    def place(self) -> torch.device:
        """Where the network is."""
        return self.encoder.mel.filters_FM.device

    def precision(self) -> torch.autocast:
        """What the network computes in."""
        return torch.autocast(self.place.type, torch.bfloat16, enabled=self.chosen.bfloat16)

    def draw(self, step: int) -> _Batch:
        """The batch of a step: drawn, some of it mixed, and changed at random."""
        chosen, config = self.chosen, self.encoder.mel.config
        rng = np.random.default_rng([chosen.seed, 2, step])
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        places_B = rng.choice(self.trained, size=chosen.batch, p=self.weights_N)
        features_BTM, lengths_B = self.rows(places_B, rng)
        others_B = np.full(chosen.batch, -1)
        mixed = round(chosen.mixed * chosen.batch)
        if mixed:
            others_B[:mixed] = rng.choice(self.trained, size=mixed, p=self.weights_N)
            ratio_B = torch.from_numpy(rng.uniform(-chosen.ratio, chosen.ratio, mixed)).float()
            second_BTM, others_lengths_B = self.rows(others_B[:mixed], rng)
            features_BTM[:mixed] = augment.mix_energies(features_BTM[:mixed], second_BTM, ratio_B, config)
            lengths_B[:mixed] = torch.maximum(lengths_B[:mixed], others_lengths_B)
        features_BTM = augment.equalise(features_BTM, config, generator, gain=chosen.gain, bend=chosen.bend)
        features_BTM = augment.spec_augment(features_BTM, lengths_B, chosen.spec_augment, generator)
        return _Batch(features_BTM, lengths_B, places_B, others_B)

    def rows(
        self, places_B: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies (B, T, M) and lengths (B,) of pieces, silent behind their end; some repeated instead."""
        table_BTM = np.array(self.read.features_NTM[places_B], dtype=np.float32)
        lengths_B = self.read.lengths_N[places_B].copy()
        silence = float(features.from_power(torch.zeros(()), self.encoder.mel.config))
        longest = table_BTM.shape[1]
        for row_TM, number in zip(table_BTM, range(len(lengths_B)), strict=True):
            length = int(lengths_B[number])
            if rng is not None and length < longest and rng.random() < self.chosen.tiled:
                row_TM[:] = row_TM[np.arange(longest) % length]
                lengths_B[number] = longest
            else:
                row_TM[length:] = silence
        return torch.from_numpy(table_BTM), torch.from_numpy(lengths_B)


class _Labelled(_Task):
    """Binary cross-entropy with soft and known labels; a teacher's embedding beside them."""

    def __init__(
        self, chosen: recipe.Recipe, encoder: SoundEncoder, read: corpus.Corpus, folder: Path
    ) -> None:
        super().__init__(chosen, encoder, read)
        found = {name: labels.read_labels(folder / name, read.pieces) for name in chosen.labels}
        soft = [(found[name][0], weight) for name, weight in chosen.labels.items()]
        self.known_NC = read.known_classes()
        self.target_NC = labels.join(soft, self.known_NC, temperature=chosen.temperature, known=chosen.known)
        self.weights_N = labels.draw_weights(self.target_NC[self.trained], chosen.balance)
        self.embedding_NE: np.ndarray | None = None
        self.to_embedding: nn.Linear | None = None
        if chosen.embedding:
            embedding_NE = next(table_NE for _, table_NE in found.values())
            of_trained = embedding_NE[self.trained]
            self.embedding_NE = (embedding_NE - of_trained.mean(0)) / (of_trained.std(0) + 1e-3)
            self.to_embedding = nn.Linear(encoder.width, embedding_NE.shape[1])

    def loss_at(self, step: int) -> torch.Tensor:
        """The loss of a step."""
        batch = self.draw(step)
        torch.manual_seed(1_000_003 * self.chosen.seed + step)
        with self.precision():
            heard = self.encoder(batch.features_BTM.to(self.place), batch.lengths_B.to(self.place))
        target_BC = self.target_NC[batch.places_B]
        is_mixed_B = batch.others_B >= 0
        # Both are heard: a class is silent only where it is in neither.
        target_BC[is_mixed_B] = 1 - (1 - target_BC[is_mixed_B]) * (
            1 - self.target_NC[batch.others_B[is_mixed_B]]
        )
        loss = _class_loss(heard.logits_BC.float(), target_BC)
        if self.to_embedding is not None and self.embedding_NE is not None and not is_mixed_B.all():
            told_BE = self.to_embedding(heard.vector_BD.float()[torch.from_numpy(~is_mixed_B).to(self.place)])
            wanted_BE = torch.from_numpy(self.embedding_NE[batch.places_B[~is_mixed_B]]).to(self.place)
            loss = loss + self.chosen.embedding * nn.functional.smooth_l1_loss(told_BE, wanted_BE.float())
        return loss

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """On held-out pieces: the loss; how often the surest class is the target's; or is a known one."""
        logits, step = [], _EVALUATION_BATCH
        for begin in range(0, len(self.held_out), step):
            features_BTM, lengths_B = self.rows(self.held_out[begin : begin + step])
            logits.append(self.encoder(features_BTM.to(self.place), lengths_B.to(self.place)).logits_BC.cpu())
        logits_NC, target_NC = torch.cat(logits), self.target_NC[self.held_out]
        best_N = logits_NC.argmax(1).numpy()
        agree = (best_N == target_NC.argmax(1)).mean()
        measured = {"loss": float(_class_loss(logits_NC, target_NC)), "agree (%)": 100 * float(agree)}
        known_NC = self.known_NC[self.held_out]
        named_N = known_NC.any(1)
        if named_N.any():
            measured["known (%)"] = 100 * float(known_NC[named_N, best_N[named_N]].mean())
        return measured


def _class_loss(logits_BC: torch.Tensor, target_BC: np.ndarray) -> torch.Tensor:
    """Binary cross-entropy in nats, summed over ten classes' worth, so that it is of the order of 1."""
    target = torch.from_numpy(target_BC).to(logits_BC.device)
    return nn.functional.binary_cross_entropy_with_logits(logits_BC, target) * logits_BC.shape[1] / 10


class _Masked(_Task):
    """Labels of hidden patches, by a tokenizer that is never trained."""

    def __init__(
        self, chosen: recipe.Recipe, encoder: SoundEncoder, read: corpus.Corpus, folder: Path
    ) -> None:
        super().__init__(chosen, encoder, read)
        assert isinstance(encoder, PatchEncoder), "the recipe says so"
        self.masked = MaskedPatches(encoder, share=chosen.hidden, codes=chosen.codes, seed=chosen.seed)

    def loss_at(self, step: int) -> torch.Tensor:
        """The loss of a step."""
        batch = self.draw(step)
        torch.manual_seed(1_000_003 * self.chosen.seed + step)
        return self.of(batch.features_BTM, batch.lengths_B, step)

    def of(self, features_BTM: torch.Tensor, lengths_B: torch.Tensor, seed: int) -> torch.Tensor:
        """The loss of pieces, of which a seed hides patches."""
        generator = torch.Generator().manual_seed(seed)
        with self.precision():
            loss: torch.Tensor = self.masked(features_BTM.to(self.place), lengths_B.to(self.place), generator)
        return loss.float()

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """The loss of held-out pieces, of which the same patches are hidden every time."""
        rows = [self.rows(part) for part in np.array_split(self.held_out, max(1, len(self.held_out) // 32))]
        return {"loss": float(np.mean([float(self.of(*row, number)) for number, row in enumerate(rows)]))}


def _save(
    out: Path, chosen: recipe.Recipe, encoder: SoundEncoder, read: corpus.Corpus, progress: loop.Progress
) -> None:
    """Write the encoder's folder, the curves and the history."""
    minutes = progress.seconds / 60
    trained = f"{progress.step:,} of {chosen.loop.steps:,} steps of {chosen.batch} pieces, {minutes:.1f} min"
    kinds.save(out, encoder.cpu().eval(), card=_card(chosen, encoder, read, trained, progress.evaluations))
    history = {"losses": progress.losses, "evaluations": progress.evaluations, "seconds": progress.seconds}
    for path, content in (
        (out / RUN / "history.json", json.dumps(history) + "\n"),
        (out / "recipe.toml", chosen.text),
    ):
        with atomic.atomic_file(path) as file:
            file.write(content.encode())
    title = f"{chosen.name}: {trained}"
    curves.save_curves(
        out / RUN / "curves.png", progress.losses, progress.evaluations, title=title, unit="loss; %"
    )


def _card(
    chosen: recipe.Recipe,
    encoder: SoundEncoder,
    read: corpus.Corpus,
    trained: str,
    evaluations: list[dict[str, float]],
) -> str:
    hours: dict[tuple[str, str], float] = {}
    for piece in read.pieces:
        key = (piece.sound.source or "?", piece.sound.split)
        hours[key] = hours.get(key, 0.0) + piece.seconds / 3600
    parameters = sum(p.numel() for p in encoder.parameters())
    lines = [
        f"# {chosen.name}",
        "",
        f"A sound encoder ({chosen.encoder}, {parameters:,} parameters), made by `seqkit caption "
        f"train-encoder` from the recipe beside this file: {trained}.",
        "",
        f"Teachers' soft labels: {', '.join(map(os.path.basename, chosen.labels)) or 'none'}. Sounds:",
        "",
        "| source | split | hours |",
        "|---|---|---|",
        *(f"| {source} | {split} | {total:.2f} |" for (source, split), total in sorted(hours.items())),
        "",
        f"Last evaluation on held-out pieces: {evaluations[-1] if evaluations else 'none'}.",
        "",
    ]
    return "\n".join(lines)
