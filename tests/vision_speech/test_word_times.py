"""When words are said: characters that CTC puts into the pause after a sentence are not its last word."""

from pathlib import Path

import numpy as np
import pytest

from seqkit.vision_speech import corpus, decoding, evaluation, manifest, transcriber, word_times
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
    at, now = word_times.words_of(read, Alphabet())
    assert (at.text, at.start, at.end) == ("at", 5 / 25, 7 / 25)
    assert (now.text, now.start, now.end) == ("now", 7 / 25, 11 / 25)


def test_characters_that_are_near_make_one_word() -> None:
    (now,) = word_times.words_of(reading("now", [4, 8, 12], 20), Alphabet())
    assert (now.start, now.end) == (4 / 25, 13 / 25)


def test_a_word_begins_with_the_space_before_it_but_not_long_before_its_characters() -> None:
    read = reading("at by it", [5, 6, 7, 10, 11, 12, 20, 21], 50)
    at, by, it = word_times.words_of(read, Alphabet())
    assert (at.start, by.start, it.start) == (5 / 25, 7 / 25, 16 / 25)


def test_characters_are_where_it_is_loud() -> None:
    rng = np.random.default_rng(0)
    wave_S = rng.normal(0, 0.1, 50 * 640).astype(np.float32)
    level_T = np.where((np.arange(50) >= 8) & (np.arange(50) < 30), 1.0, 0.01)
    wave_S *= level_T.repeat(640).astype(np.float32)
    read = reading("at now", [5, 10, 12, 15, 20, 40], 50)
    at, now = word_times.words_of(read, Alphabet(), wave_S)
    assert (at.start, at.end, now.start) == (8 / 25, 11 / 25, 12 / 25)
    assert now.end <= 30 / 25
    noise_S = rng.normal(0, 0.1, 50 * 640).astype(np.float32)
    assert word_times.words_of(read, Alphabet(), noise_S) == word_times.words_of(read, Alphabet())
    short_S = np.zeros(50 * 640, np.float32)
    short_S[20 * 640 : 24 * 640] = 0.5
    told = word_times.words_of(read, Alphabet(), short_S)
    assert [word.text for word in told] == ["at", "now"]
    assert all(0 <= word.start < word.end <= 2 for word in told)


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
    first_W2, last_W2 = off_W2.reshape(len(lines), -1, 2)[:, [0, -1]].transpose(1, 0, 2)
    assert off_W2.mean() < 0.15
    assert first_W2[:, 0].mean() < 0.2  # 0.25 where silence is no bar to characters
    assert last_W2.mean() < 0.2  # 0.3 without it, 0.9 where the last characters count wherever they are
