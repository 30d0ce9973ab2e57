"""Metrics of captions: beside their formulas written out slowly, beside aac-metrics, and what must hold."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.audio.evaluation.bleu import bleu
from seqkit.audio.evaluation.cider import cider_d
from seqkit.audio.evaluation.ngrams import counts, words
from seqkit.audio.evaluation.rouge import rouge_l
from seqkit.audio.evaluation.similarity import similarity

WORDS = "a dog barks rain falls on the roof while wind blows softly in distance".split()
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join)
CLIPS = st.lists(
    st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=3)), min_size=2, max_size=5
).map(lambda rows: ([row[0] for row in rows], [row[1] for row in rows]))


def clips(seed: int, number: int = 12) -> tuple[list[str], list[list[str]]]:
    """Captions that share runs of words with their references."""
    rng = random.Random(seed)

    def near(sentence: list[str]) -> str:
        changed = [word if rng.random() < 0.8 else rng.choice(WORDS) for word in sentence]
        return " ".join(changed[: rng.randint(4, len(changed))])

    sources = [[rng.choice(WORDS) for _ in range(rng.randint(6, 12))] for _ in range(number)]
    references = [[near(source) for _ in range(rng.randint(1, 5))] for source in sources]
    return [near(source) for source in sources], references


def runs(sentence: str, n: int) -> list[tuple[str, ...]]:
    parts = sentence.split()
    return [tuple(parts[i : i + n]) for i in range(len(parts) - n + 1)]


def slow_cider(candidates: list[str], references: list[list[str]]) -> list[float]:
    """Over one long vector of all runs of n words that there are."""
    scores = [0.0] * len(candidates)
    for n in range(1, 5):
        known = sorted(
            {run for texts in [candidates, *references] for text in texts for run in runs(text, n)}
        )
        clips_with = [
            sum(any(run in runs(text, n) for text in texts) for texts in references) for run in known
        ]
        rarity = np.array([math.log(len(references) / max(1, number)) for number in clips_with])
        for place, (text, others) in enumerate(zip(candidates, references, strict=True)):
            own = np.array([runs(text, n).count(run) for run in known]) * rarity
            for other in others:
                theirs = np.array([runs(other, n).count(run) for run in known]) * rarity
                norms = np.linalg.norm(own) * np.linalg.norm(theirs)
                cosine = np.minimum(own, theirs) @ theirs / norms if norms else 0.0
                gap = len(runs(text, 2)) - len(runs(other, 2))
                scores[place] += 10 * cosine * math.exp(-(gap**2) / 72) / 4 / len(others)
    return scores


def slow_bleu(candidates: list[str], references: list[list[str]], longest: int) -> float:
    logarithm, said, wanted = 0.0, 0, 0
    for n in range(1, longest + 1):
        right = total = 0
        for text, others in zip(candidates, references, strict=True):
            found = runs(text, n)
            right += sum(
                min(found.count(run), max(runs(other, n).count(run) for other in others))
                for run in set(found)
            )
            total += len(found)
        if not right:
            return 0.0
        logarithm += math.log(right / total) / longest
    for text, others in zip(candidates, references, strict=True):
        own = len(text.split())
        lengths = sorted(len(other.split()) for other in others)
        said += own
        wanted += min(lengths, key=lambda length: abs(length - own))
    return math.exp(logarithm + min(0.0, 1 - wanted / said))


def slow_rouge(text: str, others: list[str]) -> float:
    """The longest common subsequence by trying all subsequences."""

    def within(part: tuple[str, ...], sentence: list[str]) -> bool:
        rest = iter(sentence)
        return all(word in rest for word in part)

    own = text.split()
    parts = [part for size in range(len(own), -1, -1) for part in itertools.combinations(own, size)]
    common = [next(len(part) for part in parts if within(part, other.split())) for other in others]
    precision = max(number / len(own) for number in common)
    recall = max(number / len(other.split()) for number, other in zip(common, others, strict=True))
    both = recall + 1.44 * precision
    return 2.44 * precision * recall / both if precision and recall else 0.0


@pytest.mark.parametrize("seed", range(3))
def test_metrics_follow_their_formulas(seed: int) -> None:
    candidates, references = clips(seed)
    assert cider_d(candidates, references) == pytest.approx(slow_cider(candidates, references), abs=1e-12)
    assert max(cider_d(candidates, references)) > 1
    wanted = [slow_bleu(candidates, references, n) for n in range(1, 5)]
    assert bleu(candidates, references) == pytest.approx(wanted, abs=1e-12)
    assert wanted[-1] > 0.05
    slow = [slow_rouge(text, others) for text, others in zip(candidates, references, strict=True)]
    assert rouge_l(candidates, references) == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_agree_with_aac_metrics(seed: int) -> None:
    theirs = pytest.importorskip(
        "aac_metrics.functional", reason="aac-metrics is not installed whole", exc_type=ImportError
    )
    candidates, references = clips(seed, 40)
    _, scores = theirs.cider_d(candidates, references)
    assert cider_d(candidates, references) == pytest.approx(scores["cider_d"].tolist(), abs=1e-9)
    _, scores = theirs.rouge_l(candidates, references)
    assert rouge_l(candidates, references) == pytest.approx(scores["rouge_l"].tolist(), abs=1e-6)
    for n in range(1, 5):
        corpus, _ = theirs.bleu(candidates, references, n=n)
        assert bleu(candidates, references)[n - 1] == pytest.approx(float(corpus[f"bleu_{n}"]), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(CLIPS)
def test_scores_are_bounded_and_no_caption_beats_the_reference_itself(
    drawn: tuple[list[str], list[list[str]]],
) -> None:
    candidates, references = drawn
    single = [others[:1] for others in references]
    same = [others[0] for others in references]
    for metric, most in ((cider_d, 10.0), (rouge_l, 1.0)):
        scores = metric(candidates, single)
        best = metric(same, single)
        assert all(0 <= score <= most + 1e-9 for score in metric(candidates, references))
        assert all(score <= top + 1e-9 for score, top in zip(scores, best, strict=True))
    assert rouge_l(same, single) == pytest.approx([1.0] * len(same))
    assert all(0 <= score <= 1 + 1e-12 for score in bleu(candidates, references))
    assert bleu(same, single, longest=1) == pytest.approx([1.0])


@settings(max_examples=40, deadline=None)
@given(CLIPS, st.randoms(use_true_random=False))
def test_the_order_of_clips_and_of_references_is_of_no_matter(
    drawn: tuple[list[str], list[list[str]]], rng: random.Random
) -> None:
    candidates, references = drawn
    order = list(range(len(candidates)))
    rng.shuffle(order)
    others = [rng.sample(references[place], len(references[place])) for place in order]
    moved = [candidates[place] for place in order]
    for metric in (cider_d, rouge_l):
        before = metric(candidates, references)
        assert metric(moved, others) == pytest.approx([before[place] for place in order], abs=1e-9)
    assert bleu(moved, others) == pytest.approx(bleu(candidates, references), abs=1e-12)


@given(st.text(max_size=60))
def test_words_are_plain_and_parting_them_again_changes_nothing(text: str) -> None:
    found = words(text)
    assert words(" ".join(found)) == found
    assert all(word and not set(word) & set(' \n\t"!?;()') for word in found)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Rain falls, isn't it?", "rain falls is n't it"),
        ("The dogs' bowls; a dog\u2019s bone", "the dogs bowls a dog 's bone"),
        ("a 10.5-second, low-frequency hum...", "a 10.5 second low-frequency hum"),
        ("1,000 bees cannot sing", "1,000 bees can not sing"),
        ("birds/insects & frogs_croak", "birds insects frogs croak"),
        ("...", ""),
        ("", ""),
    ],
)
def test_words_are_parted_as_told(text: str, wanted: str) -> None:
    assert words(text) == wanted.split()


def test_runs_of_a_short_sentence() -> None:
    assert [table.total() for table in counts(["a", "dog"])] == [2, 1, 0, 0]


def test_known_values_by_hand() -> None:
    # Two of three words, and one of two pairs, are right; the reference is one word longer.
    found = bleu(["a dog runs"], [["a dog barks loudly"]])
    penalty = math.exp(1 - 4 / 3)
    assert found == pytest.approx([penalty * 2 / 3, penalty * math.sqrt(2 / 3 * 1 / 2), 0, 0])
    assert rouge_l(["rain on a roof"], [["rain falls on the roof"]]) == pytest.approx(
        [2.44 * (3 / 4) * (3 / 5) / (3 / 5 + 1.44 * 3 / 4)]
    )


def test_an_empty_caption_scores_nothing() -> None:
    references = [["a dog barks"], ["rain falls"]]
    assert cider_d(["", "..."], references) == [0, 0]
    assert rouge_l(["", "..."], references) == [0, 0]
    assert bleu(["", ""], references) == [0, 0, 0, 0]


@pytest.mark.parametrize("metric", [cider_d, bleu, rouge_l])
@pytest.mark.parametrize("references", [[["a"]], [["a"], []], [["a"], ["b"], ["c"]]])
def test_captions_and_references_must_fit(metric, references: list[list[str]]) -> None:
    with pytest.raises(errors.UsageError):
        metric(["a", "b"], references)


def test_cider_needs_two_clips() -> None:
    with pytest.raises(errors.UsageError, match="at least two clips"):
        cider_d(["a dog"], [["a dog"]])


def _encode(texts: list[str]) -> np.ndarray:
    vectors_ND = np.array([[text.count(letter) + 0.1 for letter in "abcdefgh"] for text in texts])
    return vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)


@given(CLIPS)
def test_similarity_is_the_mean_cosine_and_a_tenth_where_faulty(
    drawn: tuple[list[str], list[list[str]]],
) -> None:
    candidates, references = drawn
    found = similarity(candidates, references, _encode, lambda text: False)
    slow = [
        np.mean([float(_encode([text])[0] @ _encode([other])[0]) for other in others])
        for text, others in zip(candidates, references, strict=True)
    ]
    assert found == pytest.approx(slow, abs=1e-9)
    assert all(-1 - 1e-9 <= score <= 1 + 1e-9 for score in found)
    punished = similarity(candidates, references, _encode, lambda text: "dog" in text)
    for text, score, less in zip(candidates, found, punished, strict=True):
        assert less == pytest.approx(score * 0.1 if "dog" in text else score)
    same = similarity(candidates, [[text] for text in candidates], _encode, lambda text: False)
    assert same == pytest.approx([1.0] * len(candidates))


@pytest.mark.parametrize("made", [np.zeros((1, 3)), np.zeros(4), np.full((4, 3), np.nan)])
def test_an_encoder_that_makes_no_vectors_of_texts_is_refused(made: np.ndarray) -> None:
    with pytest.raises(errors.UsageError, match="an encoder made"):
        similarity(["a", "b"], [["a"], ["b"]], lambda texts: made, lambda text: False)
