"""Lists of clips: JSON lines, GRID's folders, and what is wrong in them by line."""

import json
from pathlib import Path

import pytest

from seqkit import errors
from seqkit.vision_speech import manifest
from seqkit.vision_speech.texts import Alphabet, normalised


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    rows = [{"file": "a.mp4", "text": "Hello, WORLD", "words": [["hello", 0, 0.5], ["world", 0.5, 1]]}]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    (line,) = manifest.read(path)
    assert (line.file, line.text, line.name) == (tmp_path / "a.mp4", "hello world", "a")
    assert line.words[1] == manifest.Spoken("world", 0.5, 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no clip"),
        ('{"file": "a"}\n', "line 1"),
        ('{"file": "a", "text": "b"}\nnot json\n', "line 2"),
        ('{"file": 3, "text": "b"}\n', "must be strings"),
        ('{"file": "a", "text": "b", "words": [["x", "y", 1]]}\n', "line 1"),
        ("[1]\n", "line 1"),
    ],
)
def test_what_is_wrong_is_named_by_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(text)
    with pytest.raises(errors.DataError, match=words):
        manifest.read(path)


def test_texts_may_be_missing_where_none_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"file": "a.wav"}\n{"file": "b.wav", "text": "Red"}\n')
    assert [line.text for line in manifest.read(path, texts=False)] == ["", "red"]
    table = tmp_path / "m.tsv"
    table.write_text("file\na.wav\n")
    assert [line.file for line in manifest.read(table, texts=False)] == [tmp_path / "a.wav"]


def test_a_speaker_of_grid(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match=r"align\.tsv"):
        manifest.read(tmp_path)
    rows = ["id\tstart\tend\tword", "x1\t0\t25000\tsil", "x1\t25000\t50000\tbin", "x1\t50000\t62500\tblue"]
    (tmp_path / "align.tsv").write_text("\n".join(rows) + "\n")
    with pytest.raises(errors.DataError, match="no clip"):
        manifest.read(tmp_path)
    (tmp_path / "x1.mp4").touch()
    (line,) = manifest.read(tmp_path)
    assert line.text == "bin blue"
    assert line.words[0] == manifest.Spoken("bin", 1.0, 2.0)
    (tmp_path / "align.tsv").write_text("\n".join([*rows, "x1\ta\tb\tc"]))
    with pytest.raises(errors.DataError, match="line 5"):
        manifest.read(tmp_path)


def test_names_have_remarks(tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_text("# those\na\n\nb # good\n")
    assert manifest.read_names(path) == {"a", "b"}


def test_texts_become_characters_and_back() -> None:
    alphabet = Alphabet()
    for text in ("bin blue at f two now", "it's 9 o'clock", ""):
        assert alphabet.decode(alphabet.encode(text)) == text
    assert normalised("\u00c9T\u00c9 \u2014 it\u2019s\tON") == "ete it's on"


def test_a_table(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("text\tfile\tspeaker\nBin Blue!\tx/a.mp4\ts1\n\nset red\tb.wav\ts1\n")
    first, second = manifest.read(path)
    assert (first.file, first.text) == (tmp_path / "x" / "a.mp4", "bin blue")
    assert (second.file, second.text) == (tmp_path / "b.wav", "set red")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.mp4\tbin\n", "has no columns file and text"),
        ("file\ttext\n", "or no clip"),
        ("file\ttext\na.mp4\tbin\nb.mp4\n", "line 3: has no file and text"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text(text)
    with pytest.raises(errors.DataError, match=told):
        manifest.read(path)


def test_a_missing_file_is_told_from_one_that_is_no_text(tmp_path: Path) -> None:
    for read in (manifest.read, manifest.read_names):
        with pytest.raises(errors.DataError, match="no such file"):
            read(tmp_path / "nowhere.txt")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for read in (manifest.read, manifest.read_names):
        with pytest.raises(errors.DataError, match="UTF-8"):
            read(tmp_path / "binary")
    with pytest.raises(errors.DataError, match="cannot be read: Is a directory"):
        manifest.read_names(tmp_path)
