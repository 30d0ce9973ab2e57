"""Which of several captions is told: hybrid scores, duplicates, and faults of language.

`0.3 x mean log-likelihood + 0.7 x cosine of clip and caption` (Wu et al., ICASSP 2024, arXiv
2309.17352). There a filter of faults could leave nothing; here faulty captions go
last. Knows texts and numbers; not models.
"""

import dataclasses
import math
import re
from collections.abc import Sequence

from seqkit import errors
from seqkit.audio.captioning.interface import Scored

__all__ = ["RankConfig", "faults", "rank"]

#: Words that no sentence ends with.
_OPEN = frozenset(
    "a an the and or but while as of in on at by with for from to into over then is are was were its".split()
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankConfig:
    """How captions are ranked."""

    likelihood: float = 0.3
    """Weight of the mean log-probability of a token."""
    similarity: float = 0.7
    """Weight of the cosine; 0 ranks by likelihood alone."""
    filter_faults: bool = True
    """Whether faulty captions go last."""

    def __post_init__(self) -> None:
        """Check every field once."""
        weights = (self.likelihood, self.similarity)
        if not all(map(math.isfinite, weights)) or min(weights) < 0 or not sum(weights):
            raise errors.UsageError(
                "weights of ranking are finite, not negative, and not both 0",
                hint="--likelihood-weight, --similarity-weight",
            )


def faults(text: str) -> tuple[str, ...]:
    """What is wrong with a caption's language, as far as rules can tell.

    Examples
    --------
    >>> faults("a dog barks while a dog barks while"), faults("a dog barks")
    (('ends open', 'repeats itself'), ())
    """
    words = re.findall(r"[a-z']+", text.lower())
    found = []
    if len(words) < 2:
        found.append("too short")
    if words and words[-1] in _OPEN:
        found.append("ends open")
    if any(a == b for a, b in zip(words, words[1:], strict=False)) or _repeats(words):
        found.append("repeats itself")
    return tuple(found)


def _repeats(words: Sequence[str]) -> bool:
    """Whether any three words in a row come again."""
    triples = [tuple(words[place : place + 3]) for place in range(len(words) - 2)]
    return len(set(triples)) < len(triples)


def rank(candidates: Sequence[Scored], config: RankConfig) -> list[Scored]:
    """Captions, the best first, each once; as many as there are different ones, never none.

    Parameters
    ----------
    candidates : with log-probabilities and similarities (missing ones count 0); their scores are replaced.
    """
    best: dict[str, Scored] = {}
    for one in candidates:
        text = " ".join(one.text.split())
        score = config.likelihood * (one.logprob or 0.0) + config.similarity * (one.similarity or 0.0)
        ranked = dataclasses.replace(one, text=text, score=score)
        if text not in best or best[text].score < score:
            best[text] = ranked
    faulty = (lambda one: bool(faults(one.text))) if config.filter_faults else (lambda one: False)
    return sorted(best.values(), key=lambda one: (faulty(one), -one.score))
