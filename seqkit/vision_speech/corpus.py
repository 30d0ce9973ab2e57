"""Clips with texts, read once: waves, mouths, texts and word times, kept in memory and on disk.

Knows files of clips; not batches or training. What was read is kept beside a run, so
that a run which is gone on with does not look for faces again.

Shape suffixes: S samples, T frames, H rows, W columns.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqkit import errors
from seqkit.io import audio, video
from seqkit.io.atomic import atomic_path
from seqkit.vision_speech.faces import CascadeFaces, FaceConfig
from seqkit.vision_speech.manifest import Line
from seqkit.vision_speech.model import FPS, RATE
from seqkit.vision_speech.mouths import MouthConfig, find_mouths, nobody

__all__ = ["SAMPLES_PER_FRAME", "Example", "read"]

SAMPLES_PER_FRAME = RATE // FPS
#: How faces and mouths are looked for where nothing else is said.
FACES, MOUTHS = FaceConfig(), MouthConfig()


@dataclasses.dataclass(frozen=True)
class Example:
    """A clip as training sees it.

    Attributes
    ----------
    line : what is said, and when.
    wave_S : int16; S is 640 T.
    mouths_THW : uint8.
    seen_T : bool.
    """

    line: Line
    wave_S: npt.NDArray[np.int16]
    mouths_THW: npt.NDArray[np.uint8]
    seen_T: npt.NDArray[np.bool_]

    @property
    def frames(self) -> int:
        """T."""
        return len(self.seen_T)


def read(
    lines: Sequence[Line],
    kept: Path | None = None,
    *,
    faces: FaceConfig = FACES,
    mouths: MouthConfig = MOUTHS,
    whole: bool = True,
    seen: bool = True,
    on_read: Callable[[int, int], None] | None = None,
) -> list[Example]:
    """All clips of a list.

    Parameters
    ----------
    kept : folder where what is read is kept; taken from there if the files are still the same.
    whole : refuse clips without sound or without pictures; otherwise they are silent, or nobody is seen.
    seen : look for mouths; otherwise nobody is seen, and clips need no pictures.
    on_read : told how many of how many clips are read.

    Raises
    ------
    DataError
        if a clip cannot be read, or has no sound or no pictures.
    """
    digest = _digest(lines, faces, mouths, whole, seen)
    if kept is not None and (kept / "clips.json").is_file():
        found = _restored(lines, kept, digest)
        if found is not None:
            return found
    finder = CascadeFaces(faces)
    examples = []
    for number, line in enumerate(lines, start=1):
        examples.append(_read(line, finder, faces, mouths, whole, seen))
        if on_read is not None:
            on_read(number, len(lines))
    if kept is not None:
        _keep(examples, kept, digest)
    return examples


def _read(
    line: Line, finder: CascadeFaces, faces: FaceConfig, mouths: MouthConfig, whole: bool, seen: bool
) -> Example:
    heard_S = np.zeros(0, np.float32)
    if whole or video.has_sound(line.file):
        heard_S = audio.load(line.file, RATE)
    if seen and (whole or video.has_video(line.file)):
        frames = [frame.grey_HW for frame in video.read_frames(line.file, fps=FPS)]
        found = find_mouths(frames, finder, faces=faces, mouths=mouths)
    else:
        found = nobody(-(-len(heard_S) // SAMPLES_PER_FRAME), mouths)
    wave_S = np.zeros(len(found.seen_T) * SAMPLES_PER_FRAME, np.int16)
    samples = min(len(wave_S), len(heard_S))
    wave_S[:samples] = np.clip(heard_S[:samples] * 32767, -32768, 32767).astype(np.int16)
    return Example(line, wave_S, found.grey_THW, found.seen_T)


def _digest(lines: Sequence[Line], faces: FaceConfig, mouths: MouthConfig, whole: bool, seen: bool) -> str:
    """What the files and the options are; another digest is another corpus."""
    state = [repr(faces), repr(mouths)] if seen else ["unseen"]
    state += [] if whole else ["with parts missing"]
    for line in lines:
        try:
            size = line.file.stat().st_size
        except OSError as error:
            raise errors.DataError("no such file", file=str(line.file)) from error
        state.append(f"{line.name} {size} {line.text}")
    return hashlib.sha256("\n".join(state).encode()).hexdigest()


def _keep(examples: Sequence[Example], folder: Path, digest: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "waves": np.concatenate([example.wave_S for example in examples]),
        "mouths": np.concatenate([example.mouths_THW for example in examples]),
        "seen": np.concatenate([example.seen_T for example in examples]),
    }
    for name, array in arrays.items():
        with atomic_path(folder / f"{name}.npy") as path, path.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
    frames = [example.frames for example in examples]
    with atomic_path(folder / "clips.json") as path:
        path.write_text(json.dumps({"digest": digest, "frames": frames}), encoding="utf-8")


def _restored(lines: Sequence[Line], folder: Path, digest: str) -> list[Example] | None:
    """What was kept, if it is of these very files."""
    try:
        told = json.loads((folder / "clips.json").read_text("utf-8"))
        if told["digest"] != digest:
            return None
        waves, mouths, seen = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in ("waves", "mouths", "seen")
        )
        ends = np.cumsum(told["frames"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if len(ends) != len(lines) or ends[-1] != len(mouths) or len(seen) != len(mouths):
        return None
    starts = ends - told["frames"]
    return [
        Example(
            line,
            waves[start * SAMPLES_PER_FRAME : end * SAMPLES_PER_FRAME],
            mouths[start:end],
            np.asarray(seen[start:end]),
        )
        for line, start, end in zip(lines, starts, ends, strict=True)
    ]
