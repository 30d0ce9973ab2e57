"""Segments in every format, as programs that read them expect it."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit import errors
from seqkit.io import segments
from seqkit.io.segments import Alternative, Segment, Word

TWO = [
    Segment(file="a b.wav", start=0.0, end=9.9996, text="rain, and wind", score=0.75),
    Segment(
        file="a b.wav",
        start=3661.5,
        end=3671.25,
        text='a "bell" --> <rings>',
        score=0.5,
        alternatives=(Alternative("a bell", 0.25),),
        words=(Word("a", 3661.5, 3662.0),),
    ),
]


def written(form: str) -> str:
    return "".join(segments.write(TWO, form))


def test_subtitles_have_times_and_nothing_that_ends_a_cue() -> None:
    assert written("srt") == (
        "1\n00:00:00,000 --> 00:00:10,000\nrain, and wind\n\n"
        '2\n01:01:01,500 --> 01:01:11,250\na "bell" -> <rings>\n\n'
    )
    assert written("vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:10.000\nrain, and wind\n\n"
        '01:01:01.500 --> 01:01:11.250\na "bell" -&gt; &lt;rings&gt;\n\n'
    )


def test_tables_are_quoted_where_they_must_be() -> None:
    for form, delimiter in (("tsv", "\t"), ("csv", ",")):
        rows = list(csv.DictReader(io.StringIO(written(form)), delimiter=delimiter))
        assert [row["text"] for row in rows] == [segment.text for segment in TWO]
        assert rows[1]["start"] == "3661.500"
        assert rows[0]["score"] == "0.7500"


def test_json_holds_everything() -> None:
    whole = json.loads(written("json"))
    lines = [json.loads(line) for line in written("jsonl").splitlines()]
    assert whole == lines
    assert whole[1]["alternatives"] == [{"text": "a bell", "score": 0.25}]
    assert whole[1]["words"] == [{"text": "a", "start": 3661.5, "end": 3662.0}]
    assert json.loads("".join(segments.write([], "json"))) == []


def test_json_has_null_where_a_number_is_not_finite() -> None:
    nan, infinity = float("nan"), float("inf")
    odd = Segment(
        file="caf\udce9.wav",
        start=0.0,
        end=infinity,
        text="\u00e9",
        score=nan,
        alternatives=(Alternative("b", -infinity),),
    )
    for form in ("json", "jsonl"):
        text = "".join(segments.write([odd, TWO[0]], form))
        assert "NaN" not in text and "Infinity" not in text
        told = json.loads(text)[0] if form == "json" else json.loads(text.splitlines()[0])
        assert told["score"] is told["end"] is told["alternatives"][0]["score"] is None
        assert (told["start"], told["text"], told["file"]) == (0.0, "\u00e9", "caf\udce9.wav")
        assert text.encode("utf-8")


def test_plain_text_is_a_line_each_and_names_files_where_there_are_several() -> None:
    assert written("txt") == 'rain, and wind\na "bell" --> <rings>\n'
    named = "".join(segments.write(TWO, "txt", several=True))
    assert named == 'a b.wav\train, and wind\na b.wav\ta "bell" --> <rings>\n'


def test_writers_do_not_wait_for_the_end() -> None:
    def coming():  # type: ignore[no-untyped-def]
        yield TWO[0]
        raise RuntimeError("asked for more than was written")

    for form in ("txt", "jsonl", "csv"):
        pieces = segments.write(coming(), form)
        found = next(pieces) + ("" if form != "csv" else next(pieces))
        assert "rain" in found


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_survives_tables_and_json(text: str) -> None:
    one = Segment(file="f", start=0, end=1, text=text, score=0.0)
    assert json.loads("".join(segments.write([one], "jsonl")))["text"] == text
    rows = list(csv.DictReader(io.StringIO("".join(segments.write([one], "csv")))))
    assert rows[0]["text"] == text


def test_other_formats_are_refused() -> None:
    with pytest.raises(errors.UsageError, match="docx"):
        segments.write([], "docx")
