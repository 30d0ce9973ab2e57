"""Makes a captioning model by a recipe: what `seqkit caption train` does.

First a sentence encoder learns its teacher's space from captions; then adapter and decoder
learn from clips that a frozen sound encoder listened to once, from mixtures, and from
texts without sound. Knows how the pieces fit together; not how any of them is done.

Shape suffixes: B rows of a batch, L tokens, W width of sentence vectors.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from seqkit import errors
from seqkit.audio.captioning import examples, folder, objective, sentences
from seqkit.audio.captioning.examples import Clip, Texts
from seqkit.audio.captioning.model import CaptionModel, Source
from seqkit.audio.captioning.recipe import Recipe
from seqkit.audio.captioning.words import label_phrases
from seqkit.audio.encoders import corpus, kinds
from seqkit.io import atomic, tensor_files
from seqkit.tokenizers.subword import SubwordTokenizer
from seqkit.training import curves, loop

__all__ = ["RUN", "Result", "train_captions"]

#: What a run keeps for itself, within the model's folder.
RUN = "training"
START, END = 1, 2
#: Captions that are only measured on, of the texts.
HELD_OUT_TEXTS = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a run."""

    sentence: loop.Progress
    caption: loop.Progress | None

    @property
    def finished(self) -> bool:
        """Whether both parts are complete."""
        return self.caption is not None and self.caption.finished


def train_captions(
    chosen: Recipe,
    *,
    out: Path,
    data: Path,
    load: corpus.Load,
    resume: bool = True,
    minutes: float | None = None,
    on_listen: Callable[[int, int], Any] = lambda done, total: None,
    on_step: Callable[[str, loop.Progress, int], Any] | None = None,
) -> Result:
    """Train a model by a recipe and save it, however far it got.

    Parameters
    ----------
    out : folder of the result, see `folder.save`.
    data : folder in which the recipe's files lie.
    load : decodes a sound's file: path and rate, to its wave (S,), float32, mono.
    resume : go on from the checkpoints in `out`, if any.
    minutes : stop after this many; the same command goes on.
    on_listen : told how many clips are listened to, of how many, where that was not done before.
    on_step : told what is trained, its progress and the number of steps, after every step.

    Raises
    ------
    UsageError, DataError
        when recipe or data cannot be used, or a checkpoint is another run's.
    """
    began = time.monotonic()
    torch.manual_seed(chosen.seed)
    run = out / RUN
    texts = Texts(examples.read_texts(data / chosen.texts))
    tokenizer = _tokenizer(chosen, texts, run)
    chosen = _sized(chosen, tokenizer)
    teacher = _Sentences(chosen, texts, tokenizer, _vectors(data / chosen.vectors, len(texts.lines)))
    sentence_progress = loop.train(
        teacher,
        teacher.loss_at,
        chosen.sentence_loop,
        run / "sentences",
        resume=resume,
        minutes=minutes,
        evaluate=teacher.measure,
        on_step=_teller(on_step, "sentences", chosen.sentence_loop.steps),
        fingerprint=json.dumps([chosen.text, "sentences"]),
    )
    if not sentence_progress.finished:
        return Result(sentence=sentence_progress, caption=None)
    # Of this session: what earlier ones took is in the progress' own seconds.
    left = None if minutes is None else max(0.0, minutes - (time.monotonic() - began) / 60)
    encoder = kinds.load(data / chosen.encoder)
    sounds = [
        sound
        for sound in corpus.read_manifest(data / chosen.manifest)
        if sound.split == "train" and (sound.classes or sound.label)
    ]
    clips = _listened(chosen, sounds, encoder, load, run / "clips", on_listen)
    task = _Captions(chosen, texts, sounds, clips, tokenizer, teacher.encoder)
    progress = loop.train(
        task,
        task.loss_at,
        chosen.loop,
        run / "captions",
        resume=resume,
        minutes=left,
        evaluate=task.measure,
        on_step=_teller(on_step, "captions", chosen.loop.steps),
        fingerprint=json.dumps([chosen.text, "captions", len(clips)]),
    )
    result = Result(sentence=sentence_progress, caption=progress)
    parts = folder.Parts(encoder=encoder, model=task.model, sentences=teacher.encoder, tokenizer=tokenizer)
    _save(out, chosen, parts, sounds, result)
    return result


class _Sentences(torch.nn.Module):
    """The sentence encoder with what it learns from."""

    def __init__(
        self, chosen: Recipe, texts: Texts, tokenizer: SubwordTokenizer, vectors_NW: torch.Tensor
    ) -> None:
        super().__init__()
        self.encoder = sentences.SentenceEncoder(chosen.sentence)
        self._seed, self._batch, self._vectors_NW = chosen.seed, chosen.batch, vectors_NW
        self._ids = [tokenizer.encode(line)[: chosen.model.max_tokens] for line in texts.lines]

    def loss_at(self, step: int) -> torch.Tensor:
        """Distance to the teacher over a batch of captions."""
        rng = np.random.default_rng((self._seed, 1, step))
        return self._loss(rng.integers(HELD_OUT_TEXTS, len(self._ids), size=2 * self._batch))

    def measure(self) -> dict[str, float]:
        """Mean cosine to the teacher, over captions that are not trained on."""
        places = np.arange(min(HELD_OUT_TEXTS, len(self._ids)))
        with torch.no_grad():
            own_BW = self.encoder(padded([self._ids[place] for place in places]))
        return {"cosine": float((own_BW * self._vectors_NW[places].float()).sum(dim=-1).mean())}

    def _loss(self, places: np.ndarray) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            own_BW = self.encoder(padded([self._ids[place] for place in places]))
        return sentences.distillation_loss(own_BW.float(), self._vectors_NW[places].float())


class _Captions(torch.nn.Module):
    """The captioning model with what it learns from; sound and sentence encoders stay as they are."""

    def __init__(
        self,
        chosen: Recipe,
        texts: Texts,
        sounds: Sequence[corpus.Sound],
        clips: Sequence[Clip],
        tokenizer: SubwordTokenizer,
        sentence_encoder: sentences.SentenceEncoder,
    ) -> None:
        super().__init__()
        self.model = CaptionModel(chosen.model)
        self._chosen, self._texts, self._tokenizer = chosen, texts, tokenizer
        self._said = examples.clips_of(sounds, texts)
        self._clips = [clip for clip in clips if all(self._said[part] for part in clip.parts)]
        if not self._clips:
            raise errors.DataError("no sound of the manifest has a caption")
        self._odds = _balanced(self._clips, sounds)
        # In a list, so that it is neither trained nor saved with the model.
        self._sentences = [sentence_encoder.eval().requires_grad_(False)]

    def loss_at(self, step: int) -> torch.Tensor:
        """The loss of a batch: clips, and texts without sound."""
        chosen, rng = self._chosen, np.random.default_rng((self._chosen.seed, 2, step))
        torch.manual_seed(int(rng.integers(2**31)))  # dropout, the same after a restart
        silent = round(chosen.batch * chosen.text_share)
        total = self._of_clips(chosen.batch - silent, rng) * (1 - chosen.text_share)
        if silent:
            places = rng.integers(HELD_OUT_TEXTS, len(self._texts.lines), size=silent)
            total = total + chosen.text_share * self._of_texts(places, rng)
        return total

    def measure(self) -> dict[str, float]:
        """Loss per token on texts that are not trained on, told by their classes."""
        places = np.arange(min(HELD_OUT_TEXTS, len(self._texts.lines)))
        with torch.no_grad():
            return {"texts": self._of_texts(places, np.random.default_rng(0)).item()}

    def _of_texts(self, places: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
        named = [self._texts.classes[place] for place in places]
        source = examples.text_source(named, self._chosen.model.classes, rng)
        return self._spelled(source, [self._texts.lines[place] for place in places])

    def _of_clips(self, count: int, rng: np.random.Generator) -> torch.Tensor:
        chosen_clips = [
            self._clips[int(place)] for place in rng.choice(len(self._clips), size=count, p=self._odds)
        ]
        lines = [self._line(clip, rng) for clip in chosen_clips]
        source = examples.source_of(chosen_clips)
        loss = self._spelled(_without(source, self._chosen.drop, rng), lines)
        if self._chosen.infonce:
            with torch.no_grad():
                texts_BW = self._sentences[0](padded([self._tokenizer.encode(line) for line in lines]))
            placed_BW = self.model.place(source)
            weight, heat = self._chosen.infonce, self._chosen.temperature
            loss = loss + weight * objective.info_nce(placed_BW, texts_BW, heat)
        return loss

    def _line(self, clip: Clip, rng: np.random.Generator) -> str:
        """A caption for a clip; for a mixture those of both, joined."""
        said = [str(rng.choice(self._said[part])).rstrip(".") for part in clip.parts]
        if len(said) == 1:
            return said[0]
        first, second = said if rng.random() < 0.5 else said[::-1]
        return f"{first} {rng.choice(['and', 'while', 'as'])} {second[:1].lower()}{second[1:]}"

    def _spelled(self, source: Source, lines: Sequence[str]) -> torch.Tensor:
        most = self._chosen.model.max_tokens
        ids_BL = padded([[START, *self._tokenizer.encode(line)[:most], END] for line in lines])
        with torch.autocast("cpu", torch.bfloat16):
            logits_BLV = self.model.spell(source, ids_BL[:, :-1])
        return objective.caption_loss(logits_BLV, ids_BL[:, 1:], self._chosen.smoothing)


def _without(source: Source, drop: float, rng: np.random.Generator) -> Source:
    """A source with some parts of some clips kept back."""
    rows = len(source.probabilities_BC)
    keep_3B = torch.from_numpy(rng.random((3, rows)) >= drop)
    assert source.frames_BUD is not None and source.real_BU is not None and source.vector_BD is not None
    return Source(
        probabilities_BC=source.probabilities_BC * keep_3B[0][:, None],
        frames_BUD=source.frames_BUD,
        real_BU=source.real_BU & keep_3B[1][:, None],
        vector_BD=source.vector_BD * keep_3B[2][:, None],
    )


def _balanced(clips: Sequence[Clip], sounds: Sequence[corpus.Sound]) -> np.ndarray:
    """How often each clip is drawn: rare labels and groups of classes more often."""
    names = [sounds[clip.parts[0]].label or "/".join(sounds[clip.parts[0]].classes) for clip in clips]
    counts = {name: names.count(name) for name in set(names)}
    weights = np.array([counts[name] ** -0.5 for name in names])
    return weights / weights.sum()


def padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Token ids (B, L), padded with 0."""
    ids_BL = torch.zeros(len(rows), max(1, *map(len, rows)), dtype=torch.long)
    for row, ids in enumerate(rows):
        ids_BL[row, : len(ids)] = torch.tensor(ids, dtype=torch.long)
    return ids_BL


def _tokenizer(chosen: Recipe, texts: Texts, run: Path) -> SubwordTokenizer:
    """Byte pairs of the captions, kept beside the run."""
    path = run / "tokenizer.json"
    if path.is_file():
        return SubwordTokenizer.from_json(path.read_text(encoding="utf-8"))
    lines = [*texts.lines, *(line for said in label_phrases().values() for line in said)]
    tokenizer = SubwordTokenizer.train(lines, vocab_size=chosen.model.vocab_size)
    run.mkdir(parents=True, exist_ok=True)
    with atomic.atomic_file(path) as file:
        file.write(tokenizer.to_json().encode())
    return tokenizer


def _sized(chosen: Recipe, tokenizer: SubwordTokenizer) -> Recipe:
    """The recipe with as many tokens as the tokenizer found."""
    size = tokenizer.vocab_size
    return dataclasses.replace(
        chosen,
        model=dataclasses.replace(chosen.model, vocab_size=size),
        sentence=dataclasses.replace(chosen.sentence, vocab_size=size),
    )


def _vectors(path: Path, count: int) -> torch.Tensor:
    try:
        vectors_NW = safetensors.torch.load_file(path)["vectors"]
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        raise errors.DataError(f"holds no vectors of sentences: {error}", file=str(path)) from error
    if vectors_NW.ndim != 2 or len(vectors_NW) != count:
        raise errors.DataError(
            f"holds vectors of shape {tuple(vectors_NW.shape)} for {count} texts", file=str(path)
        )
    return vectors_NW


def _listened(
    chosen: Recipe,
    sounds: Sequence[corpus.Sound],
    encoder: Any,
    load: corpus.Load,
    kept: Path,
    on_listen: Callable[[int, int], Any],
) -> list[Clip]:
    """What the encoder heard, from disk if that is of these very sounds."""
    state = [chosen.views, chosen.mixtures, chosen.spec_augment, str(chosen.masks), chosen.seed]
    weights = hashlib.sha256(b"".join(p.numpy().tobytes() for p in encoder.state_dict().values()))
    digest = hashlib.sha256(
        json.dumps([*state, weights.hexdigest(), [str(sound.file) for sound in sounds]]).encode()
    ).hexdigest()
    path = kept.with_suffix(".safetensors")
    if path.is_file():
        with safetensors.safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("digest") == digest:
                return _unpacked(safetensors.torch.load_file(path))
    clips = examples.listen(
        sounds,
        encoder,
        load,
        np.random.default_rng((chosen.seed, 3)),
        views=chosen.views,
        mixtures=chosen.mixtures,
        masks=chosen.masks if chosen.spec_augment else None,
        advance=on_listen,
    )
    tensor_files.save(path, _packed(clips), {"digest": digest})
    return clips


def _packed(clips: Sequence[Clip]) -> dict[str, torch.Tensor]:
    return {
        "probabilities": torch.stack([clip.probabilities_C for clip in clips]),
        "vectors": torch.stack([clip.vector_D for clip in clips]),
        "frames": torch.cat([clip.frames_UD for clip in clips]),
        "lengths": torch.tensor([len(clip.frames_UD) for clip in clips]),
        "parts": torch.tensor([(*clip.parts, -1)[:2] for clip in clips]),
    }


def _unpacked(tables: dict[str, torch.Tensor]) -> list[Clip]:
    frames = tables["frames"].split(tables["lengths"].tolist())
    return [
        Clip(probabilities, part, vector, tuple(int(place) for place in parts if place >= 0))
        for probabilities, part, vector, parts in zip(
            tables["probabilities"], frames, tables["vectors"], tables["parts"], strict=True
        )
    ]


def _teller(
    on_step: Callable[[str, loop.Progress, int], Any] | None, what: str, steps: int
) -> Callable[[loop.Progress], None] | None:
    if on_step is None:
        return None
    return lambda progress: on_step(what, progress, steps)


def _save(
    out: Path, chosen: Recipe, parts: folder.Parts, sounds: Sequence[corpus.Sound], result: Result
) -> None:
    """Write the model's folder, the curves and the history."""
    assert result.caption is not None
    folder.save(out, parts, card=_card(chosen, parts, sounds, result))
    history = {
        "sentences": dataclasses.asdict(result.sentence),
        "captions": dataclasses.asdict(result.caption),
    }
    for path, content in (
        (out / RUN / "history.json", json.dumps(history) + "\n"),
        (out / "recipe.toml", chosen.text),
    ):
        with atomic.atomic_file(path) as file:
            file.write(content.encode())
    title = f"{chosen.name}: {result.caption.step:,} steps, {result.caption.seconds / 60:.1f} minutes"
    curves.save_curves(
        out / RUN / "curves.png",
        result.caption.losses,
        result.caption.evaluations,
        title=title,
        unit="loss per token",
    )


def _card(chosen: Recipe, parts: folder.Parts, sounds: Sequence[corpus.Sound], result: Result) -> str:
    counts: dict[str, int] = {}
    for sound in sounds:
        counts[sound.source or "?"] = counts.get(sound.source or "?", 0) + 1
    sizes = {
        name: sum(weight.numel() for weight in part.parameters())
        for name, part in (
            ("sound encoder", parts.encoder),
            ("captioning", parts.model),
            ("sentence encoder", parts.sentences),
        )
    }
    assert result.caption is not None
    return "\n".join(
        [
            f"# {chosen.name}",
            "",
            "Captions for sounds, made by `seqkit caption train` from the recipe beside this file: "
            f"{', '.join(f'{name} {count:,} parameters' for name, count in sizes.items())}.",
            "",
            f"Sentence encoder: {result.sentence.step:,} steps; captions: {result.caption.step:,} of "
            f"{chosen.loop.steps:,} steps in {result.caption.seconds / 60:.1f} minutes.",
            "",
            "| sounds from | clips |",
            "|---|---|",
            *(f"| {source} | {count} |" for source, count in sorted(counts.items())),
            "",
        ]
    )
