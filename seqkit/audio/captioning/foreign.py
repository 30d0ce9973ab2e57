"""Audio-to-text checkpoints that transformers loads, behind the same interface.

Whichever kinds the installed transformers says read sound and write text: with an encoder
and a decoder, or a language model that is asked with a place for the sound.
A folder on disk only: nothing is fetched, no code of a checkpoint is run, weights are
safetensors. The score of a caption is the mean probability of its tokens, which is no
calibrated probability that it is right.

Shape suffixes: S samples, L tokens.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from transformers.models.auto import modeling_auto

from seqkit import errors
from seqkit.audio.captioning.interface import Scored
from seqkit.models import folders, listening

__all__ = ["ForeignDescriber", "class_of", "load"]

#: Where transformers lists kinds of models that may read sound and write text.
_LISTS = (
    "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES",
)
#: What an instructed model is asked.
ASKED = "Describe the sound in one sentence:"
#: As Qwen2-Audio was trained, whether its folder has a template of chats or not.
_QWEN2_AUDIO = "<|audio_bos|><|AUDIO|><|audio_eos|>"


class ForeignDescriber:
    """See `Describer`.

    Parameters
    ----------
    model, processor : transformers'.
    name : what errors call the checkpoint.
    prompt : what an instructed model is asked, with its place for the sound; None for others.
    most_tokens : longest caption.

    Attributes
    ----------
    longest : seconds that are read at once; the processor would cut off what is beyond them.
    """

    def __init__(
        self, model: Any, processor: Any, *, name: str, prompt: str | None, most_tokens: int = 48
    ) -> None:
        self.model, self.processor, self.name = model.eval(), processor, name
        self.prompt, self.most_tokens = prompt, most_tokens
        self._features = _features_of(processor)
        self.rate = int(self._features.sampling_rate)
        # Some processors part a long sound themselves, up to a length of their own.
        longest = getattr(processor, "max_audio_len", None) or getattr(self._features, "chunk_length", None)
        self.longest = float(longest or math.inf)

    @torch.inference_mode()
    def describe(self, waves: Sequence[npt.NDArray[np.float32]], n_best: int = 1) -> list[list[Scored]]:
        """See `Describer.describe`; one wave at a time, with as many beams as captions are asked for.

        Beams that say the same are one caption; Whisper's are all its best one.

        Raises
        ------
        DataError
            if a wave is longer than the longest that is read at once, or the checkpoint fails on it.
        """
        return [self._captions(wave_S, n_best) for wave_S in waves]

    def _captions(self, wave_S: npt.NDArray[np.float32], n_best: int) -> list[Scored]:
        if len(wave_S) > self.longest * self.rate:
            raise errors.DataError(
                f"a clip of {len(wave_S) / self.rate:.1f} s, "
                f"and the checkpoint reads {self.longest:g} s at once"
            )
        with folders.quiet(), _failing(self.name):
            read = {key: value.to(self.model.device) for key, value in self._read(wave_S).items()}
            sequences = self.model.generate(
                **read,
                max_new_tokens=self._room(),
                do_sample=False,
                num_beams=max(1, n_best),
                num_return_sequences=n_best,
                **self._unsaid(),
            )
            found = [self._scored(read, ids_L) for ids_L in sequences]
        each = {one.text: one for one in sorted(found, key=lambda one: one.score)}
        return sorted(each.values(), key=lambda one: -one.score)

    def _scored(self, read: Mapping[str, Any], ids_L: torch.Tensor) -> Scored:
        """The caption of some ids, up to its end; what stands behind is padding beside longer ones."""
        given = read["input_ids"].shape[1] if self.prompt is not None else 1
        if self.prompt is None:
            start = int(self.model.config.decoder_start_token_id)
            if not len(ids_L) or int(ids_L[0]) != start:
                ids_L = torch.cat([ids_L.new_tensor([start]), ids_L])
        else:
            # Of the prompt's tokens, and the sequence is longer.
            shape = read["input_ids"].shape
            read = {key: value for key, value in read.items() if value.shape != shape}
        ends = (torch.isin(ids_L[given:], ids_L.new_tensor(self._ends()))).nonzero()
        ids_L = ids_L[: given + int(ends[0]) + 1] if len(ends) else ids_L
        mean = listening.mean_logprob(self.model, read, ids_L, given)
        text = self.processor.tokenizer.decode(ids_L[given:], skip_special_tokens=True)
        return Scored(" ".join(text.split()), math.exp(mean), mean)

    def _ends(self) -> list[int]:
        told = self.model.generation_config.eos_token_id
        return [] if told is None else [told] if isinstance(told, int) else list(told)

    def _unsaid(self) -> dict[str, list[int]]:
        """The place of a sound is no word; a model that said it would ask for a second sound."""
        place = getattr(self.model.config, "audio_token_id", None)
        return {} if self.prompt is None or place is None else {"suppress_tokens": [int(place)]}

    def _room(self) -> int:
        """Tokens that may be said, beside those that stand before them."""
        positions = getattr(self.model.config, "max_target_positions", None)
        return self.most_tokens if positions is None else max(1, min(self.most_tokens, positions - 8))

    def _read(self, wave_S: npt.NDArray[np.float32]) -> dict[str, torch.Tensor]:
        if self.prompt is None:
            return dict(
                self._features(
                    wave_S, sampling_rate=self.rate, return_tensors="pt", return_attention_mask=True
                )
            )
        return dict(self.processor(text=self.prompt, audio=wave_S, return_tensors="pt", **self._told_rate()))

    def _told_rate(self) -> dict[str, int]:
        """The rate, for feature extractors that check it."""
        return {"sampling_rate": self.rate} if hasattr(self.processor, "feature_extractor") else {}


def class_of(folder: Path) -> str:
    """The name of transformers' class that holds a folder's checkpoint.

    Raises
    ------
    DataError
        when the config is missing or damaged, or names what does not write text from sound.
    """
    kind, path = listening.kind_of(folder), str(folder / "config.json")
    fitting = [name for name in _listed(kind) if _writes_from_sound(getattr(transformers, name))]
    if not fitting:
        raise errors.DataError(
            f"model_type {kind!r} does not write text from sound", file=path, hint="--model"
        )
    # A config of another task's model is of the same kind; its weights lack what writes.
    told = folders.read_config(folder, known=(kind,)).get("architectures")
    named = [str(name) for name in told] if isinstance(told, list) else []
    if named and not set(named) & set(fitting):
        raise errors.DataError(
            f"{', '.join(named)} does not write text from sound; {fitting[0]} does", file=path, hint="--model"
        )
    return next((name for name in named if name in fitting), fitting[0])


def _listed(kind: str) -> list[str]:
    """Names of the classes that the installed transformers has for a kind, each once."""
    names: dict[str, None] = {}
    for mapping in _LISTS:
        found = getattr(modeling_auto, mapping, {}).get(kind, ())
        names.update(dict.fromkeys((found,) if isinstance(found, str) else found))
    return list(names)


def _writes_from_sound(kind: Any) -> bool:
    reads, writes = (
        (told,) if isinstance(told, str) else tuple(told or ())
        for told in (kind.input_modalities, kind.output_modalities)
    )
    return "audio" in reads and writes == ("text",) and bool(kind.can_generate())


def _features_of(processor: Any) -> Any:
    """What makes features of sounds; its name differs between processors."""
    return getattr(processor, "feature_extractor", None) or getattr(processor, "audio_processor", None)


@contextlib.contextmanager
def _failing(name: str) -> Iterator[None]:
    """Turn whatever a checkpoint of a kind that was never tried does into an error that names it."""
    try:
        yield
    except errors.SeqkitError:
        raise
    except Exception as error:  # of many kinds: shapes, missing options of generation, prompts
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise errors.DataError(f"the checkpoint cannot describe a sound: {reason}", file=name) from error


def _prompt(processor: Any, kind: str, name: str) -> str:
    """What a language model is asked: by its template of chats where there is one."""
    if kind == "qwen2_audio":
        return _QWEN2_AUDIO + ASKED
    place = getattr(processor, "audio_token", None)
    if not isinstance(place, str):
        raise errors.DataError(
            "its processor names no place for a sound in a prompt", file=name, hint="--model"
        )
    if not getattr(processor, "chat_template", None):
        return place + ASKED
    # Some templates place sounds themselves, others take them as part of the text.
    parts: list[Any] = [
        [{"type": "audio"}, {"type": "text", "text": ASKED}],
        place + ASKED,
    ]
    for content in parts:
        with _failing(name):
            asked = str(
                processor.apply_chat_template(
                    [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
                )
            )
        if place in asked:
            return asked
    raise errors.DataError("its template of chats has no place for a sound", file=name, hint="--model")


def load(folder: Path, device: torch.device | str = "cpu") -> ForeignDescriber:
    """A checkpoint that reads sound and writes text, from its folder.

    Parameters
    ----------
    device : where it runs.

    Raises
    ------
    DataError
        when a file is missing or damaged, or the kind does not write text from sound; named.
    """
    name, kind = class_of(folder), listening.kind_of(folder)
    model, processor = listening.load(folder, {kind: name}, "--model")
    if _features_of(processor) is None or getattr(processor, "tokenizer", None) is None:
        raise errors.DataError(
            "holds no processor with features of sounds and a tokenizer", file=str(folder), hint="--model"
        )
    asked = _prompt(processor, kind, str(folder)) if model.main_input_name == "input_ids" else None
    return ForeignDescriber(model.to(device), processor, name=str(folder), prompt=asked)
