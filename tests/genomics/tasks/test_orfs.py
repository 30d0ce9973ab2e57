"""Open reading frames against a search of every place."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.genomics.tasks import orfs
from seqkit.genomics.tasks.orfs import Frame

STOPS = {"TAA", "TAG", "TGA"}
STARTS = {"ATG", "GTG", "TTG"}
#: Codons among letters, so that frames are found.
texts = st.lists(
    st.sampled_from(["ATG", "GTG", "TAA", "TGA", "TAG", "CCC", "A", "C", "G", "T", "N"]), max_size=40
).map("".join)


def codes_of(text: str) -> np.ndarray:
    return np.array(["ACGTN".index(letter) for letter in text], dtype=np.uint8)


def slow_find(text: str, least: int) -> list[Frame]:
    found = []
    for end in range(3, len(text) + 1):
        if text[end - 3 : end] not in STOPS:
            continue
        start = None
        at = end - 6
        while at >= 0 and text[at : at + 3] not in STOPS and "N" not in text[at : at + 3]:
            start = at if text[at : at + 3] in STARTS else start
            at -= 3
        if start is not None and end - start >= least:
            found.append(Frame(start, end))
    return sorted(found)


@given(texts, st.integers(6, 18))
@settings(max_examples=300, deadline=None)
def test_frames_are_those_of_a_search_of_every_place(text: str, least: int) -> None:
    assert orfs.find(codes_of(text), least) == slow_find(text, least)


@given(texts, st.integers(0, 2))
@settings(max_examples=150, deadline=None)
def test_stops_are_found_in_their_frame_alone(text: str, offset: int) -> None:
    slow = any(text[at : at + 3] in STOPS for at in range(offset, len(text) - 2, 3))
    assert orfs.has_stop(codes_of(text), offset) == slow


def test_nothing_has_no_frames() -> None:
    assert orfs.find(codes_of(""), 6) == []
    assert not orfs.has_stop(codes_of("TA"), 2)
