"""Captions matched with references by name, shuffled, and scored with intervals."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.audio.evaluation import report

CAPTIONS = ["a dog barks", "rain falls on a roof", "birds sing in a tree", "a car drives by"]
REFERENCES = [
    ["a dog barks loudly", "a dog is barking"],
    ["rain falls on the roof", "it rains"],
    ["birds sing in the morning", "birds are singing in a tree"],
    ["a car drives by quickly", "a vehicle passes"],
]


def test_windows_of_a_file_are_joined_in_time(tmp_path: Path) -> None:
    path = tmp_path / "said.tsv"
    path.write_text(
        "file\tstart\ttext\n"
        "b/x.wav\t10.0\tRain falls.\n"
        "b/x.wav\t0.0\ta dog barks\n"
        "b/x.wav\t20.0\tRain falls.\n"
    )
    assert report.read_predictions(path) == {"x": "a dog barks; Rain falls"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", 'file,text\r\na/x.wav,"rain, and\nwind"\r\n'),
        ("p.json", '[{"file": "x.flac", "text": "rain, and\\nwind", "score": 1}]'),
        ("p.jsonl", '{"file": "x", "text": "rain, and\\nwind"}\n\n'),
        ("bom.csv", '\ufefffile,text\nx.wav,"rain, and\nwind"\n'),
    ],
)
def test_captions_are_read_from_tables_and_json(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode())
    assert report.read_predictions(path) == {"x": "rain, and\nwind"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", "file_name,caption_1,caption_2\nx.wav,rain,it rains\n"),
        ("r.tsv", "file\tsource\tcaption_1\tcaption_2\tcaption_3\nx.ogg\tmine\train\tit rains\t\n"),
        ("r.jsonl", '{"file": "x.wav", "captions": ["rain", "it rains"]}\n'),
        ("r.json", '[{"file_name": "x.wav", "caption_1": "rain", "caption_2": "it rains"}]'),
    ],
)
def test_references_are_read_from_tables_and_json(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert report.read_references(path) == {"x": ["rain", "it rains"]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "holds no rows"),
        ("file,text\n", "holds no rows"),
        ("name,words\nx,rain\n", "row 1: has no file and text"),
        ('{"file": "x", "text": 3}\n', "row 1: has no file and text"),
        ("[1, 2]", "holds no rows"),
        ('{"file": "x"', "is neither a table nor JSON"),
        ("[" * 100_000, "is neither a table nor JSON"),
        ("file,text\nx.wav,rain\ny.wav,wind\nx.wav,rain\n", "row 3: captions 'x' twice"),
        ("file,text\na/x.wav,rain\na/x.flac,rain\n", "row 2: captions 'a/x' twice"),
        ("file,start,text\nx.wav,soon,rain\n", "row 1: 'soon' is no start in seconds"),
    ],
)
def test_captions_that_cannot_be_used_are_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "said.txt"
    path.write_text(content)
    with pytest.raises(errors.DataError) as caught:
        report.read_predictions(path)
    assert str(path) in str(caught.value) and told in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("file_name,caption_1\nx.wav,\n", "row 1: has no file and captions"),
        ("file_name,caption_1\n,rain\n", "row 1: has no file and captions"),
        ('{"file": "x", "captions": []}', "row 1: has no file and captions"),
        ('{"file": "x", "captions": [1]}', "row 1: has no file and captions"),
        ("file_name,caption_1\nx.wav,rain\nx.ogg,wind\n", "row 2: names 'x' twice"),
    ],
)
def test_references_that_cannot_be_used_are_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "people.txt"
    path.write_text(content)
    with pytest.raises(errors.DataError) as caught:
        report.read_references(path)
    assert str(path) in str(caught.value) and told in str(caught.value)


def test_files_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(b"\xff\xfe\x00file")
    with pytest.raises(errors.DataError, match="no text in UTF-8"):
        report.read_predictions(path)
    with pytest.raises(errors.DataError, match="cannot be read"):
        report.read_predictions(tmp_path)


def test_clips_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    said, people = tmp_path / "said.csv", tmp_path / "people.csv"
    said.write_text("file,text\nd/b/x.wav,rain\nd/a/x.wav,wind\nd/y.wav,hum\n")
    people.write_text("file,caption_1\na/x.ogg,it blows\nb/x.ogg,it rains\nelsewhere/y.ogg,a hum\n")
    predictions, references = report.read_predictions(said), report.read_references(people)
    assert predictions == {"b/x": "rain", "a/x": "wind", "y": "hum"}
    assert report.matched(predictions, references).captions == ["wind", "rain", "hum"]
    people.write_text("file,caption_1\nx.ogg,it blows\n")
    with pytest.raises(errors.DataError, match=r"no caption for x \(b/x or a/x\?\)"):
        report.matched(predictions, report.read_references(people))
    with pytest.raises(errors.DataError, match="no caption of its own for a/x"):
        report.matched({"x": "rain"}, {"a/x": ["rain"], "b/x": ["rain"]})


def test_missing_clips_are_named_and_others_kept_apart() -> None:
    found = report.matched({"b": "wind", "a": "rain", "c": "hum"}, {"a": ["rain"], "b": ["it blows"]})
    assert (found.names, found.captions, found.unasked) == (["a", "b"], ["rain", "wind"], ["c"])
    with pytest.raises(errors.DataError, match="no caption for c0, c1, c2, c3, c4 and 2 more"):
        report.matched({}, {f"c{number}": ["rain"] for number in range(7)})


@given(st.integers(2, 30), st.integers(0, 2**32))
def test_shuffled_captions_are_the_same_ones_and_none_stays(clips: int, seed: int) -> None:
    captions = [f"caption {number}" for number in range(clips)]
    given_ = report.shuffled(captions, seed)
    assert sorted(given_) == sorted(captions)
    assert all(one != other for one, other in zip(captions, given_, strict=True))
    assert report.shuffled(captions, seed) == given_


def test_scores_lie_within_their_intervals_and_shuffling_costs() -> None:
    scores = report.evaluate(CAPTIONS, REFERENCES)
    for score in scores.values():
        assert score.low <= score.value <= score.high
    assert scores["CIDEr-D"].low < scores["CIDEr-D"].high
    chance = report.evaluate(report.shuffled(CAPTIONS, 0), REFERENCES)
    for name in ("CIDEr-D", "BLEU-1", "ROUGE-L"):
        assert chance[name].value < scores[name].value
    assert not any(name in scores for name in report.NOT_RUN)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(4)))
def test_the_order_of_clips_changes_no_value(order: list[int]) -> None:
    scores = report.evaluate(CAPTIONS, REFERENCES)
    moved = report.evaluate([CAPTIONS[i] for i in order], [REFERENCES[i] for i in order])
    for name, score in scores.items():
        assert moved[name].value == pytest.approx(score.value, abs=1e-12)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    within = 0
    for _ in range(200):
        one = rng.normal(0.3, 1, size=40)
        found = report.difference(one, np.zeros(40))
        within += found.low <= 0.3 <= found.high
    assert 0.88 <= within / 200 <= 0.99
