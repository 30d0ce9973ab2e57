"""When words are said: characters that CTC puts into the pause after a sentence are not its last word."""

from pathlib import Path

import numpy as np
import pytest

from seqkit.vision_speech import corpus, decoding, evaluation, manifest, transcriber
from seqkit.vision_speech.texts import Alphabet


def reading(text: str, places: list[int], frames: int) -> decoding.Reading:
    """A reading in which every character takes one frame, and all others are blank."""
    alphabet = Alphabet()
    ids = alphabet.encode(text)
    log_TV = np.full((frames, alphabet.size), -9.0, np.float32)
    log_TV[:, 0] = -0.1
    for place, number in zip(places, ids, strict=True):
        log_TV[place] = -9.0
        log_TV[place, number] = -0.1
    return decoding.Reading(tuple(ids), -0.1, log_TV)


def test_a_word_ends_before_characters_that_come_much_later() -> None:
    read = reading("at now", [5, 6, 7, 10, 20, 40], 50)
    at, now = transcriber.words_of(read, Alphabet())
    assert (at.text, at.start, at.end) == ("at", 5 / 25, 7 / 25)
    assert (now.text, now.start, now.end) == ("now", 10 / 25, 11 / 25)


def test_characters_that_are_near_make_one_word() -> None:
    (now,) = transcriber.words_of(reading("now", [4, 8, 12], 20), Alphabet())
    assert (now.start, now.end) == (4 / 25, 13 / 25)


@pytest.mark.needs_dev_data
def test_words_of_real_clips_are_where_they_are_said(dev_data: Path) -> None:
    folder = dev_data / "avsr" / "grid_s1"
    if not folder.is_dir():
        pytest.skip("no clips of GRID beside the project")
    names = ("bbaf2n", "bbaszn", "bbbf6n", "bbbm3a")
    lines = [line for line in manifest.read(folder) if line.name in names]
    examples = corpus.read(lines)
    model = transcriber.load(config=decoding.DecodeConfig(method="ctc"))
    heard = model.transcribe([evaluation.clip_of(examples, place, "av") for place in range(len(lines))])
    assert [one.text for one in heard] == [line.text for line in lines]
    off_W2 = np.array(
        [
            (abs(word.start - said.start), abs(word.end - said.end))
            for one, line in zip(heard, lines, strict=True)
            for word, said in zip(one.words, line.words, strict=True)
        ]
    )
    last_W2 = off_W2.reshape(len(lines), -1, 2)[:, -1]
    assert off_W2.mean() < 0.25
    assert last_W2[:, 1].mean() < 0.5  # 0.9 where the last characters count wherever they are
