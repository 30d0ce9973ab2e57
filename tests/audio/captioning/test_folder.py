"""A captioning model on disk: it comes back, and what is damaged is named."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from seqkit import errors
from seqkit.audio.captioning import folder
from seqkit.audio.captioning.folder import Parts
from seqkit.audio.captioning.model import Source


def test_it_comes_back(parts: Parts, tmp_path: Path) -> None:
    folder.save(tmp_path / "m", parts, card="# card\n", dtype=torch.float32)
    again = folder.load_parts(tmp_path / "m")
    wave = torch.randn(16_000)
    with torch.inference_mode():
        one, other = (Source.of(each.encoder.hear([wave])) for each in (parts, again))
        torch.testing.assert_close(parts.model.place(one), again.model.place(other))
        ids = torch.tensor([[1, 5, 6]])
        torch.testing.assert_close(parts.model.spell(one, ids), again.model.spell(other, ids))
        torch.testing.assert_close(parts.sentences(ids), again.sentences(ids))
    assert again.calibration == parts.calibration
    assert not list((tmp_path / "m").glob("*.bin"))


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("model_type",), "bert", "not the config"),
        (("model", "d_model"), -1, "out of range"),
        (("model", "heads"), "x", "no option"),
        (("model", "d_model"), 32, "should be"),
        (("model", "nonsense"), 3, "no option"),
        (("encoder",), None, "no captioning model"),
        (("model", "vocab_size"), 7, "tokens, and the model 7"),
    ],
)
def test_configs_that_do_not_fit_are_named(
    parts: Parts, tmp_path: Path, keys: tuple[str, ...], value: object, words: str
) -> None:
    folder.save(tmp_path, parts, card="")
    config = json.loads((tmp_path / "config.json").read_text())
    place = config
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(errors.DataError, match=words):
        folder.load_parts(tmp_path)


def test_weights_that_do_not_fit_are_named(parts: Parts, tmp_path: Path) -> None:
    folder.save(tmp_path, parts, card="")
    weights = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    name = next(name for name in tensors if name.startswith("model.adapter"))
    safetensors.torch.save_file({key: value for key, value in tensors.items() if key != name}, weights)
    with pytest.raises(errors.DataError, match=name.replace(".", r"\.")):
        folder.load_parts(tmp_path)
    weights.write_bytes(b"rubbish")
    with pytest.raises(errors.DataError, match="cannot be read"):
        folder.load_parts(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(errors.DataError, match=r"tokenizer\.json"):
        folder.load_parts(tmp_path)
