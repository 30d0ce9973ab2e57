"""`seqkit tokenize` as users run it: there and back, comparisons, bad input."""

import gzip
import itertools
import json
import re

import pytest

#: Byte pairs without a pair, that have no letters but these.
ACGT = json.dumps(
    {
        "version": "1.0",
        "model": {
            "type": "BPE",
            "vocab": {"<unk>": 0, "A": 1, "C": 2, "G": 3, "T": 4},
            "merges": [],
            "unk_token": "<unk>",
        },
    }
)
FASTA = ">one first\nacguACGTNNRY\nACGT\n>empty\n\n>two\nA\n"


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "in.fa"
    path.write_text(FASTA)
    return path


@pytest.fixture
def trained(run, tmp_path, examples):
    path = tmp_path / "made.json"
    result = run("tokenize", "train", examples / "sarscov2.fa", "-o", path, "--vocab-size", "100")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"made\.json: 100 tokens from 29,903 bases in", result.stderr)
    return path


@pytest.mark.parametrize("form", ["tsv", "jsonl"])
@pytest.mark.parametrize("name", ["letters", "6mer", "3mer-overlapping", "trained"])
def test_there_and_back(run, tmp_path, fasta, trained, name, form):
    tokenizer = trained if name == "trained" else name
    tokens, back = tmp_path / "tokens", tmp_path / "back.fa"
    result = run("tokenize", "encode", fasta, "-t", tokenizer, "-o", tokens, "--format", form)
    assert result.exit_code == 0, result.stderr
    assert "3 sequences, 17 bases" in result.stderr
    assert run("tokenize", "decode", tokens, "-t", tokenizer, "-o", back).exit_code == 0
    assert back.read_text() == ">one\nACGTACGTNNRYACGT\n>empty\n\n>two\nA\n"


def test_standard_output_holds_tokens_only(run, fasta):
    result = run("tokenize", "encode", fasta, "-t", "letters")
    head, *lines = result.stdout.splitlines()
    assert head.startswith("#tokenizer\t")
    assert [line.partition("\t")[0] for line in lines] == ["one", "empty", "two"]
    assert lines[1] == "empty\t"
    assert len(lines[0].split("\t")[1].split()) == 16


@pytest.mark.parametrize("form", ["tsv", "jsonl"])
def test_tokens_of_another_tokenizer_are_refused(run, tmp_path, fasta, form):
    """Of as many tokens: nothing in the numbers would show it."""
    tokens = tmp_path / "tokens"
    assert run("tokenize", "encode", fasta, "-t", "6mer", "-o", tokens, "--format", form).exit_code == 0
    result = run("tokenize", "decode", tokens, "-t", "6mer-overlapping")
    assert result.exit_code == 1
    assert "another tokenizer" in result.stderr and str(tokens) in result.stderr
    assert result.stdout == ""


def test_tokens_without_a_mark_are_taken_at_their_word(run, tmp_path):
    (tmp_path / "tokens").write_text("r\t6 7 8 9\n")
    result = run("tokenize", "decode", tmp_path / "tokens", "-t", "letters")
    assert result.exit_code == 0 and result.stdout.startswith(">r\n")


def test_the_other_strand(run, tmp_path):
    (tmp_path / "a.fa").write_text(">r\nAACGN\n")
    (tmp_path / "b.fa").write_text(">r\nNCGTT\n")
    one = run("tokenize", "encode", tmp_path / "a.fa", "-t", "3mer", "--reverse-complement")
    two = run("tokenize", "encode", tmp_path / "b.fa", "-t", "3mer")
    assert one.stdout == two.stdout


def test_training_is_reproducible_and_can_be_short(run, tmp_path, examples):
    texts = []
    for number in range(2):
        out = tmp_path / f"{number}.json"
        arguments = ["--vocab-size", "60", "--max-bases", "5000", "--both-strands"]
        result = run("tokenize", "train", examples / "sarscov2.fa", "-o", out, *arguments)
        assert "from 5,000 bases" in result.stderr
        texts.append(out.read_text())
    assert texts[0] == texts[1]


def test_stats_count_what_there_is(run, fasta, trained):
    result = run("tokenize", "stats", fasta, "-t", "letters", "-t", "4mer", "-t", trained, "--json")
    letters, kmers, pairs = json.loads(result.stdout)
    assert (letters["records"], letters["letters"], letters["tokens"], letters["ambiguous"]) == (3, 17, 17, 4)
    assert kmers["tokens"] == 8, "ACGT ACGT N N R Y ACGT, A"
    assert (letters["longest"], kmers["longest"]) == (1, 4)
    assert letters["unknown"] == kmers["unknown"] == pairs["unknown"] == 0
    table = run("tokenize", "stats", fasta, "-t", "letters").stdout
    assert table.startswith("3 sequences, 17 bases, 4 of them ambiguous\n")
    assert re.search(r"letters +26 +7 +17 +1\.000", table)


def test_stats_tell_bases_per_token_and_what_went_wrong_where(run, fasta, tmp_path):
    (told,) = json.loads(run("tokenize", "stats", fasta, "-t", "4mer", "--json").stdout)
    assert told["bases_per_token"] == pytest.approx(17 / 8)
    kmers = ["".join(bases) for bases in itertools.product("ACGT", repeat=3)]
    (tmp_path / "vocab.txt").write_text("\n".join(["<oov>", *kmers]))
    result = run("tokenize", "stats", fasta, "-t", "letters", "-t", tmp_path / "vocab.txt")
    assert result.exit_code == 1
    assert f"{fasta}: one: {tmp_path / 'vocab.txt'}: letter 'N' at place 9" in result.stderr


@pytest.mark.parametrize(("name", "opened"), [("tokens.tsv.gz", gzip.open), ("tokens.tsv", open)])
def test_a_name_that_ends_in_gz_is_compressed(run, fasta, tmp_path, name, opened):
    plain = run("tokenize", "encode", fasta, "-t", "letters").stdout
    assert run("tokenize", "encode", fasta, "-t", "letters", "-o", tmp_path / name).exit_code == 0
    with opened(tmp_path / name, "rt") as file:
        assert file.read() == plain
    back = tmp_path / "back.fa.gz"
    assert run("tokenize", "decode", tmp_path / name, "-t", "letters", "-o", back).exit_code == 0
    assert gzip.decompress(back.read_bytes()).startswith(b">one\nACGTACGTNNRYACGT\n")


def test_letters_that_a_tokenizer_has_not(run, tmp_path):
    (tmp_path / "acgt.json").write_text(ACGT)
    (tmp_path / "in.fa").write_text(">one\nacguNnR\n")
    refused = run("tokenize", "encode", tmp_path / "in.fa", "-t", tmp_path / "acgt.json")
    assert refused.exit_code == 1
    assert "in.fa: one: letter 'N' at place 5" in refused.stderr and "(--allow-unknown)" in refused.stderr
    asked = ("tokenize", "encode", tmp_path / "in.fa", "--allow-unknown", "-t")
    assert run(*asked, tmp_path / "acgt.json").stdout.endswith("\none\t1 2 3 4 0 0 0\n")
    assert run(*asked, "letters").exit_code == 0
    without = json.loads(ACGT)
    del without["model"]["unk_token"], without["model"]["vocab"]["<unk>"]
    (tmp_path / "none.json").write_text(json.dumps(without))
    result = run(*asked, tmp_path / "none.json")
    assert (
        result.exit_code == 2 and "--allow-unknown is for byte pairs with an unknown token" in result.stderr
    )


def test_stats_of_the_first_bases(run, examples):
    result = run(
        "tokenize", "stats", examples / "sarscov2.fa", "-t", "letters", "--max-bases", "1000", "--json"
    )
    assert json.loads(result.stdout)[0]["letters"] == 1000


@pytest.mark.needs_dev_data
def test_published_tokenizers_by_their_files(run, dev_data, examples, tmp_path):
    published = dev_data / "genomics" / "tokenizers" / "dnabert2_tokenizer.json"
    if not published.exists():
        pytest.skip(f"{published} is not unpacked")
    path = tmp_path / "in.fa"
    path.write_text(">one\nacguNACGT\n")
    refused = run("tokenize", "encode", path, "-t", published)
    assert f"{path}: one: letter 'N' at place 5" in refused.stderr and "(--allow-unknown)" in refused.stderr
    ids = run("tokenize", "encode", path, "-t", published, "--allow-unknown").stdout.split("\t")[-1].split()
    assert ids.count("0") == 1, "[UNK] once"
    (tmp_path / "upper.fa").write_text(">one\nACGTNACGT\n")
    upper = run("tokenize", "encode", tmp_path / "upper.fa", "-t", published, "--allow-unknown")
    assert upper.stdout.split("\t")[-1].split() == ids
    result = run("tokenize", "stats", examples / "sarscov2.fa", "-t", published, "--json")
    (told,) = json.loads(result.stdout)
    assert told["vocab_size"] == 4096
    assert told["letters"] / told["tokens"] > 4


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["encode", "in.fa", "-t", "nonsense"], 2, "there is no tokenizer 'nonsense' (letters, 6mer"),
        (["encode", "in.fa", "-t", "99mer"], 2, "k is 99"),
        (["encode", "in.fa", "-t", "letters", "--format", "xml"], 2, "--format xml"),
        (["encode", "missing.fa", "-t", "letters"], 1, "missing.fa: no such file"),
        (["encode", "in.fa", "-t", "broken.json"], 1, "broken.json: not a tokenizer"),
        (["decode", "in.fa", "-t", "letters"], 1, "in.fa: line 1: not a line of tokens"),
        (["decode", "wrong.tsv", "-t", "letters"], 1, "wrong.tsv: r: a token id is outside 0 to 25"),
        (["decode", "nothing.tsv", "-t", "letters"], 1, "nothing.tsv: there is no record in it"),
        (["train", "in.fa", "-o", "t.json", "--vocab-size", "3"], 2, "a vocabulary of 3 tokens is too small"),
        (["train", "bases.fa", "-o", "t.json"], 1, "bases.fa: there is no base to learn from"),
        (["encode", "in.fa", "-t", "acgt.json"], 1, "in.fa: one: letter 'N' at place 9"),
        (["encode", "in.fa", "-t", "letters", "-o", "a.tsv.xz"], 2, "a.tsv.xz: .xz is not written"),
    ],
)
def test_bad_input(run, tmp_path, monkeypatch, fasta, arguments, exit_code, message):
    """One clear line, the right exit code, and no file left behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "wrong.tsv").write_text("r\t1 2 999\n")
    (tmp_path / "nothing.tsv").write_text("")
    (tmp_path / "bases.fa").write_text(">r\n\n")
    (tmp_path / "acgt.json").write_text(ACGT)
    before = sorted(tmp_path.iterdir())
    result = run("tokenize", *arguments, *(["-o", "out"] if "-o" not in arguments else []))
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "arguments", [["train", "in.fa", "-o", "t.json"], ["stats", "in.fa", "-t", "letters"]]
)
def test_fewer_than_no_bases(run, tmp_path, monkeypatch, fasta, arguments):
    monkeypatch.chdir(tmp_path)
    result = run("tokenize", *arguments, "--max-bases", "-1")
    assert result.exit_code == 2 and "--max-bases" in result.stderr
    assert not (tmp_path / "t.json").exists()
