"""What `seqkit transcribe` holds in memory does not grow with the length of a film."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seqkit.vision_speech import folder
from seqkit.vision_speech.model import SpeechConfig, SpeechModel

#: Lengths of the films in minutes, and by how many MB their peaks may differ: the allocator keeps some tens
#: of MB more in a longer run, but the pictures of the long film alone are 290 MB.
SHORT, LONG, MOST = 1, 4, 120
SIZE = (192, 256)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small model with weights at random."""
    torch.manual_seed(0)
    layers = {"audio_layers": 1, "video_layers": 1, "joint_layers": 1, "decoder_layers": 1}
    sizes = SpeechConfig(d_model=16, heads=2, feed_forward_size=32, visual_widths=(4, 8), **layers)
    folder.save(tmp_path / "model", SpeechModel(sizes), card="# At random\n")
    return tmp_path / "model"


def peak(model: Path, path: Path) -> float:
    """The most memory, in MB, that the program holds over a film of so much."""
    command = [sys.executable, "-m", "seqkit.cli.main", "transcribe", str(path), "--model", str(model)]
    command += ["--decoder", "ctc", "--threads", "1", "-o", str(path.with_suffix(".txt"))]
    with subprocess.Popen(command) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert path.with_suffix(".txt").stat().st_size
    return used.ru_maxrss / 1024


@pytest.mark.timeout(900)
def test_a_long_film_takes_no_more_memory_than_a_short_one(
    film: Callable[..., Path], model: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    wave_S = rng.normal(0, 0.1, 60 * 16_000).astype(np.float32)
    grey = np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1]))
    frames = [((grey + 4 * shift) % 256).astype(np.uint8) for shift in range(25)] * 60
    peaks = []
    for minutes in (SHORT, LONG):
        path = film(tmp_path / f"{minutes}.mp4", frames * minutes, wave_S=np.tile(wave_S, minutes))
        peaks.append(peak(model, path))
    assert peaks[1] - peaks[0] < MOST
