"""Reading a clip's text: joint CTC/attention beam search, plain greedy, and CTC's text as a free draft.

All on the shared engine: CTC and the language model are scorers of its beam search
(Watanabe et al., IEEE JSTSP 2017), CTC's greedy text is what its drafter copies. Knows
encoded clips; not files.

Shape suffixes: T frames, V ids, C candidates, K hypotheses.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from seqkit import errors
from seqkit.decoders.drafters.iad import IadDrafter
from seqkit.decoders.drafters.plain import PlainDrafter
from seqkit.decoders.engine import Engine, Statistics
from seqkit.decoders.interfaces import Inputs
from seqkit.decoders.models import target_of
from seqkit.decoders.sampling import SamplingOptions
from seqkit.decoders.search.beam import BeamOptions, BeamSearch
from seqkit.decoders.search.expand import Candidates, best_tokens
from seqkit.decoders.search.scorers import Prefix
from seqkit.decoders.verify import PointVerifier
from seqkit.vision_speech import ctc
from seqkit.vision_speech.language import CharacterModel
from seqkit.vision_speech.model import Batch, SpeechModel
from seqkit.vision_speech.texts import BLANK, END, PAD, START

__all__ = ["METHODS", "DecodeConfig", "JointScorer", "Reading", "read"]

#: Joint beam; the decoder alone, token by token; the same with CTC's text as draft; CTC alone.
METHODS = ("beam", "greedy", "verified", "ctc")
#: Of a text that CTC cannot say.
LOWEST_SCORE = -1e3


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """How text is looked for.

    Attributes
    ----------
    method : one of `METHODS`. "verified" gives what "greedy" gives, with fewer calls of the decoder.
    beams : hypotheses that are kept (beam).
    ctc_weight : share of CTC in the score, the decoder having the rest (beam).
    language_weight : weight of the language model's log-probability beside them (beam).
    characters : most characters of a second of clip.
    """

    method: str = "beam"
    beams: int = 8
    ctc_weight: float = 0.3
    language_weight: float = 0.3
    characters: float = 30.0

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.method not in METHODS:
            raise errors.UsageError(f"{self.method!r} is none of {', '.join(METHODS)}", hint="--decoder")
        if self.beams < 1:
            raise errors.UsageError("needs at least 1 beam", hint="--beams")
        if not 0 <= self.ctc_weight <= 1 or self.language_weight < 0 or not self.characters > 0:
            raise errors.UsageError(
                "the weight of CTC is a share, that of the language not negative",
                hint="--ctc-weight, --language-weight",
            )


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was read in a clip.

    Attributes
    ----------
    ids : characters.
    score : mean log-probability of a character (and the end) under what the method goes by, in nats.
    log_TV : log-probabilities of CTC, for the times of characters.
    """

    ids: tuple[int, ...]
    score: float
    log_TV: npt.NDArray[np.float32]


class _AllTokens:
    """Every next token of every hypothesis, so that CTC may raise what the decoder finds unlikely."""

    def expand(self, log_probs_KV: torch.Tensor, count: int, taken: Sequence[int]) -> Candidates:
        """See `Expander.expand`."""
        found = best_tokens(log_probs_KV, log_probs_KV, log_probs_KV.shape[1])
        possible = torch.isfinite(found.log_probs_C).nonzero().flatten().tolist()
        return Candidates(
            parents=tuple(found.parents[place] for place in possible),
            tokens=tuple(found.tokens[place] for place in possible),
            log_probs_C=found.log_probs_C[possible],
            gains_C=found.gains_C[possible],
        )


class JointScorer:
    """Turns the decoder's score of a candidate into the joint one.

    `(1 - weight) log p(decoder) + weight log p(CTC) + language_weight log p(language)`

    Parameters
    ----------
    log_TV : CTC's log-probabilities of one clip: a scorer belongs to it.
    weight, language_weight : see `DecodeConfig`.
    """

    def __init__(
        self,
        log_TV: npt.NDArray[np.floating],
        weight: float,
        language: CharacterModel | None = None,
        language_weight: float = 0.0,
    ) -> None:
        self.weight, self.language, self.language_weight = weight, language, language_weight
        self._ctc = ctc.PrefixScorer(log_TV, BLANK)
        self._states: dict[tuple[int, ...], ctc.PrefixState] = {(): self._ctc.start()}

    def score(self, prefixes: Sequence[Prefix], candidates: Candidates) -> torch.Tensor:
        """See `Scorer.score`."""
        own_C = np.zeros(len(candidates))
        by_parent: dict[int, list[int]] = {}
        for place, parent in enumerate(candidates.parents):
            by_parent.setdefault(parent, []).append(place)
        for parent, places in by_parent.items():
            tokens = [candidates.tokens[place][0] for place in places]
            own_C[places] = self._added(prefixes[parent].tokens, tokens)
        return torch.from_numpy(own_C) - self.weight * candidates.log_probs_C.double().cpu()

    def _added(self, prefix: tuple[int, ...], tokens: list[int]) -> npt.NDArray[np.float64]:
        added_C = np.zeros(len(tokens))
        if self.weight:
            added_C += self.weight * self._heard(prefix, tokens)
        if self.language is not None and self.language_weight:
            added_C += self.language_weight * self.language.log_probs(prefix)[tokens]
        return added_C

    def _heard(self, prefix: tuple[int, ...], tokens: list[int]) -> npt.NDArray[np.float64]:
        """How each token changes CTC's log-probability of the prefix."""
        state = self._states[prefix]
        letters = [token for token in tokens if token not in (PAD, START, END)]
        changes = dict.fromkeys(tokens, -np.inf)
        for token, after in zip(letters, self._ctc.extend(state, letters), strict=True):
            self._states[(*prefix, token)] = after
            changes[token] = after.score - state.score
        if END in changes:
            changes[END] = self._ctc.whole(state) - state.score
        # A prefix that CTC cannot say stays that, whatever follows.
        return np.nan_to_num(np.array([changes[token] for token in tokens]), nan=-1e9, neginf=-1e9)


@torch.no_grad()
def read(
    model: SpeechModel,
    batch: Batch,
    config: DecodeConfig = DecodeConfig(),
    language: CharacterModel | None = None,
    statistics: Statistics | None = None,
) -> list[Reading]:
    """The text of every clip.

    Parameters
    ----------
    statistics : the decoder's calls and tokens are added to it.
    """
    source = model.source(batch)
    states_BTD = model.joint.get_encoder()(**source).last_hidden_state
    log_BTV = model.ctc(states_BTD).float().log_softmax(dim=-1).cpu().numpy()
    logs = [log_TV[: int(frames)] for log_TV, frames in zip(log_BTV, batch.frames_B, strict=True)]
    if config.method == "ctc":
        return [_by_ctc(log_TV) for log_TV in logs]
    rows = [
        {name: value[row : row + 1, : int(frames)] for name, value in source.items()}
        for row, frames in enumerate(batch.frames_B)
    ]
    counted = Statistics() if statistics is None else statistics
    one = _beam if config.method == "beam" else _greedy
    return [
        one(model, row, log_TV, config, language, counted) for row, log_TV in zip(rows, logs, strict=True)
    ]


def _by_ctc(log_TV: npt.NDArray[np.float32]) -> Reading:
    return Reading(tuple(ctc.greedy(log_TV, BLANK)), float(log_TV.max(axis=1).mean()), log_TV)


def _options(log_TV: npt.NDArray[np.float32], config: DecodeConfig) -> SamplingOptions:
    # CTC needs a frame for every character: a sound that is shorter than a text does not hold it.
    most = max(1, min(len(log_TV), max(8, round(config.characters * len(log_TV) / 25))))
    return SamplingOptions(max_new_tokens=most, eos=(END,), suppress=(PAD, START))


def _beam(
    model: SpeechModel,
    source: dict[str, torch.Tensor],
    log_TV: npt.NDArray[np.float32],
    config: DecodeConfig,
    language: CharacterModel | None,
    statistics: Statistics,
) -> Reading:
    scorer = JointScorer(log_TV, config.ctc_weight, language, config.language_weight)
    options = BeamOptions(beams=config.beams, length_penalty=0.0)
    search = BeamSearch(target_of(model.joint), options, scorers=[scorer], expander=_AllTokens())
    found, done = search.generate(Inputs(prompts=[[START]], encoder_kwargs=source), _options(log_TV, config))
    best = found[0][0]
    statistics.calls += done.calls
    statistics.tokens += done.tokens
    ids = tuple(token for token in best.tokens if token != END)
    return Reading(ids, best.score / (len(ids) + 1), log_TV)


def _greedy(
    model: SpeechModel,
    source: dict[str, torch.Tensor],
    log_TV: npt.NDArray[np.float32],
    config: DecodeConfig,
    language: CharacterModel | None,
    statistics: Statistics,
) -> Reading:
    """The decoder's own choices; "verified" asks it about all of CTC's text at once."""
    draft = (*ctc.greedy(log_TV, BLANK), END)
    drafter = IadDrafter(nearest=True) if config.method == "verified" else PlainDrafter()
    engine = Engine(target_of(model.joint), drafter, PointVerifier(), costs=None)
    tokens, done = engine.generate(
        Inputs(prompts=[[START]], sources=[draft], encoder_kwargs=source), _options(log_TV, config)
    )
    statistics.calls += done.calls
    statistics.tokens += done.tokens
    ids = tuple(token for token in tokens[0] if token != END)
    heard = ctc.PrefixScorer(log_TV, BLANK)
    state = heard.start()
    for number in ids:
        state = heard.extend(state, [number])[0]
    # A text that CTC cannot say at all has a score that can be written down.
    return Reading(ids, max(LOWEST_SCORE, heard.whole(state) / (len(ids) + 1)), log_TV)
