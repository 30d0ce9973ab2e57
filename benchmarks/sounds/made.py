"""Makes sounds that mean nothing: noise, tones, beeps and sweeps, each called what it is.

    python benchmarks/sounds/made.py --out DIR/made
    python benchmarks/sounds/gather.py --effects EFFECTS --made DIR/made -o DIR/captions.jsonl

A model that never heard plain noise says rain, and of a tone that an owl hoots: what is plain must be learned
as such. A file's name begins with its label, for which `seqkit/audio/captioning/phrases.tsv` has phrases.

Shape suffixes: S samples.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.signal
from views import RATE, SECONDS, write

TIME_S = np.arange(int(SECONDS * RATE)) / RATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=25, help="sounds of every kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for kind, (label, make) in enumerate(KINDS.items()):
        for number in range(arguments.each):
            rng = np.random.default_rng([arguments.seed, kind, number])
            wave_S = make(rng)
            loudest = 10 ** (rng.uniform(-24, -2) / 20)
            wave_S *= loudest / np.abs(wave_S).max()
            write(arguments.out / f"{label}-{number:03d}.wav", wave_S.astype(np.float32))


def noise(rng: np.random.Generator, slopes: tuple[float, float] = (-0.3, 0.6)) -> np.ndarray:
    """Gaussian noise whose power falls with frequency by a power that is drawn, within a band."""
    spectrum = np.fft.rfft(rng.normal(size=TIME_S.size))
    spectrum *= np.maximum(np.arange(spectrum.size), 20.0) ** -rng.uniform(*slopes)
    wave_S = np.fft.irfft(spectrum, TIME_S.size)
    if rng.random() < 0.4:
        high = rng.uniform(4000, 15_000)
        wave_S = scipy.signal.sosfilt(scipy.signal.butter(2, high, fs=RATE, output="sos"), wave_S)
    return np.asarray(wave_S)


def low_noise(rng: np.random.Generator) -> np.ndarray:
    """Noise that is mostly deep."""
    return noise(rng, (0.9, 1.6))


def bursts(rng: np.random.Generator) -> np.ndarray:
    """Noise that comes and goes."""
    phase_S = TIME_S * rng.uniform(0.5, 6) % 1
    rises = phase_S if rng.random() < 0.5 else 1 - phase_S
    gate_S = rises ** rng.uniform(1, 5) if rng.random() < 0.7 else (phase_S < rng.uniform(0.2, 0.7)) * 1.0
    return noise(rng, (-0.3, 1.0)) * gate_S


def voice(rng: np.random.Generator, cycles_S: np.ndarray) -> np.ndarray:
    """A wave of so many cycles: sine, square, sawtooth, or harmonics that fall off."""
    kind = rng.integers(4)
    turns_S = 2 * np.pi * cycles_S
    if kind == 0:
        return np.sin(turns_S)
    if kind == 1:
        return np.sign(np.sin(turns_S))
    if kind == 2:
        return 2 * (cycles_S % 1) - 1
    return np.asarray(sum(np.sin(n * turns_S) / n ** rng.uniform(1, 3) for n in range(1, 6)))


def tone(rng: np.random.Generator) -> np.ndarray:
    """One pitch, held; a little hiss beneath some."""
    hiss = rng.normal(size=TIME_S.size) * rng.choice([0, 0.01])
    return voice(rng, TIME_S * pitch(rng)) + hiss


def pitch(rng: np.random.Generator, low: float = 60, high: float = 4000) -> float:
    """In Hz; every octave is as likely."""
    return float(low * (high / low) ** rng.random())


def beeps(rng: np.random.Generator) -> np.ndarray:
    """Short tones again and again."""
    gate_S = (TIME_S * rng.uniform(0.7, 8) % 1) < rng.uniform(0.15, 0.6)
    soft = np.hanning(int(RATE * rng.uniform(0.002, 0.02)))
    gate_S = scipy.signal.fftconvolve(gate_S, soft / soft.sum(), mode="same")
    return voice(rng, TIME_S * pitch(rng, 300, 4000)) * gate_S


def sweep(rng: np.random.Generator) -> np.ndarray:
    """A tone that slides up or down, once or again and again."""
    phase_S = TIME_S * rng.choice([1 / SECONDS, rng.uniform(0.3, 3)]) % 1
    phase_S = phase_S if rng.random() < 0.5 else 1 - phase_S
    low = pitch(rng, 60, 1000)
    pitch_S = low * rng.uniform(2, 16) ** phase_S
    return voice(rng, np.cumsum(pitch_S) / RATE)


def tones(rng: np.random.Generator) -> np.ndarray:
    """Some unrelated pitches at once."""
    cycles = [pitch(rng, 50, 8000) * TIME_S + rng.random() for _ in range(rng.integers(3, 14))]
    return np.asarray(sum(np.sin(2 * np.pi * cycles_S) for cycles_S in cycles))


#: How the sounds of each label are made.
KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "noise": noise,
    "low-noise": low_noise,
    "noise-bursts": bursts,
    "tone": tone,
    "beeps": beeps,
    "sweep": sweep,
    "tones": tones,
}


if __name__ == "__main__":
    main()
