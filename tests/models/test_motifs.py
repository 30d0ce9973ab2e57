"""Rules over tokens beside a search through all sequences; every decoder under the same rule."""

import functools
import itertools
import re

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

from seqkit import errors
from seqkit.decoders import catalogue
from seqkit.decoders.sampling import SamplingOptions
from seqkit.io.prompts import Prompt
from seqkit.models import continuation, generative
from seqkit.models.motifs import Constraints, MotifRule, other_than_bases

IUPAC = {"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "W": "AT", "N": "ACGT"}
#: Special tokens, bases, and some longer tokens.
SPELLED = ("", "", "A", "C", "G", "T", "AC", "GGT", "TAT", "CA")
EOS = 1
MOTIFS = st.lists(st.text(alphabet="ACGTRWN", min_size=1, max_size=3), max_size=2).map(tuple)


def _fits(motif: str, text: str) -> bool:
    pattern = "".join(f"[{IUPAC[letter]}]" for letter in motif)
    return re.search(f"(?={pattern})", text) is not None


def _is_free(forbidden: tuple[str, ...], before: str, text: str) -> bool:
    """No forbidden motif ends in the text, which stands behind another."""
    whole = before + text
    return not any(
        re.fullmatch("".join(f"[{IUPAC[letter]}]" for letter in motif), whole[end - len(motif) : end])
        for motif in forbidden
        for end in range(max(len(before) + 1, len(motif)), len(whole) + 1)
    )


def _can_be_had(asked: Constraints, before: str, text: str, room: int) -> bool:
    """Whether some `room` more bases give all that is wanted, and bases can follow without an end."""

    @functools.cache
    def can_go_on(tail: str, depth: int) -> bool:
        return depth == 0 or any(
            _is_free(asked.forbidden, tail, base) and can_go_on((tail + base)[-3:], depth - 1)
            for base in "ACGT"
        )

    if not _is_free(asked.forbidden, before, text):
        return False
    return any(
        _is_free(asked.forbidden, before, text + more)
        and all(_fits(motif, text + more) for motif in asked.wanted)
        and can_go_on((before + text + more)[-3:], 6)
        for length in range(room + 1)
        for more in map("".join, itertools.product("ACGT", repeat=length))
    )


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    wanted=MOTIFS.map(lambda motifs: motifs[:1]),
    forbidden=MOTIFS,
    prompt=st.lists(st.integers(2, 9), min_size=1, max_size=3),
    new=st.lists(st.integers(2, 9), max_size=2),
    left=st.integers(1, 3),
    longest=st.sampled_from([0, 4, 7]),
)
def test_a_token_is_allowed_if_what_is_asked_for_can_still_be_had(
    wanted: tuple[str, ...],
    forbidden: tuple[str, ...],
    prompt: list[int],
    new: list[int],
    left: int,
    longest: int,
) -> None:
    asked = Constraints(wanted=wanted, forbidden=forbidden, min_length=2, max_length=longest)
    before, text = ("".join(SPELLED[token] for token in tokens) for tokens in (prompt, new))
    room = lambda added: min(left - 1, longest - len(text) - added) if longest else left - 1  # noqa: E731
    expected = [
        bool(word) and room(len(word)) >= 0 and _can_be_had(asked, before, text + word, room(len(word)))
        for word in SPELLED
    ]
    rule = MotifRule(asked, SPELLED, (EOS,))
    complete = len(text) >= 2 and all(_fits(motif, text) for motif in wanted)
    can_go_on = _can_be_had(asked, before, text, 0)
    hypothesis.assume(can_go_on or not complete)
    expected[EOS] = complete
    hypothesis.assume(any(expected))
    assert rule.allowed(prompt, new, left).tolist() == expected


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(
    wanted=MOTIFS, forbidden=MOTIFS, seed=st.integers(0, 99), longest=st.sampled_from([0, 9, 15])
)
def test_whatever_is_drawn_it_keeps_the_rule(
    wanted: tuple[str, ...], forbidden: tuple[str, ...], seed: int, longest: int
) -> None:
    asked = Constraints(wanted=wanted, forbidden=forbidden, min_length=5, max_length=longest)
    prompt, most = [2, 7], 15
    rule = MotifRule(asked, SPELLED, (EOS,))
    try:
        rule.require_possible(prompt, most)
    except errors.UsageError:
        hypothesis.assume(False)
    generator = torch.Generator().manual_seed(seed)
    new: list[int] = []
    while len(new) < most and EOS not in new:
        weights_V = rule.allowed(prompt, new, most - len(new)).double()
        new.append(int(torch.multinomial(weights_V, 1, generator=generator)))
    text = "".join(SPELLED[token] for token in new)
    assert all(_fits(motif, text) for motif in wanted)
    assert _is_free(forbidden, "AGGT", text)
    assert not longest or len(text) <= longest
    assert EOS not in new or len(text) >= 5


def test_letters_that_stand_for_several_bases() -> None:
    spelled = ("", "A", "C", "G", "T", "N", "R")
    wanted = MotifRule(Constraints(wanted=("R",)), spelled, (0,))
    assert wanted.allowed([1], [], left=1).tolist() == [False, True, False, True, False, False, True]
    forbidden = MotifRule(Constraints(forbidden=("G",)), spelled, (0,))
    assert forbidden.allowed([1], [], left=9).tolist() == [True, True, True, False, True, False, False]


@pytest.mark.parametrize(
    ("spelled", "others"),
    [
        (("", "[PAD]", "<oov>", "A", "C", "G", "T", "N", "ACR", "GATTACA"), (0, 1, 2, 7, 8)),
        (("_", "_A", "\u2581C", "A", "C", "G", "T"), (0, 1, 2)),
        (("", "AA", "CC", "GG", "TT"), (0,)),
        (("", "A", "C", "G", "T", "the"), ()),
        (("", "A", "N"), ()),
    ],
)
def test_tokens_that_are_no_bases(spelled: tuple[str, ...], others: tuple[int, ...]) -> None:
    assert other_than_bases(spelled) == others


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wanted": ("AXA",)}, "--motif 'AXA'"),
        ({"forbidden": ("",)}, "--forbid-motif ''"),
        ({"min_length": -1}, "not negative"),
        ({"min_length": 9, "max_length": 8}, "--max-length 8"),
        ({"wanted": ("ACGTACGT",), "max_length": 7}, "--max-length 7"),
    ],
)
def test_constraints_that_make_no_sense(options: dict, words: str) -> None:
    with pytest.raises(errors.UsageError, match=words):
        Constraints(**options)


@pytest.mark.parametrize(
    ("options", "most", "words"),
    [
        ({"wanted": ("GAATTC",), "forbidden": ("ATT",)}, 99, "no sequence has the motifs"),
        ({"forbidden": ("N",)}, 99, "no sequence"),
        ({"wanted": ("GAATTC",)}, 5, "5 tokens may be too few"),
        ({"wanted": ("AAAA", "CCCC"), "max_length": 7}, 99, "take 8 bases"),
    ],
)
def test_what_cannot_be_had_is_refused(options: dict, most: int, words: str) -> None:
    with pytest.raises(errors.UsageError, match=words):
        MotifRule(Constraints(**options), SPELLED, (EOS,)).require_possible([2], most)


def test_vocabularies_that_do_not_fit() -> None:
    asked = Constraints(wanted=("A",), max_length=5)
    with pytest.raises(errors.UsageError, match="models of nucleotides"):
        MotifRule(asked, ("the", "A", "C", "G", "T"), (0,))
    with pytest.raises(errors.UsageError, match="single bases"):
        MotifRule(asked, ("", "AC", "GT"), (0,))
    with pytest.raises(errors.UsageError, match="no end of sequence"):
        MotifRule(asked, SPELLED, ())
    with pytest.raises(errors.UsageError, match="too many"):
        MotifRule(Constraints(wanted=("A" + "N" * 20,)), SPELLED, (EOS,))


EXACT = [name for name, decoder in catalogue.DECODERS.items() if decoder.guarantee == "distribution"]


@pytest.mark.parametrize("name", EXACT)
def test_every_decoder_gives_the_same_sequences(name: str, tiny_model) -> None:
    """Greedy, two prompts in a batch, motifs wanted and forbidden, a length in bases."""
    model = generative.load(str(tiny_model("llama-dna")), device="cpu", dtype="float32")
    asked = Constraints(
        wanted=("GATTACA", "TATAWAW"), forbidden=("GGNCC", "AAA"), min_length=35, max_length=41
    )
    if catalogue.DECODERS[name].source:
        pytest.skip("needs a source")
    draft = model if catalogue.DECODERS[name].draft_model else None
    prompts = [Prompt(text=text, name=text) for text in ("ACGTACGTTGCA", "GGGCA")]

    def answers(decoder: str, smaller: generative.Generative | None) -> list[str]:
        options = continuation.AnswerOptions(
            sampling=SamplingOptions(max_new_tokens=42), decoder=decoder, constraints=asked
        )
        return [one.text for one in continuation.Answerer(model, options, smaller).answers(prompts)]

    expected = answers("plain", None)
    assert answers(name, draft) == expected
    free = continuation.AnswerOptions(sampling=SamplingOptions(max_new_tokens=42), decoder="plain")
    assert [one.text for one in continuation.Answerer(model, free).answers(prompts)] != expected
    for prompt, text in zip(prompts, expected, strict=True):
        assert 35 <= len(text) <= 41
        assert "GATTACA" in text
        assert re.search("TATA[AT]A[AT]", text)
        assert not re.search("GG[ACGTN]CC|AAA", prompt.text[-4:] + text)


def test_draws_keep_the_rule(tiny_model) -> None:
    model = generative.load(str(tiny_model("llama-dna")), device="cpu", dtype="float32")
    options = continuation.AnswerOptions(
        sampling=SamplingOptions(max_new_tokens=30, temperature=1.5, seed=4),
        answers=5,
        constraints=Constraints(wanted=("CCWGG",), max_length=25),
    )
    found = [one.text for one in continuation.Answerer(model, options).answers([Prompt(text="AC", name="1")])]
    assert len(set(found)) == 5
    assert all(re.search("CC[ATW]GG", text) and len(text) <= 25 for text in found)


@pytest.mark.parametrize("search", ["beam", "diverse"])
def test_searches_keep_the_rule(search: str, tiny_model) -> None:
    model = generative.load(str(tiny_model("llama-dna")), device="cpu", dtype="float32")
    options = continuation.AnswerOptions(
        sampling=SamplingOptions(max_new_tokens=30),
        search=search,
        constraints=Constraints(wanted=("GATTACA",), max_length=25),
    )
    (found,) = continuation.Answerer(model, options).answers([Prompt(text="AC", name="1")])
    assert "GATTACA" in found.text
    assert len(found.text) <= 25
