"""A frozen Whisper-style checkpoint that also sees lips, as a `Transcriber`, and its lips on disk.

Their folder holds the gates' weights, their sizes, and the speech model whose visual half sees; the
checkpoint itself stays where it is. Knows files and clips; not training.

Shape suffixes: B clips, S samples, T frames, W width of visual vectors.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from seqkit import errors
from seqkit.io import atomic, tensor_files
from seqkit.models import listening
from seqkit.vision_speech import folder, gated
from seqkit.vision_speech.corpus import SAMPLES_PER_FRAME
from seqkit.vision_speech.foreign import WHISPER, WhisperTranscriber
from seqkit.vision_speech.interface import Clip, Heard
from seqkit.vision_speech.model import SpeechModel
from seqkit.vision_speech.transcriber import batch_of

__all__ = ["AttachedTranscriber", "load", "load_checkpoint", "save"]

MODEL_TYPE = "seqkit-lips"
#: Where the model that sees lies, within the folder.
VISUAL = "visual"
_LARGEST_CONFIG = 1 << 16


class AttachedTranscriber(WhisperTranscriber):
    """See `Transcriber`; a clip without pictures is read by its sound, one without sound by silence and lips.

    Parameters
    ----------
    model, processor : transformers', with `stream` attached to it.
    visual : its lips are what the stream shows.
    """

    uses = frozenset({"audio", "video"})

    def __init__(self, model: Any, processor: Any, stream: gated.VisualStream, visual: SpeechModel) -> None:
        super().__init__(model, processor)
        self.stream, self.visual = stream.eval(), visual.eval()

    @torch.inference_mode()
    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        """See `Transcriber.transcribe`."""
        return [self._read(clip) for clip in clips]

    def _read(self, clip: Clip) -> Heard:
        if clip.mouths_THW is None or not clip.frames:
            return Heard("", 0.0) if clip.wave_S is None else self._heard(clip.wave_S)
        wave_S = clip.wave_S
        if wave_S is None:
            wave_S = np.zeros(clip.frames * SAMPLES_PER_FRAME, dtype=np.float32)
        batch = batch_of([clip]).to(self.model.device)
        visual_BTW = self.visual.see(batch)
        assert visual_BTW is not None, "the clip has pictures"
        with self.stream.seeing(visual_BTW, batch.real_BT):
            return self._heard(wave_S)


def load_checkpoint(audio_model: Path) -> tuple[Any, Any]:
    """Model and processor of a Whisper-style checkpoint, see `listening.load`."""
    return listening.load(audio_model, {WHISPER: "WhisperForConditionalGeneration"}, "--audio-model")


def load(audio_model: Path, lips: Path, device: torch.device | str = "cpu") -> AttachedTranscriber:
    """A checkpoint with the lips that were trained for it; on the processor unless a device is given.

    Raises
    ------
    DataError
        when a file is missing or damaged, or the lips are another checkpoint's.
    """
    model, processor = load_checkpoint(audio_model)
    visual = folder.load_model(lips / VISUAL)
    stream = gated.attach(model, visual.config.d_model)
    path = lips / "model.safetensors"
    try:
        told = (lips / "config.json").read_text(encoding="utf-8")[:_LARGEST_CONFIG]
        if json.loads(told) != _config(model, visual):
            raise errors.DataError(
                "lips of another checkpoint", file=str(lips / "config.json"), hint="--audio-model"
            )
        stream.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise errors.DataError(f"cannot be read: {error}", file=str(lips)) from error
    return AttachedTranscriber(model.to(device), processor, stream.to(device), visual.to(device))


def save(out: Path, model: Any, stream: gated.VisualStream, visual: SpeechModel, *, card: str) -> None:
    """Write the folder that `load` takes as lips."""
    out.mkdir(parents=True, exist_ok=True)
    folder.save(out / VISUAL, visual, card="# The model whose lips are seen\n")
    tensor_files.save(out / "model.safetensors", stream.state_dict())
    for name, content in (("config.json", json.dumps(_config(model, visual), indent=1)), ("README.md", card)):
        with atomic.atomic_file(out / name) as file:
            file.write(content.encode())


def _config(model: Any, visual: SpeechModel) -> dict[str, Any]:
    """What gates and checkpoint must agree on."""
    return {
        "model_type": MODEL_TYPE,
        "layers": len(model.model.decoder.layers),
        "width": model.config.d_model,
        "vocab_size": model.config.vocab_size,
        "visual_width": visual.config.d_model,
    }
