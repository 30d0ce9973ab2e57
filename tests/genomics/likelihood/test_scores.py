"""Likelihoods beside those of one call of the network for every single token."""

import math
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from seqkit import errors
from seqkit.genomics.likelihood import laws, sequences
from seqkit.genomics.tokens import records
from seqkit.genomics.tokens.files import reverse_complement
from seqkit.models import genomic

MODELS = [
    ("decoder", "letters"),
    ("decoder", "6mer"),
    ("encoder", "letters"),
    ("encoder", "3mer-overlapping"),
]
TEXTS = ["", "A", "ACGTNACGTAACC", "ACGTTGCA" * 6]


@pytest.fixture(params=MODELS, ids="-".join)
def model(request: pytest.FixtureRequest, tiny_genomic: Callable[..., Path]) -> genomic.GenomicModel:
    return genomic.load(str(tiny_genomic(*request.param)), device="cpu")


def _letters(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _record(model: genomic.GenomicModel, text: str, head: int = 0) -> records.Record:
    return records.tokenize(model, "r", _letters(text), head=head)


def _fast(model: genomic.GenomicModel, texts: list[str], **options: float) -> list[np.ndarray]:
    made = laws.Options(**options)  # type: ignore[arg-type]
    found = laws.log_probs(model, [_record(model, text) for text in texts], made)
    return [scores_T for _, scores_T in found]


def _one_token(model: genomic.GenomicModel, ids: list[int], place: int) -> float:
    """The log-probability of the token at a place of a short sequence, by a call for it alone."""
    if model.is_causal:
        shown, at = [*model.before, *ids[:place]], -1
    else:
        reach = model.tokenizer.k - 1 if getattr(model.tokenizer, "overlapping", False) else 0
        mask = model.tokenizer.specials["mask"]
        hidden = [mask if abs(other - place) <= reach else token for other, token in enumerate(ids)]
        shown, at = [*model.before, *hidden, *model.after], len(model.before) + place
    with torch.inference_mode():
        logits_V = model.network(input_ids=torch.tensor([shown])).logits[0, at]
    return float(torch.log_softmax(logits_V, dim=-1)[ids[place]])


def _slow(model: genomic.GenomicModel, text: str) -> list[float]:
    ids = model.tokenizer.encode(_letters(text)).tolist()
    return [_one_token(model, ids, place) for place in range(len(ids))]


def test_every_token_has_its_own_log_probability(model: genomic.GenomicModel) -> None:
    for text, found in zip(TEXTS, _fast(model, TEXTS, batch_tokens=50), strict=True):
        np.testing.assert_allclose(found, _slow(model, text), atol=1e-4)


def test_tokens_beyond_the_context_see_at_least_the_overlap_before_them(
    tiny_genomic: Callable[..., Path],
) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "letters", 12)), device="cpu")
    text = "ACGTTGCAAGTCCGATTTACGAAC"
    ids = model.tokenizer.encode(_letters(text)).tolist()
    room = 12 - len(model.before)
    overlap = round(0.5 * room)
    (found,) = _fast(model, [text], overlap=0.5)
    expected = []
    for place in range(len(ids)):
        first = 0
        while place >= first + room:
            first = min(first + room - overlap, len(ids) - room)
        expected.append(_one_token(model, ids[first : first + room], place - first))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(
    texts=st.lists(st.text(alphabet="ACGTN", max_size=120), min_size=1, max_size=5),
    batch_tokens=st.integers(1, 200),
)
def test_the_batch_a_sequence_is_in_does_not_matter(
    tiny_genomic: Callable[..., Path], texts: list[str], batch_tokens: int
) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "6mer", 16)), device="cpu")
    for text, found in zip(texts, _fast(model, texts, batch_tokens=batch_tokens), strict=True):
        np.testing.assert_allclose(found, _fast(model, [text])[0], atol=1e-4)


def test_all_sequences_of_a_length_share_the_whole_probability(tiny_genomic: Callable[..., Path]) -> None:
    """Log-likelihoods are of a law: over all tokens that may come next they sum to 1."""
    model = genomic.load(str(tiny_genomic("decoder", "letters")), device="cpu")
    ids = model.tokenizer.encode(_letters("ACG"))
    total = 0.0
    for token in range(model.tokenizer.vocab_size):
        record = records.Record(name="r", letters_L=_letters("ACGT"), ids_T=np.append(ids, token))
        ((_, scores_T),) = laws.log_probs(model, [record], laws.Options())
        total += math.exp(scores_T[-1])
    assert total == pytest.approx(1, abs=1e-5)


def test_totals_frames_and_strands(tiny_genomic: Callable[..., Path]) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "6mer")), device="cpu")
    text = "ACGTAACGTTGCATTACCAGG"
    options = laws.Options()
    (plain,) = sequences.score(model, [_record(model, text)], options)
    expected = sum(_slow(model, text))
    assert plain.log_likelihood == pytest.approx(expected, abs=1e-3)
    assert plain.per_base == pytest.approx(expected / len(text), abs=1e-4)
    assert plain.perplexity == pytest.approx(math.exp(-expected / len(text)), rel=1e-4)
    other = reverse_complement(_letters(text)).tobytes().decode()
    (both,) = sequences.score(model, [_record(model, text)], options, both_strands=True)
    assert both.log_likelihood == pytest.approx((expected + sum(_slow(model, other))) / 2, abs=1e-3)
    (frames,) = sequences.score(model, [_record(model, text)], options, all_frames=True)
    totals = []
    for frame in range(6):
        record = _record(model, text, head=frame)
        assert model.tokenizer.decode(record.ids_T).tobytes().decode() == text
        ids = record.ids_T.tolist()
        totals.append(sum(_one_token(model, ids, place) for place in range(len(ids))))
    assert frames.log_likelihood == pytest.approx(np.mean(totals), abs=1e-3)
    assert (plain.tokens, frames.tokens) == (len(model.tokenizer.encode(_letters(text))),) * 2


def _base_by_base(model: genomic.GenomicModel, text: str) -> tuple[float, int]:
    """Of overlapping k-mers: every base's share of each k-mer that holds it, averaged base by base.

    A base that no k-mer holds is told by its own token, and an ambiguity code by none.
    """
    ids = model.tokenizer.encode(_letters(text))
    spans = model.tokenizer.spans(ids).tolist()
    shares: list[list[float]] = [[] for _ in text]
    for least in (2, 1):
        told = [bool(share) for share in shares]
        for place, (score, span) in enumerate(zip(_slow(model, text), spans, strict=True)):
            letters = range(place, place + span)
            if span < least or any(told[letter] for letter in letters) or (least == 1 and span > 1):
                continue
            for letter in letters if set(text[place : place + span]) <= set("ACGT") else ():
                shares[letter].append(score / span)
    return sum(sum(share) / len(share) for share in shares if share), sum(map(bool, shares))


@pytest.mark.parametrize(
    "text", ["ACG", "ACGT", "AC", "ACGTNACGTAACC", "ACGTTGCAGGACCA", "NNACGTR", "ACGNACNNNNAC", "NNN"]
)
def test_every_base_counts_once_where_tokens_overlap(tiny_genomic: Callable[..., Path], text: str) -> None:
    model = genomic.load(str(tiny_genomic("encoder", "3mer-overlapping")), device="cpu")
    (found,) = sequences.score(model, [_record(model, text)], laws.Options())
    expected, bases = _base_by_base(model, text)
    assert bases == sum(letter in "ACGT" for letter in text)
    assert found.log_likelihood == pytest.approx(expected, abs=1e-3)
    assert found.per_base == pytest.approx(expected / bases if bases else math.nan, nan_ok=True)
    assert found.ambiguous == len(text) - bases


@pytest.mark.parametrize("tokenizer", ["letters", "3mer", "3mer-overlapping"])
def test_ambiguity_codes_are_read_and_not_scored(tiny_genomic: Callable[..., Path], tokenizer: str) -> None:
    """What is left is every base once, told after all that stands before it."""
    model = genomic.load(str(tiny_genomic("decoder", tokenizer)), device="cpu")
    text = "ACGTANCCGTARRACGTTG"
    (found,) = sequences.score(model, [_record(model, text)], laws.Options())
    ids = model.tokenizer.encode(_letters(text))
    told, expected, at = 0, 0.0, 0
    for place, (score, span) in enumerate(zip(_slow(model, text), model.tokenizer.spans(ids), strict=True)):
        at = place if tokenizer == "3mer-overlapping" else at
        end = at + int(span)
        if end > told and set(text[at:end]) <= set("ACGT"):
            expected += score
        told, at = max(told, end), end
    assert found.log_likelihood == pytest.approx(expected, abs=1e-3)
    assert found.per_base == pytest.approx(expected / (len(text) - 3), abs=1e-4)


@pytest.mark.parametrize("tokenizer", ["letters", "3mer", "3mer-overlapping", "6mer-overlapping"])
@pytest.mark.parametrize("context", [16, 64])
def test_who_knows_nothing_says_chance_for_every_base(
    tiny_genomic: Callable[..., Path], tokenizer: str, context: int
) -> None:
    model = genomic.load(str(tiny_genomic("encoder", tokenizer, context)), device="cpu")
    for weight in model.network.parameters():
        weight.data.zero_()
    text = "ACGTTGCAGGACCATTAGACCAAT"
    (found,) = sequences.score(model, [_record(model, text)], laws.Options(), both_strands=True)
    k = model.tokenizer.k  # type: ignore[union-attr]
    assert found.per_base == pytest.approx(-math.log(model.network.config.vocab_size) / k)
    if k == 6:
        assert found.perplexity == pytest.approx(4, abs=0.01)


def test_read_from_left_to_right_overlapping_tokens_add_up(tiny_genomic: Callable[..., Path]) -> None:
    """Each token tells one more base of what is already known, but for the first."""
    model = genomic.load(str(tiny_genomic("decoder", "3mer-overlapping")), device="cpu")
    text = "ACGTTGCAGGACCA"
    (found,) = sequences.score(model, [_record(model, text)], laws.Options())
    assert found.log_likelihood == pytest.approx(sum(_slow(model, text)), abs=1e-3)


def test_a_base_is_told_without_seeing_it(
    tiny_genomic: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the network is shown when a token is scored holds none of the token's bases."""
    model = genomic.load(str(tiny_genomic("encoder", "3mer-overlapping")), device="cpu")
    text = "ACGTTGCAGGAC"
    ids = model.tokenizer.encode(_letters(text))
    shown: list[np.ndarray] = []
    asked = laws._logits
    monkeypatch.setattr(
        laws, "_logits", lambda model, ids_Bn, *rest: shown.extend(ids_Bn) or asked(model, ids_Bn, *rest)
    )
    _fast(model, [text])
    assert len(shown) == ids.size
    for place, row in enumerate(shown):
        inner = row[len(model.before) : len(row) - len(model.after)]
        seen = {
            letter
            for at in np.flatnonzero(inner != model.tokenizer.specials["mask"])
            for letter in range(at, at + 3)
        }
        own = set(range(place, place + 3))
        assert seen.isdisjoint(own)
        if 3 <= place < ids.size - 3:
            assert seen | own == set(range(len(text)))


@pytest.mark.parametrize(("tokenizer", "reach"), [("letters", 0), ("3mer-overlapping", 2)])
@pytest.mark.parametrize("hidden", [0.01, 0.15, 0.5])
def test_several_tokens_are_hidden_at_once(
    tiny_genomic: Callable[..., Path], tokenizer: str, reach: int, hidden: float
) -> None:
    """Each is told beside the others of its pass, at even distances, and none is told twice."""
    model = genomic.load(str(tiny_genomic("encoder", tokenizer, 128)), device="cpu")
    text = "ACGTTGCAGGACCATTAGACCAATGGCATTACA" * 2 + "ACGGT"
    ids = model.tokenizer.encode(_letters(text))
    passes = -(-ids.size // max(1, int(hidden * ids.size / (2 * reach + 1))))
    expected = np.full(ids.size, np.nan)
    for first in range(passes):
        places = range(first, ids.size, passes)
        is_near = [min(abs(at - place) for place in places) <= reach for at in range(ids.size)]
        shown = np.where(is_near, model.tokenizer.specials["mask"], ids).tolist()
        with torch.inference_mode():
            inputs = torch.tensor([[*model.before, *shown, *model.after]])
            logits_TV = model.network(input_ids=inputs).logits[0, len(model.before) :]
        for place in places:
            expected[place] = torch.log_softmax(logits_TV[place], dim=-1)[ids[place]]
    (found,) = _fast(model, [text], hidden=hidden, batch_tokens=100)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (passes < ids.size) == (hidden > 0.01)
    together, alone = _fast(model, [text], hidden=hidden)[0], _slow(model, text)
    assert np.allclose(together, alone, atol=1e-4) == (hidden == 0.01)


def test_more_than_half_is_not_hidden() -> None:
    with pytest.raises(errors.UsageError, match="--hide 0.6"):
        laws.Options(hidden=0.6)


def test_nothing_is_certain(tiny_genomic: Callable[..., Path]) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "6mer")), device="cpu")
    (found,) = sequences.score(model, [_record(model, "")], laws.Options(), all_frames=True)
    assert (found.log_likelihood, found.length, found.tokens) == (0, 0, 0)
    assert math.isnan(found.per_base)


def test_without_a_start_token_the_first_is_not_scored(
    tiny_genomic: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = genomic.load(str(tiny_genomic("decoder", "letters")), device="cpu")
    monkeypatch.setattr(genomic.GenomicModel, "before", property(lambda self: ()))
    (scores,) = _fast(model, ["ACGT"])
    assert np.isnan(scores).tolist() == [True, False, False, False]
    (found,) = sequences.score(model, [_record(model, "ACGT")], laws.Options())
    assert found.per_base == pytest.approx(found.log_likelihood / 3)


def test_a_model_without_a_mask_token_is_refused(
    tiny_genomic: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqkit.tokenizers.kmer import KmerTokenizer

    model = genomic.load(str(tiny_genomic("encoder", "letters")), device="cpu")
    monkeypatch.setattr(KmerTokenizer, "specials", property(lambda self: {"pad": 0}))
    with pytest.raises(errors.UsageError, match="no mask token"):
        _fast(model, ["ACGT"])
