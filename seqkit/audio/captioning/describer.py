"""The package's own captioning model as a `Describer`: candidates from the engine, then ranking.

Nucleus sampling of N candidates by default, and the hybrid score; or beam, diverse and
conditional beam. Knows waves and a model's parts; not files.

Shape suffixes: S samples, B clips, N candidates, L tokens.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seqkit import errors
from seqkit.audio.captioning import examples, folder, general, words
from seqkit.audio.captioning.interface import Scored
from seqkit.audio.captioning.model import Source
from seqkit.audio.captioning.ranking import RankConfig, rank
from seqkit.decoders.drafters.plain import PlainDrafter
from seqkit.decoders.engine import Engine, row_dice
from seqkit.decoders.interfaces import Inputs, Row
from seqkit.decoders.models import target_of
from seqkit.decoders.sampling import SamplingOptions
from seqkit.decoders.search import catalogue as searches
from seqkit.decoders.search.classifier import load_classifier
from seqkit.decoders.verify import PointVerifier
from seqkit.models import catalogue

__all__ = ["DEFAULT", "CaptionDescriber", "DescribeConfig", "load"]

#: The model that comes with the package.
DEFAULT = "sounds-small"
START, END = 1, 2
METHODS = ("sample", "beam", "diverse", "conditional")
#: Entries of memory, of all candidates, that are decoded at a time: bounds what long windows take.
TOGETHER = 1 << 14


@dataclasses.dataclass(frozen=True, kw_only=True)
class DescribeConfig:
    """How captions are looked for.

    Attributes
    ----------
    method : one of `METHODS`; "sample" draws candidates.
    candidates : N, drawn or searched.
    temperature, top_p : of drawing.
    most_tokens : longest caption.
    ranking : how candidates are ranked.
    classifier : folder of what guides conditional beam search, see `seqkit decoders train-classifier`.
    seed : of drawing; a clip's candidates do not depend on what it is described with.
    """

    method: str = "sample"
    candidates: int = 20
    temperature: float = 0.5
    top_p: float = 0.95
    most_tokens: int = 30
    ranking: RankConfig = RankConfig()
    classifier: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.method not in METHODS:
            raise errors.UsageError(f"{self.method!r} is none of {', '.join(METHODS)}", hint="--decoder")
        if self.candidates < 1 or self.most_tokens < 4:
            raise errors.UsageError("needs at least 1 candidate and 4 tokens", hint="--candidates")
        if not 0 < self.temperature < math.inf:
            raise errors.UsageError("drawing needs a temperature above 0", hint="--temperature")
        if not 0 < self.top_p <= 1:
            raise errors.UsageError("a share of probability is above 0 and at most 1", hint="--top-p")


class CaptionDescriber:
    """See `Describer`.

    Parameters
    ----------
    parts : the model.
    config : how captions are looked for.

    It runs where the model's weights are.
    """

    def __init__(self, parts: folder.Parts, config: DescribeConfig = DescribeConfig()) -> None:
        self.parts, self.config = parts, config
        self.rate: int = parts.encoder.mel.config.rate
        self._device = next(parts.model.parameters()).device
        self._target = target_of(parts.model.decoder)
        guide = None if config.classifier is None else load_classifier(Path(config.classifier))
        self._classifier = None if guide is None else guide.to(self._device)

    @torch.inference_mode()
    def describe(self, waves: Sequence[npt.NDArray[np.float32]], n_best: int = 1) -> list[list[Scored]]:
        """See `Describer.describe`."""
        if not waves:
            return []
        heard = self.parts.encoder.hear([torch.from_numpy(np.ascontiguousarray(wave)) for wave in waves])
        whole = Source.of(heard)
        sources = [_row(whole, row) for row in range(len(waves))]
        memories = [self.parts.model.memory(source) for source in sources]
        drawn = self._drawn(memories) if self.config.method == "sample" else map(self._searched, memories)
        found = []
        for source, tokens in zip(sources, drawn, strict=True):
            ranked = rank(self._candidates(source, tokens), self.config.ranking)
            found.append(self._cautious(list(self._calibrated(ranked[:n_best], source)), source))
        return found

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors (N, W) of sentences."""
        ids_NL = self._padded([self.parts.tokenizer.encode(text) or [START] for text in texts])
        vectors_NW: npt.NDArray[np.float32] = self.parts.sentences(ids_NL).cpu().numpy()
        return vectors_NW

    def _candidates(self, source: Source, found: Sequence[tuple[int, ...]]) -> list[Scored]:
        """Captions of one clip with their log-probabilities and similarities."""
        ids = [tokens for tokens in dict.fromkeys(found) if tokens] or [(END,)]
        logprobs = self._logprobs(source, ids)
        placed_W = self.parts.model.place(source)[0]
        vectors_NW = self.parts.sentences(self._padded([one[: _ended(one)] or (START,) for one in ids]))
        return [
            Scored(
                self.parts.tokenizer.decode(one[: _ended(one)]).strip() or general.GENERAL,
                0.0,
                logprob,
                cosine,
            )
            for one, logprob, cosine in zip(ids, logprobs, (vectors_NW @ placed_W).tolist(), strict=True)
        ]

    def _drawn(self, memories: Sequence[dict[str, torch.Tensor]]) -> Iterator[list[tuple[int, ...]]]:
        """Candidates of clips, of several at a time; the same as of each alone."""
        for group in _groups(memories, self.config.candidates):
            yield from self._drawn_together(group)

    def _drawn_together(self, memories: Sequence[dict[str, torch.Tensor]]) -> list[list[tuple[int, ...]]]:
        config, count = self.config, self.config.candidates
        sampling = SamplingOptions(
            temperature=config.temperature,
            top_p=config.top_p,
            no_repeat_ngram=3,
            max_new_tokens=config.most_tokens,
            eos=(END,),
            suppress=(0, START),
            seed=config.seed,
        )
        inputs = Inputs(
            prompts=[[START]] * (count * len(memories)),
            encoder_kwargs={
                name: value.repeat_interleave(count, dim=0) for name, value in _stacked(memories).items()
            },
        )
        engine = Engine(self._target, _SameDice(count), PointVerifier(), costs=None)
        tokens, _ = engine.generate(inputs, sampling)
        rows = [tuple(one) for one in tokens]
        return [rows[place : place + count] for place in range(0, len(rows), count)]

    def _searched(self, memory: dict[str, torch.Tensor]) -> list[tuple[int, ...]]:
        sampling = SamplingOptions(
            no_repeat_ngram=3, max_new_tokens=self.config.most_tokens, eos=(END,), suppress=(0, START)
        )
        guide = {"classifier": self._classifier} if self._classifier is not None else {}
        count = self.config.candidates
        # Diverse search divides its beams into two groups.
        beams = count + count % 2 if self.config.method == "diverse" else count
        search = searches.build(self.config.method, self._target, beams=beams, n_best=count, **guide)
        found, _ = search.generate(Inputs(prompts=[[START]], encoder_kwargs=memory), sampling)
        return [one.tokens for one in found[0]]

    def _logprobs(self, source: Source, ids: Sequence[tuple[int, ...]]) -> list[float]:
        """Mean log-probability of a caption's tokens, its end included."""
        rows = [(START, *one[: _ended(one)], END) for one in ids]
        ids_NL = self._padded(rows)
        repeated = Source(
            probabilities_BC=source.probabilities_BC.expand(len(ids), -1),
            frames_BUD=_repeated(source.frames_BUD, len(ids)),
            real_BU=_repeated(source.real_BU, len(ids)),
            vector_BD=_repeated(source.vector_BD, len(ids)),
        )
        logits_NLV = self.parts.model.spell(repeated, ids_NL[:, :-1]).log_softmax(dim=-1)
        picked_NL = logits_NLV.gather(2, ids_NL[:, 1:, None])[..., 0] * (ids_NL[:, 1:] != 0)
        lengths_N = torch.tensor([len(row) - 1 for row in rows], device=self._device)
        return [float(one) for one in picked_NL.sum(dim=1) / lengths_N]

    def _padded(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Token ids (B, L), padded with 0."""
        ids_BL = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for row, ids in enumerate(rows):
            ids_BL[row, : len(ids)] = torch.tensor(list(ids), dtype=torch.long)
        return ids_BL.to(self._device)

    def _calibrated(self, ranked: Sequence[Scored], source: Source) -> Iterator[Scored]:
        """Captions with their probabilities; none is given more than one that is ranked before it."""
        most = 1.0
        for one in ranked:
            named = list(words.classes_in(one.text))
            heard = float(source.probabilities_BC[0, named].max()) if named else 0.0
            cosine = one.similarity or 0.0
            most = min(most, self.parts.calibration.probability(rank=one.score, cosine=cosine, heard=heard))
            yield dataclasses.replace(one, score=most)

    def _cautious(self, captions: list[Scored], source: Source) -> list[Scored]:
        """Something general in front where even the best is likely wrong."""
        if captions[0].score >= self.parts.calibration.least:
            return captions
        text = general.sentence(source.probabilities_BC[0])
        return [Scored(text, captions[0].score), *captions][: len(captions)]


def load(
    name: str = DEFAULT, config: DescribeConfig | None = None, device: torch.device | str = "cpu"
) -> CaptionDescriber:
    """A model by its name in the package, or from its folder.

    Parameters
    ----------
    config : how captions are looked for.
    device : where it runs.

    Raises
    ------
    DataError, UsageError
        if there is no such model, or it is damaged.
    """
    parts = folder.load_parts(Path(catalogue.model_directory(name, (DEFAULT,))))
    for network in parts.networks().values():
        network.to(device)
    return CaptionDescriber(parts, config or DescribeConfig())


class _SameDice(PlainDrafter):
    """Plain decoding of several clips' candidates, each with the dice that it has where its clip is alone.

    Parameters
    ----------
    candidates : of a clip; its rows follow one another.
    """

    def __init__(self, candidates: int) -> None:
        self._candidates = candidates

    def start(self, rows: Sequence[Row], run: Any) -> None:
        """Give every row its dice."""
        for row in rows:
            row.dice = row_dice(run.options, row.index % self._candidates)


def _groups(
    memories: Sequence[dict[str, torch.Tensor]], candidates: int
) -> Iterator[Sequence[dict[str, torch.Tensor]]]:
    """Neighbours of which `TOGETHER` entries of memory are held at a time, or one alone."""
    start, longest = 0, 0
    for place, memory in enumerate(memories):
        longest = max(longest, memory["inputs_embeds"].shape[1])
        if place > start and (place + 1 - start) * candidates * longest > TOGETHER:
            yield memories[start:place]
            start, longest = place, memory["inputs_embeds"].shape[1]
    yield memories[start:]


def _stacked(memories: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Memories as one, padded with entries that are not there."""
    return {
        name: torch.nn.utils.rnn.pad_sequence([memory[name][0] for memory in memories], batch_first=True)
        for name in memories[0]
    }


def _row(whole: Source, row: int) -> Source:
    assert whole.frames_BUD is not None and whole.real_BU is not None and whole.vector_BD is not None
    length = int(whole.real_BU[row].sum())
    return Source(
        probabilities_BC=examples.told(whole.probabilities_BC[row : row + 1]),
        frames_BUD=whole.frames_BUD[row : row + 1, :length],
        real_BU=whole.real_BU[row : row + 1, :length],
        vector_BD=whole.vector_BD[row : row + 1],
    )


def _repeated(table: torch.Tensor | None, count: int) -> torch.Tensor | None:
    return None if table is None else table.expand(count, *table.shape[1:])


def _ended(ids: Sequence[int]) -> int:
    """Where the end is, or the length."""
    return list(ids).index(END) if END in ids else len(ids)
