"""Babble at a signal-to-noise ratio that is measured again."""

import numpy as np
import pytest

from seqkit import errors
from seqkit.vision_speech import noise


@pytest.mark.parametrize("decibels", [-5.0, 0.0, 10.0])
def test_the_ratio_is_the_wanted_one(decibels: float) -> None:
    rng = np.random.default_rng(0)
    wave, other = (rng.normal(size=4000).astype(np.float32) * scale for scale in (0.1, 3.0))
    added = noise.at_snr(wave, other, decibels) - wave
    measured = 10 * np.log10(np.mean(wave**2) / np.mean(added**2))
    assert measured == pytest.approx(decibels, abs=0.01)


def test_silence_stays_as_it_is() -> None:
    wave = np.zeros(10, np.float32)
    np.testing.assert_array_equal(noise.at_snr(wave, np.ones(10, np.float32), 0.0), wave)


def test_babble_is_of_all_voices_and_of_the_wanted_length() -> None:
    voices = [np.sin(np.arange(500) * pitch).astype(np.float32) for pitch in (0.1, 0.2, 0.3, 0.4)]
    made = noise.babble(voices, 1200, np.random.default_rng(1))
    again = noise.babble(voices, 1200, np.random.default_rng(1))
    assert made.shape == (1200,)
    np.testing.assert_array_equal(made, again)
    power = np.abs(np.fft.rfft(made * np.hanning(1200)))
    for pitch in (0.1, 0.2, 0.3, 0.4):
        assert power[round(pitch / (2 * np.pi) * 1200)] > 20 * np.median(power)
    with pytest.raises(errors.UsageError, match="4 voices"):
        noise.babble(voices[:3], 10, np.random.default_rng(0))
