"""Recorded notes of a bank of instruments (SoundFont 2), as waves. Knows the file; not what plays it.

A bank is RIFF: `smpl` holds all samples as 16-bit numbers, `shdr` 46 bytes for each of them, of which name,
start, end and rate are read (SoundFont technical specification 2.04, 7.10). Of a pair for two ears the left
one is taken; a note shorter than `SHORTEST` is left out.

Shape suffixes: S samples.
"""

import re
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

__all__ = ["notes_of", "write"]

SHORTEST = 0.5
_HEADER = struct.Struct("<20s5I6x")
_RIGHT = re.compile(r"(\(R\)|[ \d]R)$")


def notes_of(bank: Path) -> Iterator[tuple[str, int, np.ndarray]]:
    """Name, rate and wave (S,), int16, of every note."""
    content = bank.read_bytes()
    samples_S = np.frombuffer(_chunk(content, b"smpl"), dtype="<i2")
    for raw, start, end, _, _, rate in _HEADER.iter_unpack(_chunk(content, b"shdr")):
        name = raw.split(b"\0")[0].decode("latin-1").strip()
        if _RIGHT.search(name) or not 0 <= start < end <= len(samples_S) or end - start < SHORTEST * rate:
            continue
        yield re.sub(r"[^A-Za-z0-9#]+", "-", name).strip("-"), rate, samples_S[start:end]


def _chunk(content: bytes, name: bytes) -> bytes:
    """A chunk: samples come first in a bank, headers of notes last."""
    place = content.rfind(name) if name == b"shdr" else content.find(name)
    if place < 0:
        raise ValueError(f"no bank: it has no {name.decode()}")
    size = int.from_bytes(content[place + 4 : place + 8], "little")
    whole = content[place + 8 : place + 8 + size]
    return whole[: len(whole) // _HEADER.size * _HEADER.size] if name == b"shdr" else whole[: size // 2 * 2]


def write(path: Path, wave_S: np.ndarray, rate: int) -> None:
    """A wave (S,), within 16 bits, as a file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes(wave_S.astype("<i2").tobytes())
