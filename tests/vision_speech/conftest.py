"""Clips made on the spot: small pictures with a moving mouth, sounds, and what is said."""

from pathlib import Path

import numpy as np
import pytest

from seqkit.vision_speech.corpus import SAMPLES_PER_FRAME, Example
from seqkit.vision_speech.manifest import Line, Spoken


def example(text: str, frames: int = 20, seed: int = 0) -> Example:
    """A clip whose words are tones and bright squares, each for its share of the time."""
    rng = np.random.default_rng(seed)
    words = text.split()
    wave_S = rng.normal(size=frames * SAMPLES_PER_FRAME) * 100
    mouths_THW = rng.integers(90, 110, size=(frames, 40, 64))
    spoken = []
    for place, word in enumerate(words):
        first, end = place * frames // len(words), (place + 1) * frames // len(words)
        pitch = 200 + 150 * (sum(map(ord, word)) % 11)
        times = np.arange(first * SAMPLES_PER_FRAME, end * SAMPLES_PER_FRAME) / 16_000
        wave_S[first * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME] += 8000 * np.sin(
            2 * np.pi * pitch * times
        )
        mouths_THW[first:end, 5 : 5 + sum(map(ord, word)) % 30, 10:50] += 100
        spoken.append(Spoken(word, first / 25, end / 25))
    return Example(
        Line(Path(f"{text.replace(' ', '-')}-{seed}.mp4"), text, tuple(spoken)),
        wave_S.astype(np.int16),
        mouths_THW.astype(np.uint8),
        np.ones(frames, bool),
    )


@pytest.fixture
def examples() -> list[Example]:
    """Two words in all orders, of different length."""
    texts = ["ab cd", "cd ab", "ab ab", "cd cd"]
    return [example(text, frames=16 + 2 * seed, seed=seed) for seed in range(3) for text in texts]
