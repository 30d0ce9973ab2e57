"""Trains lips for a frozen Whisper-style checkpoint: what `seqkit transcribe attach` does.

Only the gates learn: the checkpoint and the model that sees stay as they are. Sound is disturbed by babble,
so that there is something that only lips tell. Knows how clips, checkpoint and loop fit together; not what is
inside the gates.

Shape suffixes: B clips, L tokens, S samples, T frames, F feature frames, M mel bands, V vocabulary, W width
of visual vectors.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqkit.io import atomic
from seqkit.models import catalogue
from seqkit.training import curves, loop
from seqkit.vision_speech import attached, corpus, folder, gated, manifest
from seqkit.vision_speech.batches import DisturbConfig, Labelled, Sampler
from seqkit.vision_speech.model import RATE, SpeechModel
from seqkit.vision_speech.texts import Alphabet
from seqkit.vision_speech.transcriber import DEFAULT

__all__ = ["AttachConfig", "attach"]

RUN = "training"
IGNORED = -100


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttachConfig:
    """How lips are attached."""

    visual: str = DEFAULT
    """Speech model whose lips are seen: a name in the package, or a folder."""
    batch: int = 8
    """Clips in a batch."""
    disturb: DisturbConfig = dataclasses.field(default_factory=lambda: DisturbConfig(noisy=0.8))
    """What is done to clips."""
    seed: int = 0
    """Everything random follows from it."""


def attach(
    audio_model: Path,
    clips: Path,
    out: Path,
    schedule: loop.LoopConfig,
    config: AttachConfig = AttachConfig(),
    *,
    held_out: frozenset[str] = frozenset(),
    resume: bool = True,
    minutes: float | None = None,
    on_read: Callable[[int, int], None] | None = None,
    on_step: Callable[[loop.Progress], None] | None = None,
) -> loop.Progress:
    """Train lips for a checkpoint and save them, however far it got.

    Parameters
    ----------
    audio_model : folder of a Whisper-style checkpoint, which is not changed.
    clips : a manifest, see `manifest.read`.
    out : folder of the result, see `attached.load`; with checkpoint and curves in `training/`.
    held_out : names of clips that are not even read.

    Raises
    ------
    UsageError, DataError
        when checkpoint or clips cannot be used, or a checkpoint is another run's.
    """
    lines = [line for line in manifest.read(clips) if line.name not in held_out]
    model, processor = attached.load_checkpoint(audio_model)
    visual = folder.load_model(catalogue.model_directory(config.visual, (DEFAULT,)))
    torch.manual_seed(config.seed)
    stream = gated.attach(model, visual.config.d_model)
    examples = corpus.read(lines, out / RUN / "clips", on_read=on_read)
    sampler = Sampler(
        examples,
        size=config.batch,
        seed=config.seed,
        shares={"both": 1.0},
        disturb=config.disturb,
        words={},
    )
    task = _Task(model, processor, visual, stream)
    progress = loop.train(
        stream,
        lambda step: task.loss_of(sampler.at(step)),
        schedule,
        out / RUN,
        resume=resume,
        minutes=minutes,
        on_step=on_step,
        fingerprint=_fingerprint(audio_model, config, schedule, len(examples)),
    )
    told = f"{progress.step:,} of {schedule.steps:,} steps on {len(examples)} clips"
    card = f"# Lips for {audio_model.name}\n\nMade by `seqkit transcribe attach`: {told}.\n"
    attached.save(out, model, stream, visual, card=card)
    with atomic.atomic_file(out / RUN / "history.json") as file:
        file.write(json.dumps(dataclasses.asdict(progress)).encode())
    curves.save_curves(out / RUN / "curves.png", progress.losses, [], title=told, unit="loss per token")
    return progress


class _Task:
    """The loss of the checkpoint's own texts, given sound and lips."""

    def __init__(self, model: Any, processor: Any, visual: SpeechModel, stream: gated.VisualStream) -> None:
        self.model, self.processor, self.visual, self.stream = model, processor, visual, stream
        self.alphabet = Alphabet(visual.config.characters)

    def loss_of(self, labelled: Labelled) -> torch.Tensor:
        """Cross-entropy in nats per token."""
        assert labelled.batch.waves_BS is not None
        texts = [self.alphabet.decode(ids[1:].tolist()) for ids in labelled.ids_BL]
        ids_BL, targets_BL = self._tokens(texts)
        with torch.no_grad():
            heard = self.model.model.encoder(self._features(labelled.batch.waves_BS))
            visual_BTW = self.visual.see(labelled.batch)
        assert visual_BTW is not None
        with self.stream.seeing(visual_BTW, labelled.batch.real_BT):
            logits_BLV = self.model(encoder_outputs=heard, decoder_input_ids=ids_BL, use_cache=False).logits
        return nn.functional.cross_entropy(
            logits_BLV.flatten(0, 1), targets_BL.flatten(), ignore_index=IGNORED
        )

    def _features(self, waves_BS: torch.Tensor) -> torch.Tensor:
        """What the checkpoint's encoder reads, (B, M, F)."""
        features_BMF: torch.Tensor = self.processor.feature_extractor(
            list(waves_BS.numpy()), sampling_rate=RATE, return_tensors="pt"
        )["input_features"]
        return features_BMF

    def _tokens(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder is given (B, L), and what should follow each token; beginnings are not learned."""
        prefix, end = self._prefix(), int(self.model.config.eos_token_id)
        room = self.model.config.max_target_positions - len(prefix)
        rows = [
            self.processor.tokenizer.encode(f" {text}", add_special_tokens=False)[:room] for text in texts
        ]
        longest = max(map(len, rows)) + len(prefix)
        ids_BL = torch.full((len(rows), longest), end)
        targets_BL = torch.full((len(rows), longest), IGNORED)
        for row, text in enumerate(rows):
            ids_BL[row, : len(prefix) + len(text)] = torch.tensor([*prefix, *text])
            first = len(prefix) - 1
            targets_BL[row, first : first + len(text) + 1] = torch.tensor([*text, end])
        return ids_BL, targets_BL

    def _prefix(self) -> list[int]:
        """What texts begin with: the start, and what the tokenizer puts behind it, as language and task."""
        start = int(self.model.config.decoder_start_token_id)
        told = list(getattr(self.processor.tokenizer, "prefix_tokens", []))
        return told if told[:1] == [start] and None not in told else [start]


def _fingerprint(audio_model: Path, config: AttachConfig, schedule: loop.LoopConfig, clips: int) -> str:
    """What tells one run from another."""
    weights = []
    for path in sorted(audio_model.glob("*.safetensors")):
        with path.open("rb") as file:
            weights.append(hashlib.file_digest(file, "sha256").hexdigest())
    told = [weights, dataclasses.asdict(config), dataclasses.asdict(schedule), clips]
    return json.dumps(told)
