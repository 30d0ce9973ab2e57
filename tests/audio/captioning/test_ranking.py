"""Ranking: the formula by hand, each caption once, and never nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit import errors
from seqkit.audio.captioning.interface import Scored
from seqkit.audio.captioning.ranking import RankConfig, faults, rank


def test_the_formula_decides() -> None:
    candidates = [
        Scored("a dog barks", 0.0, logprob=-1.0, similarity=0.2),
        Scored("rain falls", 0.0, logprob=-3.0, similarity=0.9),
        Scored("a clock ticks", 0.0, logprob=-0.5, similarity=0.1),
    ]
    ranked = rank(candidates, RankConfig())
    assert [one.text for one in ranked] == ["a clock ticks", "a dog barks", "rain falls"]
    assert [one.score for one in ranked] == pytest.approx([-0.08, -0.16, -0.27])
    assert rank(candidates, RankConfig(likelihood=0))[0].text == "rain falls"


def test_doubles_are_merged_and_keep_the_better_score() -> None:
    ranked = rank([Scored("rain  falls", 0, -2.0, 0.5), Scored("rain falls", 0, -1.0, 0.5)], RankConfig())
    assert [(one.text, one.logprob) for one in ranked] == [("rain falls", -1.0)]


def test_faulty_captions_go_last_and_are_never_nothing() -> None:
    good, bad = Scored("a dog barks", 0, -5.0, 0.0), Scored("a dog barks while the", 0, -0.1, 1.0)
    assert [one.text for one in rank([bad, good], RankConfig())] == [good.text, bad.text]
    assert [one.text for one in rank([bad], RankConfig())] == [bad.text]
    assert rank([bad, good], RankConfig(filter_faults=False))[0].text == bad.text


@given(
    st.lists(
        st.tuples(st.text("ab ", min_size=1, max_size=9), st.floats(-9, 0), st.floats(-1, 1)), min_size=1
    )
)
def test_something_is_always_left(rows: list[tuple[str, float, float]]) -> None:
    ranked = rank([Scored(text, 0.0, logprob, cosine) for text, logprob, cosine in rows], RankConfig())
    assert ranked
    assert {one.text for one in ranked} == {" ".join(text.split()) for text, _, _ in rows}


def test_faults_are_found() -> None:
    assert faults("a dog a dog a dog barks and barks") == ("repeats itself",)
    assert faults("people talk and") == ("ends open",)
    assert faults("rain") == ("too short",)
    assert faults("a man speaks while water flows") == ()


def test_wrong_weights_are_refused() -> None:
    for wrong in ({"likelihood": -1.0}, {"likelihood": 0.0, "similarity": 0.0}):
        with pytest.raises(errors.UsageError):
            RankConfig(**wrong)
