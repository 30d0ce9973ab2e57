"""Checkpoints in others' layouts: the same logits as transformers, or as a slow reading of the formula."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from typer.testing import CliRunner

from seqkit import errors
from seqkit.backbone.sequence import SequenceModel
from seqkit.cli import main
from seqkit.genomics.language import architectures
from seqkit.models import genomic, nucleotides
from seqkit.tokenizers.kmer import KmerTokenizer

TOKENIZER = KmerTokenizer(k=2)
SIZE = TOKENIZER.vocab_size
PROMPT = torch.tensor([[1, 7, 9, 12, 3, 5, 8, 20, 11]])


def llama(folder: Path, *, kv_heads: int, tied: bool, parts: bool = False) -> transformers.LlamaForCausalLM:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=SIZE,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=64,
        rope_theta=50_000.0,
        tie_word_embeddings=tied,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    for weight in model.parameters():
        weight.data = torch.randn_like(weight) * 0.2
    model.save_pretrained(folder, max_shard_size="20KB" if parts else "5GB")
    nucleotides.save(TOKENIZER, folder / nucleotides.FILE)
    return model


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_llama_shaped_folders_give_transformers_logits(tmp_path: Path, kv_heads: int, tied: bool) -> None:
    theirs = llama(tmp_path, kv_heads=kv_heads, tied=tied)
    ours = genomic.load(str(tmp_path), device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(ours.network(PROMPT).logits, theirs(PROMPT).logits, atol=1e-5, rtol=1e-5)
    assert ours.is_causal


def test_weights_in_several_files_are_one_model(tmp_path: Path) -> None:
    theirs = llama(tmp_path, kv_heads=2, tied=False, parts=True)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    with torch.no_grad():
        found = genomic.load(str(tmp_path), device="cpu").network(PROMPT).logits
        torch.testing.assert_close(found, theirs(PROMPT).logits, atol=1e-5, rtol=1e-5)
    index = tmp_path / "model.safetensors.index.json"
    told = json.loads(index.read_text())
    told["weight_map"]["model.norm.weight"] = "../../etc/passwd"
    index.write_text(json.dumps(told))
    with pytest.raises(errors.DataError, match="no file of weights"):
        genomic.load(str(tmp_path), device="cpu")


def small(arch: str, **changes: int) -> SequenceModel:
    torch.manual_seed(1)
    sizes = {"d_model": 24, "layers": 2, "heads": 3, "feed_forward_size": 40, "context": 32, **changes}
    config = architectures.make_config(
        arch, "tiny", vocab_size=SIZE, specials=TOKENIZER.specials, changes=sizes
    )
    network = SequenceModel(config).eval()
    for weight in network.parameters():
        weight.data = torch.randn_like(weight) * 0.3
    return network


def saved(folder: Path, network: SequenceModel) -> Path:
    genomic.save(folder, network, TOKENIZER, card="# made\n")
    return folder


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, list(map(str, arguments)))
    return result.exit_code, result.output + str(result.stderr)


@pytest.mark.parametrize("arch", ["metagene", "generator"])
def test_what_is_exported_loads_in_transformers(tmp_path: Path, arch: str) -> None:
    heads = {"heads": 4, "kv_heads": 2} if arch == "generator" else {"heads": 4}
    ours = saved(tmp_path / "ours", small(arch, **heads))
    code, told = run("convert", ours, "--to", "llama", "-o", tmp_path / "out")
    assert code == 0, told
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "out").eval()
    network = genomic.load(str(ours), device="cpu").network
    with torch.no_grad():
        torch.testing.assert_close(theirs(PROMPT).logits, network(PROMPT).logits, atol=1e-5, rtol=1e-5)
    assert run("convert", tmp_path / "out", "--to", "seqkit", "-o", tmp_path / "back")[0] == 0
    again = genomic.load(str(tmp_path / "back"), device="cpu").network.state_dict()
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(again[name], weight, atol=0, rtol=0)


def alibi_slopes(heads: int) -> list[float]:
    """Press et al. (ICLR 2022): powers of two, and every other one of the next power beyond."""
    if math.log2(heads).is_integer():
        return [2 ** (-8 * (head + 1) / heads) for head in range(heads)]
    below = 2 ** math.floor(math.log2(heads))
    return alibi_slopes(below) + alibi_slopes(2 * below)[0::2][: heads - below]


def mosaic_bert(tensors: dict[str, torch.Tensor], config: dict[str, int], ids: list[int]) -> torch.Tensor:
    """Logits straight from the formula, token by token."""
    eps = config["layer_norm_eps"]

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        bias = tensors.get(f"{name}.bias")
        return x @ tensors[f"{name}.weight"].T + (0 if bias is None else bias)

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    words = tensors["bert.embeddings.word_embeddings.weight"][ids]
    x = norm("bert.embeddings.LayerNorm", words + tensors["bert.embeddings.token_type_embeddings.weight"][0])
    heads, size = config["num_attention_heads"], config["hidden_size"]
    for layer in range(config["num_hidden_layers"]):
        place = f"bert.encoder.layer.{layer}."
        q, k, v = linear(place + "attention.self.Wqkv", x).chunk(3, dim=-1)
        mixed = torch.zeros_like(x)
        for head, slope in enumerate(alibi_slopes(heads)):
            part = slice(head * size // heads, (head + 1) * size // heads)
            for i in range(len(ids)):
                scores = torch.stack(
                    [
                        q[i, part] @ k[j, part] / math.sqrt(size / heads) - slope * abs(i - j)
                        for j in range(len(ids))
                    ]
                )
                mixed[i, part] = scores.softmax(0) @ v[:, part]
        x = norm(place + "attention.output.LayerNorm", linear(place + "attention.output.dense", mixed) + x)
        gate, value = linear(place + "mlp.gated_layers", x).chunk(2, dim=-1)
        x = norm(
            place + "mlp.layernorm", linear(place + "mlp.wo", torch.nn.functional.gelu(gate) * value) + x
        )
    x = torch.nn.functional.gelu(linear("cls.predictions.transform.dense", x))
    return linear("cls.predictions.decoder", norm("cls.predictions.transform.LayerNorm", x))


@pytest.mark.parametrize("heads", [3, 4])
def test_dnabert2_shaped_folders_follow_the_formula(tmp_path: Path, heads: int) -> None:
    ours = saved(tmp_path / "ours", small("dnabert2", heads=heads))
    assert run("convert", ours, "--to", "dnabert2", "-o", tmp_path / "out")[0] == 0
    weights = tmp_path / "out" / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    # A published checkpoint has kinds of tokens, a pooler, and names code; none of it may disturb.
    tensors["bert.embeddings.token_type_embeddings.weight"] = torch.randn(2, 24) * 0.3
    tensors["bert.pooler.dense.weight"] = torch.randn(24, 24)
    safetensors.torch.save_file(tensors, weights)
    path = tmp_path / "out" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "auto_map": {"AutoModel": "bert_layers.BertModel"}}))
    loaded = genomic.load(str(tmp_path / "out"), device="cpu")
    with torch.no_grad():
        found = loaded.network(PROMPT).logits[0]
    torch.testing.assert_close(found, mosaic_bert(tensors, config, PROMPT[0].tolist()), atol=1e-4, rtol=1e-4)
    assert not loaded.is_causal


def test_a_converted_model_embeds_scores_and_generates(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours", small("generator", heads=4, kv_heads=2))
    run("convert", ours, "--to", "llama", "-o", tmp_path / "out")
    fasta = tmp_path / "s.fa"
    fasta.write_text(">a\nACGTACGTAC\n>b\nGGGTTT\n")
    tables = []
    for model in (ours, tmp_path / "out"):
        assert run("embed", fasta, "--model", model, "-o", tmp_path / "v.npy")[0] == 0
        tables.append(np.load(tmp_path / "v.npy"))
        assert run("score", fasta, "--model", model)[0] == 0
        assert run("generate", fasta, "--model", model, "--max-new-tokens", 4)[0] == 0
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-5)


def test_what_cannot_be_expressed_is_named(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours", small("dnabert2"))
    code, told = run("convert", ours, "--to", "llama", "-o", tmp_path / "out")
    assert code == 2 and "Llama-shaped" in told
    causal = saved(tmp_path / "causal", small("metagene", heads=4))
    code, told = run("convert", causal, "--to", "dnabert2", "-o", tmp_path / "out")
    assert code == 2 and "layout is 'decoder'" in told
    code, told = run("convert", causal, "--to", "onnx", "-o", tmp_path / "out")
    assert code == 2 and "onnx" in told
    assert not (tmp_path / "out").exists()


def test_checkpoints_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    llama(tmp_path, kv_heads=4, tied=False)
    weights = tmp_path / "model.safetensors"
    whole = safetensors.torch.load_file(weights)

    def refused(tensors: dict[str, torch.Tensor], words: str) -> None:
        safetensors.torch.save_file(tensors, weights, metadata={"format": "pt"})
        with pytest.raises(errors.DataError, match=words):
            genomic.load(str(tmp_path), device="cpu")

    refused(
        {name: value for name, value in whole.items() if name != "model.norm.weight"}, "model.norm.weight"
    )
    refused({**whole, "model.norm.weight": torch.ones(7)}, r"decoder.norm.weight is \(7,\)")
    safetensors.torch.save_file(whole, weights, metadata={"format": "pt"})
    nucleotides.save(KmerTokenizer(k=4), tmp_path / nucleotides.FILE)
    with pytest.raises(errors.DataError, match=rf"tokens, the model {SIZE}"):
        genomic.load(str(tmp_path), device="cpu")
    (tmp_path / nucleotides.FILE).unlink()
    with pytest.raises(errors.DataError, match="no tokenizer"):
        genomic.load(str(tmp_path), device="cpu")
    weights.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(errors.DataError, match="pickle"):
        genomic.load(str(tmp_path), device="cpu")
