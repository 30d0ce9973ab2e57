"""Checkpoints of transformers as describers: tiny ones, made on the spot."""

import math
from collections.abc import Callable
from pathlib import Path

import checkpoints
import numpy as np
import pytest

from seqkit import errors
from seqkit.audio.captioning import choosing, foreign
from seqkit.models import listening


def waves() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=size).astype(np.float32) * 0.1 for size in (16_000, 9_000)]


@pytest.mark.parametrize("make", [checkpoints.whisper, checkpoints.qwen2_audio])
def test_they_describe_with_scores(make: Callable[[Path], Path], tmp_path: Path) -> None:
    describer = choosing.describer(str(make(tmp_path / "m")))
    assert describer.rate == 16_000
    together = describer.describe(waves(), n_best=2)
    apart = [describer.describe([wave], n_best=2)[0] for wave in waves()]
    assert together == apart
    for row in together:
        assert len(row) == 2
        for one in row:
            assert one.logprob is not None
            assert one.score == pytest.approx(math.exp(one.logprob))
            assert "\n" not in one.text
        assert row[0].score >= row[1].score


def test_other_kinds_and_damaged_folders_are_refused(tmp_path: Path) -> None:
    folder = checkpoints.whisper(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(errors.DataError, match="cannot be loaded"):
        foreign.load(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(errors.DataError, match="pickle"):
        foreign.load(folder)
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(errors.DataError, match="gpt2"):
        foreign.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(errors.DataError, match=r"config\.json"):
        listening.kind_of(folder)
