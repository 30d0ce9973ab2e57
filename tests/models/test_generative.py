"""Folders of models that generate: read, described, and refused where anything in them is not right."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from seqkit import errors
from seqkit.models import generative

KINDS = ["llama", "bart", "backbone", "backbone-encdec", "llama-dna"]


@pytest.fixture
def copy(tiny_model: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A model's folder that a test may spoil."""
    return lambda kind: Path(shutil.copytree(tiny_model(kind), tmp_path / kind))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_loads(kind: str, tiny_model: Callable[[str], Path]) -> None:
    model = generative.load(str(tiny_model(kind)), device="cpu")
    assert model.has_source == (kind in ("bart", "backbone-encdec"))
    assert model.eos == (2,) and model.positions == 96
    assert next(model.network.parameters()).dtype is torch.float32
    assert not model.network.training
    text = "ACGTAC" if kind == "llama-dna" else "a dog barks"
    prompt, source = model.read(text)
    assert model.tokenizer.decode(prompt if source is None else source) == text


def test_what_prompts_begin_and_sources_end_with(tiny_model: Callable[[str], Path]) -> None:
    ids = generative.load(str(tiny_model("llama"))).tokenizer.encode("rain")
    assert generative.load(str(tiny_model("llama"))).read("rain") == (ids, None)
    assert generative.load(str(tiny_model("backbone"))).read("rain") == ([1, *ids], None)
    assert generative.load(str(tiny_model("backbone-encdec"))).read("rain") == ([1], [*ids, 2])
    assert generative.load(str(tiny_model("bart"))).read("rain") == ([2], ids)


def test_an_end_that_the_tokenizer_adds_is_not_continued(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    template = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<eos>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<eos>": {"id": "<eos>", "ids": [2], "tokens": ["<eos>"]}},
    }
    edit(folder / "tokenizer.json", post_processor=template)
    model = generative.load(str(folder))
    assert model.tokenizer.encode("rain")[-1] == 2
    assert model.read("rain")[0] == model.tokenizer.encode("rain")[:-1]


def test_the_data_type_is_the_one_asked_for(tiny_model: Callable[[str], Path]) -> None:
    model = generative.load(str(tiny_model("llama")), device="cpu", dtype="bfloat16")
    assert next(model.network.parameters()).dtype is torch.bfloat16
    with pytest.raises(errors.UsageError, match="float8"):
        generative.load(str(tiny_model("llama")), dtype="float8")


@pytest.mark.parametrize("text", ["", "\u00e9"])
def test_prompts_without_tokens(text: str, tiny_model: Callable[[str], Path]) -> None:
    kind, message = ("llama", "empty") if not text else ("llama-dna", "no nucleotide code")
    with pytest.raises(errors.DataError, match=message):
        generative.load(str(tiny_model(kind))).read(text)


def test_prompts_that_are_too_long(tiny_model: Callable[[str], Path]) -> None:
    model = generative.load(str(tiny_model("llama")))
    model.require_room([5] * 90, None, 6)
    with pytest.raises(errors.UsageError, match="leaves room for 6 of 96 tokens, not for 7"):
        model.require_room([5] * 90, None, 7)
    with pytest.raises(errors.DataError, match="97 tokens, and the model takes 96"):
        model.require_room([5], [5] * 97, 1)


def test_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: Any, **options: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(errors.UsageError, match="no such folder"):
        generative.load(str(tmp_path / "nothing"))
    with pytest.raises(errors.UsageError, match="no such folder"):
        generative.load("owner/model", offline=True)
    with pytest.raises(errors.UsageError, match="no route to host"):
        generative.load("owner/model")


def test_a_name_is_fetched_without_code_or_pickles(
    tiny_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked[name] = allow_patterns
        return str(tiny_model("llama"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert generative.load("owner/model").name == "owner/model"
    assert asked == {"owner/model": ["*.json", "*.safetensors", "vocab.txt", "README.md"]}


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe"])
def test_files_that_are_missing_or_damaged(
    file: str, content: bytes | None, copy: Callable[[str], Path]
) -> None:
    folder = copy("llama")
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    with pytest.raises(errors.DataError, match=file):
        generative.load(str(folder))


def test_pickles_are_refused_by_name(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(errors.DataError, match=r"pytorch_model\.bin.*pickle"):
        generative.load(str(folder))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(errors.DataError, match="no weights"):
        generative.load(str(folder))


def test_code_of_a_model_is_not_run(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "own.Model"})
    (folder / "own.py").write_text("raise SystemExit('was run')")
    with pytest.raises(errors.DataError, match="auto_map"):
        generative.load(str(folder))


def test_damaged_weights(copy: Callable[[str], Path]) -> None:
    path = copy("llama") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(errors.DataError, match="cannot be loaded"):
        generative.load(str(path.parent))


def test_weights_are_never_made_up(copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    edit(folder / "config.json", num_hidden_layers=3)
    with pytest.raises(errors.DataError, match="weights are missing"):
        generative.load(str(folder))


@pytest.mark.parametrize("kind", ["nonsense", "vit"])
def test_models_of_other_kinds(kind: str, copy: Callable[[str], Path]) -> None:
    folder = copy("llama")
    edit(folder / "config.json", model_type=kind)
    with pytest.raises(errors.DataError, match="cannot be loaded"):
        generative.load(str(folder))


def test_an_encoder_does_not_generate(tiny_model: Callable[[str], Path]) -> None:
    with pytest.raises(errors.DataError, match="layout 'encoder'"):
        generative.load(str(tiny_model("backbone-encoder")))


def test_a_tokenizer_larger_than_the_model(
    copy: Callable[[str], Path], tiny_model: Callable[[str], Path]
) -> None:
    folder = copy("llama-dna")
    shutil.copy(tiny_model("llama") / "tokenizer.json", folder)
    with pytest.raises(errors.DataError, match="the tokenizer has 300 tokens, the model 38"):
        generative.load(str(folder))


def test_drafts_share_the_vocabulary(copy: Callable[[str], Path], tiny_model: Callable[[str], Path]) -> None:
    model = generative.load(str(tiny_model("llama")))
    generative.require_same_tokens(model, generative.load(str(tiny_model("llama-draft"))))
    with pytest.raises(errors.UsageError, match="another vocabulary"):
        generative.require_same_tokens(model, generative.load(str(tiny_model("llama-dna"))))
    renamed = copy("llama-draft")
    text = (renamed / "tokenizer.json").read_text()
    (renamed / "tokenizer.json").write_text(text.replace('"<mask>"', '"<other>"'))
    with pytest.raises(errors.UsageError, match="another vocabulary"):
        generative.require_same_tokens(model, generative.load(str(renamed)))


def test_loading_says_nothing(tiny_model: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    generative.load(str(tiny_model("bart")))
    assert capfd.readouterr() == ("", "")
