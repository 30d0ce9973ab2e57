"""What captions are learnt from: texts that fit sounds, what the encoder hears, texts that pose as sounds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqkit import errors
from seqkit.audio import augment, classes
from seqkit.audio.captioning import examples
from seqkit.audio.captioning.examples import Texts
from seqkit.audio.captioning.folder import Parts
from seqkit.audio.captioning.words import classes_in, label_phrases
from seqkit.audio.encoders.corpus import Sound

LINES = [
    "A dog barks",
    "Dogs are barking loudly",
    "A dog barks while rain falls",
    "Rain is falling on a roof",
    "Something is heard",
]


def sound(name: str, *, label: str = "", kinds: tuple[str, ...] = ()) -> Sound:
    return Sound(file=Path(name), seconds=1.0, classes=kinds, label=label)


def load(path: Path, rate: int) -> np.ndarray:
    """A tone by the file's name; nothing is read."""
    time_S = np.arange(rate * 2) / rate
    return (0.2 * np.sin(2 * np.pi * (300 + 900 * int(path.stem)) * time_S)).astype(np.float32)


def listened(parts: Parts, **changes: object) -> list[examples.Clip]:
    options: dict[str, object] = {"views": 2, "mixtures": 2, "masks": None}
    sounds = [sound("0.wav"), sound("1.wav"), sound("2.wav")]
    rng = np.random.default_rng(0)
    return examples.listen(sounds, parts.encoder, load, rng, **{**options, **changes})  # type: ignore[arg-type]


def test_texts_that_name_other_things_too_do_not_fit() -> None:
    texts = Texts(LINES)
    assert [texts.lines[place] for place in texts.fitting(["Dog", "Bark"])] == LINES[:2]
    assert [texts.lines[place] for place in texts.fitting(["Rain"])] == [LINES[3]]
    assert texts.fitting([]) == texts.fitting(["Sneeze"]) == []
    with pytest.raises(errors.DataError, match="Unicorn"):
        texts.fitting(["Unicorn"])


def test_sounds_have_phrases_of_their_label_or_captions_of_their_classes() -> None:
    sounds = [sound("a", label="dog-bark", kinds=("Dog",)), sound("b", kinds=("Rain",)), sound("c")]
    labelled, classed, unknown = examples.clips_of(sounds, Texts(LINES))
    assert labelled == list(label_phrases()["dog-bark"])
    assert classed == [LINES[3]]
    assert unknown == []


@pytest.mark.parametrize("label", sorted(label_phrases()))
def test_phrases_are_sentences_of_more_than_one_word(label: str) -> None:
    said = label_phrases()[label]
    assert len(set(said)) == len(said) >= 3
    assert all(len(line.split()) >= 3 and line == line.strip() for line in said)


@pytest.mark.parametrize(
    ("caption", "named"),
    [
        ("An infant cries", "Baby cry, infant cry"),
        ("Horses gallop past", "Horse"),
        ("Waves crash onto the beach", "Waves, surf"),
        ("A man talks", "Male speech, man speaking"),
        ("Church bells ring", "Church bell"),
    ],
)
def test_words_name_classes(caption: str, named: str) -> None:
    assert named in [classes.audioset_names()[place] for place in classes_in(caption)]


@given(st.text(max_size=60))
def test_any_text_names_classes_in_order_and_none_twice(text: str) -> None:
    found = classes_in(text)
    assert list(found) == sorted(set(found))
    assert all(0 <= place < len(classes.audioset_names()) for place in found)


def test_every_sound_is_heard_in_every_view_and_in_mixtures(parts: Parts) -> None:
    steps: list[tuple[int, int]] = []
    clips = listened(parts, advance=lambda done, total: steps.append((done, total)))
    assert [clip.parts for clip in clips[:6]] == [(0,), (1,), (2,), (0,), (1,), (2,)]
    assert all(len(set(clip.parts)) == 2 for clip in clips[6:])
    assert steps == [(done, 8) for done in range(1, 9)]
    assert len(listened(parts, views=1, mixtures=0)) == 3


def test_the_first_view_is_the_sound_as_it_is(parts: Parts) -> None:
    plain = listened(parts, mixtures=0, masks=augment.SpecAugmentConfig(mel_masks=4, mel_width=30))
    with torch.inference_mode():
        heard = parts.encoder.hear([torch.from_numpy(load(Path("0.wav"), parts.encoder.mel.config.rate))])
    torch.testing.assert_close(plain[0].vector_D.float(), heard.vector_BD[0], atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(
        plain[0].probabilities_C.float(), heard.logits_BC[0].sigmoid(), atol=2e-3, rtol=2e-3
    )


def test_spec_augment_acts_on_what_changed_views_hear(parts: Parts) -> None:
    masks = augment.SpecAugmentConfig(time_masks=0, mel_masks=2, mel_width=12)
    seen: list[torch.Tensor] = []
    hook = parts.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    try:
        listened(parts, masks=masks)
        masked, seen = seen, []
        listened(parts)
    finally:
        hook.remove()
    for place, (hidden_1TM, whole_1TM) in enumerate(zip(masked, seen, strict=True)):
        assert not still(whole_1TM)
        if place < 3:
            torch.testing.assert_close(hidden_1TM, whole_1TM)  # the first view
        else:
            assert still(hidden_1TM) <= 24
    assert sum(map(still, masked)) > 0


def still(features_1TM: torch.Tensor) -> int:
    """Bands in which nothing ever changes, as in those that are hidden."""
    return int((features_1TM == features_1TM[:, :1]).all(dim=1).sum())


def test_clips_of_any_length_are_padded(parts: Parts) -> None:
    width, count = parts.encoder.width, parts.encoder.classes
    short, long = (
        examples.Clip(
            torch.full((count,), 0.5).half(), torch.ones(size, width).half(), torch.ones(width), (0,)
        )
        for size in (2, 5)
    )
    source = examples.source_of([short, long])
    assert source.real_BU is not None and source.frames_BUD is not None
    assert source.real_BU.sum(dim=1).tolist() == [2, 5]
    assert source.frames_BUD[0, 2:].abs().sum() == 0
    with pytest.raises(errors.UsageError):
        examples.source_of([])


def test_unlikely_classes_are_not_told() -> None:
    told = examples.told(torch.tensor([[0.9, examples.FLOOR, examples.FLOOR / 2]]))
    assert told.tolist() == [[pytest.approx(0.9), pytest.approx(examples.FLOOR), 0.0]]


@given(st.lists(st.lists(st.integers(0, 40), max_size=5), min_size=1, max_size=4), st.integers(0, 99))
def test_texts_pose_as_what_a_tagger_tells(named: list[list[int]], seed: int) -> None:
    probabilities_BC = examples.text_source(named, 41, np.random.default_rng(seed)).probabilities_BC
    assert probabilities_BC.shape == (len(named), 41)
    assert ((probabilities_BC >= 0) & (probabilities_BC <= 1)).all()
    for row_C, numbers in zip(probabilities_BC, named, strict=True):
        wrong = [place for place in row_C.nonzero()[:, 0].tolist() if place not in numbers]
        assert len(wrong) <= 3 and all(row_C[place] <= 0.25 for place in wrong)
        assert not numbers or row_C[list(numbers)].max() > 0  # never all of them are missing


def test_texts_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("a dog barks\n\n  rain falls \n")
    assert examples.read_texts(path) == ["a dog barks", "rain falls"]
    for content in (b"\n \n", b"\xff\xfe\x00x"):
        path.write_bytes(content)
        with pytest.raises(errors.DataError, match=r"texts\.txt"):
            examples.read_texts(path)
    with pytest.raises(errors.DataError, match=r"nowhere: cannot be read: No such file .*--data"):
        examples.read_texts(tmp_path / "nowhere")
