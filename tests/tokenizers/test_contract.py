"""Every tokenizer gives back what it was given: any IUPAC sequence, of any length."""

import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.tokenizers import bpe
from seqkit.tokenizers.bpe import BpeTokenizer
from seqkit.tokenizers.kmer import KmerTokenizer
from seqkit.tokenizers.letters import LETTERS, SPECIALS

GENOME = np.frombuffer(b"ACGTTGCAACGATTAGACCA" * 200, dtype=np.uint8)
TOKENIZERS = {
    "letters": KmerTokenizer(k=1),
    "6-mers": KmerTokenizer(k=6),
    "overlapping 3-mers": KmerTokenizer(k=3, overlapping=True),
    "overlapping 6-mers": KmerTokenizer(k=6, overlapping=True),
    "bpe": BpeTokenizer.train([GENOME], vocab_size=200),
    "bpe of both strands": BpeTokenizer.train([GENOME], vocab_size=200, both_strands=True),
}


def letters(text):
    return np.frombuffer(text.encode(), dtype=np.uint8)


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]


SEQUENCES = st.text(alphabet=LETTERS, max_size=60) | st.text(alphabet="ACGT", max_size=60)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=SEQUENCES)
@settings(max_examples=150, deadline=None)
def test_round_trip(name, text):
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode(letters(text))
    assert ids.dtype == np.int32 and ids.ndim == 1
    assert tokenizer.decode(ids).tobytes().decode() == text
    assert all(0 <= number < tokenizer.vocab_size for number in ids)
    assert not (ids < len(SPECIALS)).any(), "a special token in the middle of a sequence"
    if not getattr(tokenizer, "overlapping", False):
        assert tokenizer.spans(ids).sum() == len(text)
        assert "".join(tokenizer.tokens(ids)) == text


def test_nothing_and_one_letter(tokenizer):
    assert tokenizer.encode(letters("")).size == 0
    assert tokenizer.decode(np.empty(0, dtype=np.int32)).size == 0
    for letter in LETTERS:
        assert tokenizer.decode(tokenizer.encode(letters(letter))).tobytes().decode() == letter


def test_special_tokens_have_no_letters(tokenizer):
    ids = tokenizer.encode(letters("ACGTACGTACGT"))
    framed = np.concatenate([[1], ids, [2, 0, 0]]).astype(np.int32)
    assert tokenizer.decode(framed).tobytes() == b"ACGTACGTACGT"
    assert tokenizer.spans(framed)[[0, -1]].tolist() == [0, 0]
    assert tokenizer.tokens(framed)[0] == "<bos>"


@pytest.mark.parametrize("strange", ["ACG*T", "acgt", "ACGU", "AC GT"])
def test_other_letters_are_refused_by_place(tokenizer, strange):
    with pytest.raises(errors.DataError, match=r"letter '.' at place \d"):
        tokenizer.encode(letters(strange))


def test_ids_outside_the_vocabulary_are_refused(tokenizer):
    with pytest.raises(errors.DataError):
        tokenizer.decode(np.array([tokenizer.vocab_size + 5]))


def test_long_sequences(tokenizer):
    text = "".join(np.random.default_rng(0).choice(list("ACGTN"), p=[0.249] * 4 + [0.004], size=50_000))
    assert tokenizer.decode(tokenizer.encode(letters(text))).tobytes().decode() == text


def test_kmers_stand_side_by_side_between_ambiguous_letters():
    tokenizer = KmerTokenizer(k=3)
    tokens = tokenizer.tokens(tokenizer.encode(letters("ACGTTNNACGTTTR")))
    assert tokens == ["ACG", "T", "T", "N", "N", "ACG", "TTT", "R"]


def test_overlapping_kmers_stand_at_every_place():
    tokenizer = KmerTokenizer(k=3, overlapping=True)
    assert tokenizer.tokens(tokenizer.encode(letters("ACGTA"))) == ["ACG", "CGT", "GTA"]
    assert tokenizer.tokens(tokenizer.encode(letters("ACGTN"))) == ["ACG", "CGT", "G", "T", "N"]


@given(text=st.text(alphabet="ACGT", min_size=6, max_size=40))
def test_every_kmer_has_its_own_token(text):
    tokenizer = KmerTokenizer(k=6, overlapping=True)
    ids = tokenizer.encode(letters(text))
    assert tokenizer.tokens(ids) == [text[at : at + 6] for at in range(len(text) - 5)]


@pytest.mark.parametrize("k", [0, -1, 13])
def test_k_out_of_range(k):
    with pytest.raises(errors.UsageError, match=f"k is {k}"):
        KmerTokenizer(k=k)


def test_bpe_saves_and_loads(tmp_path):
    made = TOKENIZERS["bpe"]
    (tmp_path / "tokenizer.json").write_text(made.to_json())
    again = BpeTokenizer.load(tmp_path / "tokenizer.json")
    assert again.vocab_size == made.vocab_size
    assert again.encode(GENOME[:500]).tolist() == made.encode(GENOME[:500]).tolist()


def test_bpe_merges_what_is_frequent():
    tokenizer = BpeTokenizer.train([letters("ACGTACGTACGT" * 40)], vocab_size=30)
    assert len(tokenizer.encode(letters("ACGT" * 20))) < 40


def test_both_strands_are_told_alike():
    """Trained on both strands, a sequence and its reverse complement take about as many tokens."""
    one_sided = letters("AAAAAAAAAACCCCCCCCCC" * 50)
    turned = letters("GGGGGGGGGGTTTTTTTTTT" * 50)
    both = BpeTokenizer.train([one_sided], vocab_size=60, both_strands=True)
    one = BpeTokenizer.train([one_sided], vocab_size=60)
    assert len(both.encode(turned)) == pytest.approx(len(both.encode(one_sided)), rel=0.1)
    assert len(one.encode(turned)) > 3 * len(one.encode(one_sided))


def test_an_interrupt_ends_training_while_the_library_works(monkeypatch):
    """Ctrl-C is heard although the library is not done; what fails in it is told as it is."""
    begun, free = threading.Event(), threading.Event()

    def never_ends(self, words, trainer):
        begun.set()
        free.wait(timeout=60)

    monkeypatch.setattr(bpe, "_PATIENCE", 0.01)
    slow = type("Slow", (), {"__init__": lambda *given: None, "train_from_iterator": never_ends})
    monkeypatch.setattr(bpe.tokenizers, "Tokenizer", slow)
    main = threading.main_thread().ident

    def interrupt():
        begun.wait(timeout=60)
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        BpeTokenizer.train([GENOME], vocab_size=60)
    free.set()


def test_what_fails_while_sequences_are_read_is_told():
    def broken():
        yield GENOME
        raise errors.DataError("cut short", file="a.fa")

    with pytest.raises(errors.DataError, match="a.fa: cut short"):
        BpeTokenizer.train(broken(), vocab_size=60)


def test_bpe_without_room_for_the_letters():
    with pytest.raises(errors.UsageError, match="too small; 22 is the least"):
        BpeTokenizer.train([GENOME], vocab_size=21)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "not a tokenizer.json"),
        ("{}", "not a tokenizer.json"),
        ('{"model": {"type": "Unigram"}}', "not a tokenizer.json"),
    ],
)
def test_damaged_tokenizers_are_refused(tmp_path, content, message):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(errors.DataError, match=message):
        BpeTokenizer.load(tmp_path / "tokenizer.json")
    with pytest.raises(errors.DataError, match="no such file"):
        BpeTokenizer.load(tmp_path / "missing.json")


@pytest.mark.needs_dev_data
@pytest.mark.parametrize(
    ("file", "size", "least"),
    [("dnabert2_tokenizer.json", 4096, 4.0), ("metagene_mgfm1024/tokenizer.json", 1024, 3.0)],
)
def test_published_tokenizers(dev_data, file, size, least):
    """DNABERT-2's and METAGENE-1's own files, against the library they were made with."""
    import tokenizers

    path = dev_data / "genomics" / "tokenizers" / file
    if not path.exists():
        pytest.skip(f"{path} is not unpacked")
    ours, theirs = BpeTokenizer.load(path), tokenizers.Tokenizer.from_file(str(path))
    assert ours.vocab_size == size
    text = "".join(np.random.default_rng(1).choice(list("ACGT"), size=5_000))
    ids = ours.encode(letters(text))
    assert ids.tolist() == theirs.encode(text, add_special_tokens=False).ids
    assert ours.decode(ids).tobytes().decode() == text
    assert len(text) / len(ids) > least
    with pytest.raises(errors.DataError, match="letter 'R' at place 3"):
        ours.encode(letters("ACR"))
    unknown = ours.encode(letters("ACRT"), allow_unknown=True)
    assert ours.decode(unknown).tobytes() == b"ACNT"
    assert ours.spans(unknown).sum() == 4
