"""Tensors in files: whole or not at all, readable by whom other files are, and why not when not."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from seqkit import errors
from seqkit.io import tensor_files


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensor_files.save(path, {"turned": torch.arange(6.0).view(2, 3).T}, {"about": "it"})
    assert safetensors.torch.load_file(path)["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.safetensors", "other"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.OutputError, match="the folder does not exist"):
        tensor_files.save(tmp_path / "none" / "a.safetensors", {"a": torch.zeros(1)})


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"before")

    def full(*given: object, **named: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(errors.OutputError, match="the disk is full"):
        tensor_files.save(path, {"a": torch.zeros(1)})
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
