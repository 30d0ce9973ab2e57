"""Babble: other people's voices over a voice, at a signal-to-noise ratio.

Knows waves; not clips or files. Randomness is handed in.

Shape suffixes: S samples.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqkit import errors

__all__ = ["at_snr", "babble"]

Wave = npt.NDArray[np.float32]


def babble(voices: Sequence[Wave], samples: int, rng: np.random.Generator, *, speakers: int = 4) -> Wave:
    """Several voices at once, each turned to a random place and as loud as the others.

    Parameters
    ----------
    voices : waves that may be drawn from; not the one that babble will be laid over.
    samples : S of the result; voices that are shorter are repeated.
    speakers : how many talk.

    Raises
    ------
    UsageError
        if there are fewer voices than speakers.
    """
    if len(voices) < speakers or speakers < 1:
        raise errors.UsageError(f"babble of {speakers} voices needs as many, got {len(voices)}")
    total_S = np.zeros(samples, np.float32)
    for index in rng.choice(len(voices), size=speakers, replace=False):
        voice_S = np.roll(voices[index], int(rng.integers(len(voices[index]))))
        voice_S = np.resize(voice_S, samples)
        total_S += voice_S / max(1e-6, float(np.sqrt(np.mean(np.square(voice_S)))))
    return total_S


def at_snr(wave_S: Wave, noise_S: Wave, decibels: float) -> Wave:
    """A wave with noise over it, so that the power of the first is so many decibels above the second's.

    Examples
    --------
    >>> float(at_snr(np.ones(4, np.float32), np.ones(4, np.float32), 0.0)[0])
    2.0
    """
    signal, noise = (float(np.mean(np.square(x, dtype=np.float64))) for x in (wave_S, noise_S))
    if noise == 0 or signal == 0:
        return wave_S
    return (wave_S + noise_S * np.sqrt(signal / noise / 10 ** (decibels / 10))).astype(np.float32)
