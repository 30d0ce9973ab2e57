"""The language model of characters: probabilities that sum to one, and texts left out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit import errors
from seqkit.vision_speech import language
from seqkit.vision_speech.texts import END, START, Alphabet

LINES = ["bin blue at f two now", "set red by a nine please", "lay green in z zero soon"]


@settings(deadline=None, max_examples=30)
@given(st.text(alphabet="abefinstu ", max_size=14))
def test_probabilities_sum_to_one(prefix: str) -> None:
    model = language.CharacterModel(LINES)
    shares = np.exp(model.log_probs(Alphabet().encode(prefix)))
    assert shares.sum() == pytest.approx(1)
    assert shares[START] < 1e-9
    assert (shares > 0).all()


def test_it_knows_how_lines_go_on_and_end() -> None:
    model, alphabet = language.CharacterModel(LINES), Alphabet()
    assert int(model.log_probs(alphabet.encode("bin blue at f tw")).argmax()) == alphabet.encode("o")[0]
    assert int(model.log_probs(alphabet.encode(LINES[0])).argmax()) == END


def test_texts_of_a_test_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("".join(f"s{n}\tx\t{line}\n" for n, line in enumerate(LINES)))
    all_, fewer = language.read(path), language.read(path, leave_out=["Bin blue at F two now!"])
    prefix = Alphabet().encode("bin blu")
    assert all_.log_probs(prefix).max() > fewer.log_probs(prefix).max() + 0.5
    with pytest.raises(errors.DataError, match="no text"):
        language.read(path, leave_out=LINES)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match="nowhere.txt: no such file"):
        language.read(tmp_path / "nowhere.txt")
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.DataError, match="UTF-8"):
        language.read(path)
