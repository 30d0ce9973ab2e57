"""Which transcriber is meant, and options that would have no effect."""

from typing import Any

import pytest

from seqkit import errors
from seqkit.vision_speech import choosing
from seqkit.vision_speech.recording import RecordingConfig


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"audio_model": "w", "method": "ctc"}, "--decoder has no effect"),
        ({"audio_model": "w", "beams": 3}, "--beams has no effect"),
        ({"audio_model": "w", "ctc_weight": 0.5}, "--ctc-weight has no effect"),
        ({"audio_model": "w", "language_file": "l.txt"}, "--language-model has no effect"),
        ({"method": "greedy", "language_file": "l.txt"}, "for the beam"),
        ({"method": "ctc", "language_file": "l.txt"}, "for the beam"),
        ({"method": "loud", "language_file": "l.txt"}, "'loud' is none of"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.UsageError, match=told):
        choosing.transcriber("speech-small", **options)


def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="no device is called 'tpu'"):
        choosing.transcriber("speech-small", device="tpu")


def test_a_face_is_not_chosen_in_sound() -> None:
    with pytest.raises(errors.UsageError, match="sound alone"):
        RecordingConfig(face=9, modality="audio")
    assert RecordingConfig(face=9).face == 9
