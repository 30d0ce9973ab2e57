"""Checkpoints in others' layouts: the same logits as transformers, or as a slow reading of the formula."""

import functools
import itertools
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from transformers.models.llama import modeling_llama

from seqkit import errors
from seqkit.models import conversion, folders, foreign, generative, genomic, nucleotides
from seqkit.tokenizers.kmer import KmerTokenizer

TOKENIZER = KmerTokenizer(k=2)
SIZE = TOKENIZER.vocab_size
PROMPT = torch.tensor([[1, 7, 9, 12, 3, 5, 8, 20, 11]])
EXACT = {"atol": 1e-9, "rtol": 1e-9}


def write_llama(
    folder: Path, *, kv_heads: int = 2, tied: bool = False, parts: bool = False, size: int = SIZE
) -> transformers.LlamaForCausalLM:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=64,
        rope_theta=50_000.0,
        tie_word_embeddings=tied,
    )
    model = transformers.LlamaForCausalLM(config).double().eval()
    for weight in model.parameters():
        weight.data = torch.randn_like(weight) * 0.2
    model.save_pretrained(folder, max_shard_size="40KB" if parts else "5GB")
    nucleotides.save(TOKENIZER, folder / nucleotides.FILE)
    for module in model.modules():
        # Theirs computes in float32 whatever the model's type; in float64 it is torch's own.
        if isinstance(module, modeling_llama.LlamaRMSNorm):
            module.forward = functools.partial(
                torch.rms_norm, normalized_shape=(32,), weight=module.weight, eps=config.rms_norm_eps
            )
    return model


def same_logits(folder: Path, theirs: Any) -> None:
    """In double precision closely; and as every command loads it."""
    config = folders.read_config(folder, known=foreign.TYPES)
    with torch.no_grad():
        wanted = theirs(PROMPT).logits
        exact = foreign.load_network(folder, config, torch.float64).eval()
        torch.testing.assert_close(exact(PROMPT).logits, wanted, **EXACT)
        loaded = genomic.load(str(folder), device="cpu").network
        torch.testing.assert_close(loaded(PROMPT).logits.double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_llama_shaped_folders_give_transformers_logits(tmp_path: Path, kv_heads: int, tied: bool) -> None:
    same_logits(tmp_path, write_llama(tmp_path, kv_heads=kv_heads, tied=tied))
    assert genomic.load(str(tmp_path), device="cpu").is_causal


def test_weights_in_several_files_are_one_model(tmp_path: Path) -> None:
    theirs = write_llama(tmp_path, parts=True)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    same_logits(tmp_path, theirs)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ({"weight_map": {"model.norm.weight": "../../etc/x.safetensors"}}, "no file of weights"),
        ({"weight_map": {"model.norm.weight": 7}}, "no file of weights"),
        ({"weight_map": {"model.norm.weight": "absent.safetensors"}}, "absent.safetensors: cannot be read"),
        ({"weight_map": []}, "no index"),
        ([], "no index"),
    ],
)
def test_an_index_is_not_trusted(tmp_path: Path, index: Any, words: str) -> None:
    write_llama(tmp_path, parts=True)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(errors.DataError, match=words):
        genomic.load(str(tmp_path), device="cpu")


def generator_words(k: int = 6) -> list[str]:
    """As GENERator lists them: special tokens of its own, some to spare, and A, T, C, G in this order."""
    specials = ["<oov>", "<s>", "</s>", "<pad>", "<mask>", *(f"<spare {number}>" for number in range(27))]
    return specials + ["".join(kmer) for kmer in itertools.product("ATCG", repeat=k)]


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json"])
def test_generator_shaped_folders_read_their_own_listing(tmp_path: Path, name: str) -> None:
    words = generator_words()
    theirs = write_llama(tmp_path, size=len(words))
    (tmp_path / nucleotides.FILE).unlink()
    numbered = {word: number for number, word in enumerate(words)}
    text = "\n".join(words) + "\n" if name == "vocab.txt" else json.dumps(numbered)
    (tmp_path / name).write_text(text)
    same_logits(tmp_path, theirs)
    model = genomic.load(str(tmp_path), device="cpu")
    letters = np.frombuffer(b"ACGTTGCCATGA", dtype=np.uint8)
    assert model.read(letters).tolist() == [1, numbered["ACGTTG"], numbered["CCATGA"], 2]
    with pytest.raises(errors.DataError, match="place 7 there is no whole 6-mer"):
        model.read(letters[:-1])


def mosaic_folder(folder: Path, *, heads: int, **changes: Any) -> tuple[dict[str, torch.Tensor], dict]:
    """A folder as DNABERT-2 is published, but for the pickle: MosaicBERT's names, code that it names."""
    torch.manual_seed(1)
    width, inner, layers = 24, 40, 2
    config = {
        "_name_or_path": "someone/DNABERT-2-117M",
        "alibi_starting_size": 512,
        "architectures": ["BertForMaskedLM"],
        "auto_map": {"AutoModel": "bert_layers.BertModel", "AutoConfig": "configuration_bert.BertConfig"},
        "hidden_act": "gelu",
        "hidden_size": width,
        "intermediate_size": inner,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "type_vocab_size": 2,
        "vocab_size": SIZE,
        **changes,
    }
    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (SIZE, width),
        "bert.embeddings.token_type_embeddings.weight": (2, width),
        "bert.embeddings.LayerNorm.weight": (width,),
        "bert.embeddings.LayerNorm.bias": (width,),
        "bert.pooler.dense.weight": (width, width),
        "bert.pooler.dense.bias": (width,),
        "cls.predictions.transform.dense.weight": (width, width),
        "cls.predictions.transform.dense.bias": (width,),
        "cls.predictions.transform.LayerNorm.weight": (width,),
        "cls.predictions.transform.LayerNorm.bias": (width,),
        "cls.predictions.decoder.bias": (SIZE,),
    }
    for layer in range(layers):
        for name, shape in {
            "attention.self.Wqkv.weight": (3 * width, width),
            "attention.self.Wqkv.bias": (3 * width,),
            "attention.output.dense.weight": (width, width),
            "attention.output.dense.bias": (width,),
            "attention.output.LayerNorm.weight": (width,),
            "attention.output.LayerNorm.bias": (width,),
            "mlp.gated_layers.weight": (2 * inner, width),
            "mlp.wo.weight": (width, inner),
            "mlp.wo.bias": (width,),
            "mlp.layernorm.weight": (width,),
            "mlp.layernorm.bias": (width,),
        }.items():
            shapes[f"bert.encoder.layer.{layer}.{name}"] = shape
    tensors = {name: torch.randn(shape, dtype=torch.float64) * 0.3 for name, shape in shapes.items()}
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
    folder.mkdir(exist_ok=True)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "bert_layers.py").write_text("raise SystemExit('code of a checkpoint was run')\n")
    nucleotides.save(TOKENIZER, folder / nucleotides.FILE)
    return tensors, config


def alibi_slopes(heads: int) -> list[float]:
    """Press et al. (ICLR 2022): powers of two, and every other one of the next power beyond."""
    if math.log2(heads).is_integer():
        return [2 ** (-8 * (head + 1) / heads) for head in range(heads)]
    below = 2 ** math.floor(math.log2(heads))
    return alibi_slopes(below) + alibi_slopes(2 * below)[0::2][: heads - below]


def mosaic_bert(tensors: dict[str, torch.Tensor], config: dict[str, Any], ids: list[int]) -> torch.Tensor:
    """Logits straight from the formula, token by token."""
    eps = config["layer_norm_eps"]

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        bias = tensors.get(f"{name}.bias")
        return x @ tensors[f"{name}.weight"].T + (0 if bias is None else bias)

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def gelu(x: torch.Tensor) -> torch.Tensor:
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))

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
                scores = [
                    q[i, part] @ k[j, part] / math.sqrt(size / heads) - slope * abs(i - j)
                    for j in range(len(ids))
                ]
                mixed[i, part] = torch.stack(scores).softmax(0) @ v[:, part]
        x = norm(place + "attention.output.LayerNorm", linear(place + "attention.output.dense", mixed) + x)
        gated = linear(place + "mlp.gated_layers", x)
        inner = gelu(gated[:, : config["intermediate_size"]]) * gated[:, config["intermediate_size"] :]
        x = norm(place + "mlp.layernorm", linear(place + "mlp.wo", inner) + x)
    x = gelu(linear("cls.predictions.transform.dense", x))
    return linear("cls.predictions.decoder", norm("cls.predictions.transform.LayerNorm", x))


@pytest.mark.parametrize("heads", [3, 4, 6])
def test_dnabert2_shaped_folders_follow_the_formula(tmp_path: Path, heads: int) -> None:
    tensors, config = mosaic_folder(tmp_path, heads=heads)
    wanted = mosaic_bert(tensors, config, PROMPT[0].tolist())
    with torch.no_grad():
        exact = foreign.load_network(tmp_path, config, torch.float64).eval()
        torch.testing.assert_close(exact(PROMPT).logits[0], wanted, **EXACT)
        loaded = genomic.load(str(tmp_path), device="cpu")
        found = loaded.network(PROMPT).logits[0].double()
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert not loaded.is_causal


def test_an_output_layer_that_is_the_embedding_may_be_left_out(tmp_path: Path) -> None:
    tensors, config = mosaic_folder(tmp_path, heads=4)
    kept = {name: value for name, value in tensors.items() if name != "cls.predictions.decoder.weight"}
    safetensors.torch.save_file(kept, tmp_path / "model.safetensors")
    with torch.no_grad():
        found = foreign.load_network(tmp_path, config, torch.float64).eval()(PROMPT).logits[0]
    torch.testing.assert_close(found, mosaic_bert(tensors, config, PROMPT[0].tolist()), **EXACT)


def refuses(folder: Path, words: str) -> None:
    with pytest.raises(errors.DataError, match=words):
        genomic.load(str(folder), device="cpu")


def changed(folder: Path, changes: dict[str, torch.Tensor | None]) -> None:
    """Other tensors in the folder's file; None takes one out."""
    path = folder / "model.safetensors"
    tensors = {**safetensors.torch.load_file(path), **changes}
    kept = {name: value.contiguous() for name, value in tensors.items() if value is not None}
    safetensors.torch.save_file(kept, path, metadata={"format": "pt"})


LLAMA_Q, LLAMA_K = (f"model.layers.1.self_attn.{name}_proj.weight" for name in "qk")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.norm.weight": None}, r"no tensor model\.norm\.weight"),
        ({"lm_head.weight": None}, r"no tensor lm_head\.weight"),
        ({"model.norm.weight": torch.ones(7)}, r"model\.norm\.weight is \(7,\), and should be \(32,\)"),
        # Together of the right size, and each of a wrong one.
        ({LLAMA_Q: torch.ones(16, 32), LLAMA_K: torch.ones(32, 32)}, r"layers\.1\.self_attn\.q_proj"),
        ({LLAMA_Q: torch.ones(32, 31)}, r"q_proj\.weight is \(32, 31\)"),
        ({"model.layers.0.mlp.extra": torch.ones(1)}, r"model\.layers\.0\.mlp\.extra is not known"),
        (
            {"model.layers.2.mlp.up_proj.weight": torch.ones(1)},
            r"layers\.2\.mlp\.up_proj\.weight is not known",
        ),
        ({LLAMA_Q: torch.ones(32, 32, dtype=torch.int8)}, "int8; quantised"),
        ({"model.embed_tokens.weight": torch.ones(40, 32)}, rf"\(40, 32\), and should be \({SIZE}, 32\)"),
    ],
)
def test_llama_tensors_that_do_not_fit_are_named(tmp_path: Path, changes: Any, words: str) -> None:
    write_llama(tmp_path)
    changed(tmp_path, changes)
    refuses(tmp_path, words)


WQKV = "bert.encoder.layer.1.attention.self.Wqkv.weight"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({WQKV: None}, "no tensor " + WQKV),
        ({WQKV: torch.ones(72, 23)}, r"Wqkv\.weight is \(72, 23\), and should be \(72, 24\)"),
        ({"bert.embeddings.token_type_embeddings.weight": torch.ones(2, 1)}, r"token_type.* is \(2, 1\)"),
        ({"cls.predictions.decoder.bias": None}, r"no tensor cls\.predictions\.decoder\.bias"),
        ({"bert.encoder.layer.0.mlp.gated_layers.bias": torch.ones(80)}, "gated_layers.bias is not known"),
    ],
)
def test_dnabert2_tensors_that_do_not_fit_are_named(tmp_path: Path, changes: Any, words: str) -> None:
    mosaic_folder(tmp_path, heads=4)
    changed(tmp_path, changes)
    refuses(tmp_path, words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": None}, "hidden_size|d_model"),
        ({"num_attention_heads": 5}, "multiple of 5 heads"),
        ({"num_hidden_layers": 10**12}, r"no tensor bert\.encoder\.layer\.2\."),
        ({"hidden_size": 10**9, "num_attention_heads": 1}, "should be"),
        ({"layer_norm_eps": "small"}, "cannot be used"),
        ({"hidden_act": "relu"}, "'relu' is not supported"),
        ({"vocab_size": 4096}, rf"\({SIZE}, 24\), and should be \(4096, 24\)"),
    ],
)
def test_a_config_is_not_trusted(tmp_path: Path, changes: Any, words: str) -> None:
    mosaic_folder(tmp_path, **{"heads": 4, **changes})
    refuses(tmp_path, words)


def test_a_plain_bert_is_not_taken_for_dnabert2(tmp_path: Path) -> None:
    _, config = mosaic_folder(tmp_path, heads=4)
    for name in ("auto_map", "alibi_starting_size", "_name_or_path"):
        del config[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    refuses(tmp_path, "type 'bert' is not supported")


@pytest.mark.parametrize("kind", ["gpt2", "seqkit-backbone"])
def test_code_is_ignored_only_where_what_it_computes_is_known(tmp_path: Path, kind: str) -> None:
    _, config = mosaic_folder(tmp_path, heads=4, model_type=kind)
    refuses(tmp_path, "code of its own")


def test_a_llama_that_names_code_is_read_without_it(tmp_path: Path) -> None:
    theirs = write_llama(tmp_path / "named")
    path = tmp_path / "named" / "config.json"
    named = {"auto_map": {"AutoModelForCausalLM": "own.Llama", "AutoConfig": "own.Config"}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **named}))
    (tmp_path / "named" / "own.py").write_text("raise SystemExit('code of a checkpoint was run')\n")
    same_logits(tmp_path / "named", theirs)
    # What generates any text cannot know what such code computes; a converted folder names none.
    with pytest.raises(errors.DataError, match="code of its own"):
        generative.load(str(tmp_path / "named"), device="cpu")
    conversion.convert(str(tmp_path / "named"), "llama", str(tmp_path / "out"))
    model = generative.load(str(tmp_path / "out"), device="cpu")
    assert model.read("ACGT")[0] == [1, *TOKENIZER.encode(np.frombuffer(b"ACGT", dtype=np.uint8))]


def test_rotary_positions_that_are_scaled_are_refused(tmp_path: Path) -> None:
    write_llama(tmp_path)
    path = tmp_path / "config.json"
    told = json.loads(path.read_text())
    told["rope_parameters"] = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    path.write_text(json.dumps(told))
    refuses(tmp_path, "rotary positions of type linear")


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_llama(tmp_path)
    nucleotides.save(KmerTokenizer(k=4), tmp_path / nucleotides.FILE)
    refuses(tmp_path, f"has 278 tokens, the model {SIZE}")
    (tmp_path / nucleotides.FILE).unlink()
    refuses(tmp_path, "there is no tokenizer")


def test_weights_in_a_pickle_are_refused(tmp_path: Path) -> None:
    write_llama(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(errors.DataError, match=r"pytorch_model\.bin.*pickle, which can run code") as refused:
        genomic.load(str(tmp_path), device="cpu")
    assert "save them as safetensors" in str(refused.value.hint)


@pytest.mark.needs_dev_data
@pytest.mark.parametrize(
    ("name", "first", "last", "size"),
    [("dnabert2_tokenizer.json", 1, 2, 4096), ("metagene_mgfm1024/tokenizer.json", 3, 4, 1024)],
)
def test_published_tokenizers_frame_what_their_models_read(
    tmp_path: Path, dev_data: Path, name: str, first: int, last: int, size: int
) -> None:
    published = dev_data / "genomics" / "tokenizers" / name
    if size == 4096:
        _, config = mosaic_folder(tmp_path, heads=4, vocab_size=size)
        tall = {"bert.embeddings.word_embeddings.weight": torch.randn(size, 24)}
        tall["cls.predictions.decoder.weight"] = tall["bert.embeddings.word_embeddings.weight"].clone()
        changed(tmp_path, {**tall, "cls.predictions.decoder.bias": torch.zeros(size)})
    else:
        write_llama(tmp_path, size=size)
    shutil.copy(published, tmp_path / nucleotides.FILE)
    model = genomic.load(str(tmp_path), device="cpu")
    letters = np.frombuffer(b"ACGTTGCATTAGGCATACG", dtype=np.uint8)
    ids = model.read(letters)
    assert (ids[0], ids[-1]) == (first, last)
    assert model.tokenizer.decode(ids[1:-1]).tobytes() == letters.tobytes()
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(published))
    assert theirs(letters.tobytes().decode())["input_ids"] == ids.tolist()
