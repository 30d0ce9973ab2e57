"""Which transcriber names and folders mean: the package's own model, or a checkpoint with lips or without.

Knows names and options; not how any transcriber works.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from seqkit import errors
from seqkit.backbone.device import choose_device
from seqkit.vision_speech import language
from seqkit.vision_speech import transcriber as own
from seqkit.vision_speech.decoding import DecodeConfig
from seqkit.vision_speech.interface import Transcriber

__all__ = ["transcriber"]

#: How text is looked for where nothing else is said; the options that say it by their fields.
USUAL = DecodeConfig()
OPTIONS = {
    "method": "--decoder",
    "beams": "--beams",
    "ctc_weight": "--ctc-weight",
    "language_weight": "--language-weight",
}


def transcriber(
    model: str,
    audio_model: str | None = None,
    *,
    lips: str | None = None,
    method: str = "beam",
    beams: int = 8,
    ctc_weight: float = 0.3,
    language_file: str | None = None,
    language_without: Sequence[str] = (),
    language_weight: float = 0.3,
    device: str = "auto",
    threads: int = 0,
) -> Transcriber:
    """The transcriber of a name.

    Parameters
    ----------
    model : of a model that comes with the package, or a folder.
    audio_model : instead, the folder of a checkpoint that transformers loads.
    lips : folder of the lips that were trained for that checkpoint.
    method, beams, ctc_weight, language_weight : see `DecodeConfig`.
    language_file : transcripts, a line each.
    language_without : texts that are left out of them.
    device : see `choose_device`.
    threads : 0 leaves them as they are.

    Raises
    ------
    DataError, UsageError
        when a file is missing or damaged, or an option is out of range, or of no use beside the others.
    """
    if threads:
        torch.set_num_threads(threads)
    config = DecodeConfig(method=method, beams=beams, ctc_weight=ctc_weight, language_weight=language_weight)
    _require_used(audio_model, config, language_file)
    where = choose_device(device)
    if audio_model is not None:
        from seqkit.vision_speech import attached, foreign

        if lips is not None:
            return attached.load(Path(audio_model), Path(lips), where)
        return foreign.load(Path(audio_model), where)
    if lips is not None:
        raise errors.UsageError("lips are attached to a checkpoint", file=lips, hint="--audio-model")
    known = None if language_file is None else language.read(language_file, language_without)
    return own.load(model, config, known, where)


def _require_used(audio_model: str | None, config: DecodeConfig, language_file: str | None) -> None:
    """Refuse what would have no effect."""
    if audio_model is not None:
        changed = [
            option for field, option in OPTIONS.items() if getattr(config, field) != getattr(USUAL, field)
        ]
        changed += ["--language-model"] if language_file is not None else []
        if changed:
            raise errors.UsageError(f"{changed[0]} has no effect on a checkpoint", hint="--audio-model")
    if config.method != "beam" and language_file is not None:
        raise errors.UsageError("a language model is for the beam", hint="--language-model, --decoder")
