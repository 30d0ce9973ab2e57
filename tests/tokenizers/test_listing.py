"""Vocabularies that list k-mers: the same tokens as `KmerTokenizer` under other numbers."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqkit import errors
from seqkit.models import nucleotides
from seqkit.tokenizers.kmer import KmerTokenizer
from seqkit.tokenizers.listing import ListedTokenizer

PAIRS = ["".join(pair) for pair in itertools.product("TGCA", repeat=2)]
WITH_LETTERS = ListedTokenizer(("<s>", *PAIRS, "<spare>", "N", "G", "T", "A", "C", "<pad>", "</s>", "<oov>"))
WITHOUT = ListedTokenizer(("<oov>", "<pad>", *PAIRS))


def letters(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), dtype=np.uint8)


@given(st.text(alphabet="ACGTN", max_size=40))
def test_tokens_are_those_of_the_plain_tokenizer(text: str) -> None:
    plain = KmerTokenizer(k=2)
    ids, own = WITH_LETTERS.encode(letters(text)), plain.encode(letters(text))
    assert WITH_LETTERS.tokens(ids) == plain.tokens(own)
    assert WITH_LETTERS.spans(ids).tolist() == plain.spans(own).tolist()
    assert WITH_LETTERS.decode(ids).tobytes().decode() == text


def test_special_tokens_have_no_letters() -> None:
    specials = WITH_LETTERS.specials
    assert specials == {"bos": 0, "pad": 23, "eos": 24, "unk": 25}
    ids = np.array([0, 1, 17, 24])
    assert WITH_LETTERS.spans(ids).tolist() == [0, 2, 0, 0]
    assert WITH_LETTERS.decode(ids).tobytes() == b"TT"
    with pytest.raises(errors.DataError, match="outside 0 to 25"):
        WITH_LETTERS.decode(np.array([26]))


def test_what_has_no_token_is_refused_not_unknown() -> None:
    assert WITHOUT.encode(letters("")).tolist() == []
    with pytest.raises(errors.DataError, match="place 5 there is no whole 2-mer") as refused:
        WITHOUT.encode(letters("ACGTA"))
    assert "multiple of 2" in str(refused.value.hint)
    with pytest.raises(errors.DataError, match="letter 'N' at place 3"):
        WITHOUT.encode(letters("ACNGT"))


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ((), "not a vocabulary of k-mers"),
        (("<s>", "R"), "not a vocabulary of k-mers"),
        (("A" * 40,), "not a vocabulary of k-mers"),
        (tuple(PAIRS[1:]), "no TT, which is a 2-mer"),
        ((*PAIRS, "AC"), "'AC' is listed twice"),
        (("A" * 12,), "no AAAAAAAAAAAC"),
    ],
)
def test_what_is_no_listing_is_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(errors.DataError, match=words):
        ListedTokenizer(texts)


@pytest.mark.parametrize("tokenizer", [KmerTokenizer(k=1), KmerTokenizer(k=3), WITH_LETTERS, WITHOUT])
def test_files_give_the_same_tokenizer(tmp_path: Path, tokenizer: nucleotides.SequenceTokenizer) -> None:
    nucleotides.save(tokenizer, tmp_path / nucleotides.FILE, shared=True)
    assert nucleotides.find(str(tmp_path)) == tokenizer
    if isinstance(tokenizer, ListedTokenizer):
        path = tmp_path / "vocab.txt"
        path.write_text("\r\n".join(tokenizer.texts))
        assert nucleotides.find(str(path)) == tokenizer


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "no numbers"),
        ('{"A": 0, "C": 1, "G": 2, "T": 4}', "'T' has number 4, and should have 3"),
        ('{"A": true, "C": 0}', "no numbers"),
        ("{", "not a vocabulary"),
        (json.dumps({"A": 0, "C": 1, "G": 2}), "no T"),
    ],
)
def test_a_damaged_listing_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(errors.DataError, match=rf"vocab\.json: .*{words}"):
        nucleotides.find(str(path))
