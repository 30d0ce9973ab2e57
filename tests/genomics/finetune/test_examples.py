"""Labelled sequences: tables, FASTA, FASTQ, and all that can be wrong with them."""

import gzip
from pathlib import Path

import pytest

from seqkit import errors
from seqkit.genomics.finetune.examples import Columns, Example, read


def all_of(path: Path, text: str | bytes, columns: Columns | None = None) -> list[Example]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read(path, columns or Columns()))


def plain(examples: list[Example]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(e.name, e.letters_L.tobytes().decode(), e.texts) for e in examples]


@pytest.mark.parametrize(
    "text",
    [
        "sequence,label\nACGT,a\nNNA,b\n",
        "sequence\tlabel\nACGT\ta\nNNA\tb\n",
        "sequence,label\r\nacgu,a\r\nnna,b\r\n",
        "label,sequence\na,ACGT\n\nb, NNA \n",
        '"sequence","label"\n"ACGT","a"\nNNA,b',
        b"\xef\xbb\xbfsequence,label\nACGT,a\nNNA,b\n",
    ],
)
def test_a_table_in_any_dress(tmp_path: Path, text: str | bytes) -> None:
    found = plain(all_of(tmp_path / "a.csv", text))
    assert found == [("1", "ACGT", ("a",)), ("2", "NNA", ("b",))]


def test_columns_by_name(tmp_path: Path) -> None:
    text = "id,x,s,y\nfirst,1,AC,0\n"
    columns = Columns(sequence="s", labels=("y", "x"))
    assert plain(all_of(tmp_path / "a.csv", text, columns)) == [("first", "AC", ("0", "1"))]


def test_compressed(tmp_path: Path) -> None:
    found = all_of(tmp_path / "a.csv.gz", gzip.compress(b"sequence,label\nAC,1\n"))
    assert plain(found) == [("1", "AC", ("1",))]


def test_fasta_has_the_label_in_its_header(tmp_path: Path) -> None:
    text = ">one yes more\nACG\nT\n>two no\nnu\n"
    assert plain(all_of(tmp_path / "a.fa", text)) == [("one", "ACGT", ("yes",)), ("two", "NT", ("no",))]
    by_group = Columns(pattern=r"class=(\w+)")
    assert plain(all_of(tmp_path / "b.fa", ">a x class=c1\nA\n", by_group)) == [("a", "A", ("c1",))]
    whole = Columns(pattern=r"^[a-z]+")
    assert plain(all_of(tmp_path / "c.fa", ">cat7\nA\n", whole)) == [("cat7", "A", ("cat",))]


def test_fasta_with_a_table_beside(tmp_path: Path) -> None:
    table = tmp_path / "labels.tsv"
    table.write_text("id\tlabel\ntwo\tno\none\tyes\n")
    columns = Columns(beside=str(table))
    found = all_of(tmp_path / "a.fa", ">one x\nAC\n>two\nGT\n", columns)
    assert plain(found) == [("one", "AC", ("yes",)), ("two", "GT", ("no",))]
    with pytest.raises(errors.DataError, match=r"b.fa: three: has no label in .*labels.tsv"):
        all_of(tmp_path / "b.fa", ">three\nA\n", columns)


def test_sequences_alone(tmp_path: Path) -> None:
    alone = Columns(labels=())
    assert plain(all_of(tmp_path / "a.fq", "@r x\nACGU\n+\nIIII\n", alone)) == [("r", "ACGT", ())]
    assert plain(all_of(tmp_path / "a.fa", ">r x\nACN\n", alone)) == [("r", "ACN", ())]
    assert plain(all_of(tmp_path / "a.tsv", "name\tsequence\nr\t\n", alone)) == [("r", "", ())]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("sequence,label\n", "no row below the header"),
        ("seq,label\nA,1\n", "there is no column 'sequence'"),
        ("sequence,sequence,label\nA,A,1\n", "two columns are called 'sequence'"),
        ("sequence,label\nA,1\nA\n", "line 3: has 1 fields, not 2"),
        ("sequence,label\nA,1,2\n", "line 2: has 3 fields, not 2"),
        ("sequence,label\nAC!T,1\n", "line 2: '!' at position 3"),
        ("sequence,label\nACé,1\n", "'é' at position 3"),
        ('sequence,label\n"AC,1\n', "line 2: not a row of a table"),
        (b"\x00\xff\xfe\x01,", "neither a table in UTF-8 nor FASTA"),
        (">one\nACG\n", "bad.txt: one: has no label in its header"),
        (">one yes\nAC*\n", "one"),
        (">one yes\n\n", "one: the record has no sequence"),
    ],
)
def test_bad_input_names_file_and_row(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(errors.DataError, match=words) as caught:
        all_of(tmp_path / "bad.txt", text)
    assert "bad.txt" in str(caught.value)


def test_a_missing_file_and_bad_questions(tmp_path: Path) -> None:
    with pytest.raises(errors.SeqkitError, match=r"gone.csv"):
        list(read(tmp_path / "gone.csv", Columns()))
    with pytest.raises(errors.UsageError, match="no regular expression"):
        Columns(pattern="(")
    with pytest.raises(errors.UsageError, match="either"):
        Columns(pattern="x", beside="y.tsv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label\na\n", "no column 'id' or 'name'"),
        ("id,label\nx\n", "has 1 fields"),
        ("id,label\nx,1\nx,2\n", "names 'x' again"),
        ("id,other\nx,1\n", "no column 'label'"),
    ],
)
def test_a_bad_table_beside(tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(errors.DataError, match=words):
        all_of(tmp_path / "a.fa", ">x\nA\n", Columns(beside=str(table)))
