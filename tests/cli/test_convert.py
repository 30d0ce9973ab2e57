"""`seqkit convert`: out in others' layouts, and back to the same bits."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from typer.testing import CliRunner

from seqkit.backbone.sequence import SequenceModel
from seqkit.cli import main
from seqkit.genomics.language import architectures
from seqkit.models import genomic, nucleotides
from seqkit.tokenizers.kmer import KmerTokenizer
from seqkit.tokenizers.listing import ListedTokenizer

TOKENIZER = KmerTokenizer(k=2)
SIZE = TOKENIZER.vocab_size
PROMPT = torch.tensor([[1, 7, 9, 12, 3, 5, 8, 20, 11]])
HEADS = {"dnabert2": {"heads": 3}, "metagene": {"heads": 4}, "generator": {"heads": 4, "kv_heads": 2}}
LAYOUTS = {"dnabert2": "dnabert2", "metagene": "llama", "generator": "llama"}


def small(arch: str, *, tied: bool = False) -> SequenceModel:
    torch.manual_seed(1)
    config = architectures.make_config(
        arch,
        "tiny",
        vocab_size=SIZE,
        specials=TOKENIZER.specials,
        changes={"d_model": 24, "layers": 2, "feed_forward_size": 40, "context": 32, **HEADS[arch]},
    )
    config.tie_word_embeddings = tied
    network = SequenceModel(config).eval()
    for weight in network.parameters():
        weight.data = torch.randn_like(weight) * 0.3
    return network


def saved(folder: Path, network: SequenceModel, tokenizer: nucleotides.SequenceTokenizer = TOKENIZER) -> Path:
    genomic.save(folder, network, tokenizer, card="# made\n\nTerms: CC0.\n")
    return folder


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, list(map(str, arguments)))
    return result.exit_code, result.output + str(result.stderr)


def convert(model: Path, layout: str, out: Path) -> str:
    code, told = run("convert", model, "--to", layout, "-o", out)
    assert code == 0, told
    return told


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("arch", ["dnabert2", "metagene", "generator"])
def test_there_and_back_is_the_same_to_the_bit(tmp_path: Path, arch: str, tied: bool) -> None:
    ours = saved(tmp_path / "ours", small(arch, tied=tied))
    convert(ours, LAYOUTS[arch], tmp_path / "out")
    convert(tmp_path / "out", "seqkit", tmp_path / "back")
    first, again = (
        genomic.load(str(folder), device="cpu").network.state_dict() for folder in (ours, tmp_path / "back")
    )
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert (tmp_path / "back" / "tokenizer.json").read_text() == (ours / "tokenizer.json").read_text()
    convert(tmp_path / "back", LAYOUTS[arch], tmp_path / "twice")
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_keep_their_data_type(tmp_path: Path, dtype: torch.dtype) -> None:
    ours = saved(tmp_path / "ours", small("metagene").to(dtype))
    convert(ours, "llama", tmp_path / "out")
    convert(tmp_path / "out", "seqkit", tmp_path / "back")
    first, again = (
        safetensors.torch.load_file(folder / "model.safetensors") for folder in (ours, tmp_path / "back")
    )
    assert {value.dtype for value in again.values()} == {dtype}
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("arch", ["metagene", "generator"])
def test_what_is_exported_loads_in_transformers(tmp_path: Path, arch: str, tied: bool) -> None:
    ours = saved(tmp_path / "ours", small(arch, tied=tied))
    convert(ours, "llama", tmp_path / "out")
    theirs, told = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"]
    network = genomic.load(str(ours), device="cpu").network
    with torch.no_grad():
        torch.testing.assert_close(theirs.eval()(PROMPT).logits, network(PROMPT).logits, atol=1e-5, rtol=1e-5)


def test_the_tokenizer_loads_in_transformers(tmp_path: Path) -> None:
    tokenizer = KmerTokenizer(k=3)
    network = SequenceModel(
        architectures.make_config(
            "generator", "tiny", vocab_size=tokenizer.vocab_size, specials=tokenizer.specials
        )
    )
    convert(saved(tmp_path / "ours", network, tokenizer), "llama", tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in ("ACGTACGTN", "NNACGTA", "ACGNTTTAAAC", "", "A"):
        wanted = tokenizer.encode(np.frombuffer(text.encode(), dtype=np.uint8)).tolist()
        assert theirs(text, add_special_tokens=False)["input_ids"] == wanted
    assert (theirs.bos_token_id, theirs.pad_token_id) == (1, 0)


def test_overlapping_kmers_stay_ours_and_it_is_said(tmp_path: Path) -> None:
    tokenizer = KmerTokenizer(k=2, overlapping=True)
    ours = saved(tmp_path / "ours", small("dnabert2"), tokenizer)
    assert "overlapping k-mers" in convert(ours, "dnabert2", tmp_path / "out")
    assert genomic.load(str(tmp_path / "out"), device="cpu").tokenizer == tokenizer


def test_the_card_is_kept_and_what_is_left_is_told(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours", small("metagene"))
    (ours / "head.safetensors").write_bytes(b"")
    told = convert(ours, "llama", tmp_path / "out")
    assert "not carried over: head.safetensors" in told
    assert "Terms: CC0." in (tmp_path / "out" / "README.md").read_text()


def test_a_converted_model_embeds_scores_and_generates(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours", small("generator"))
    convert(ours, "llama", tmp_path / "out")
    fasta = tmp_path / "s.fa"
    fasta.write_text(">a\nACGTACGTAC\n>b\nGGGTTT\n")
    tables, scores, written = [], [], []
    for model in (ours, tmp_path / "out"):
        assert run("embed", fasta, "--model", model, "-o", tmp_path / "v.npy")[0] == 0
        tables.append(np.load(tmp_path / "v.npy"))
        assert run("score", fasta, "--model", model, "-o", tmp_path / "s.tsv")[0] == 0
        scores.append((tmp_path / "s.tsv").read_text())
        result = CliRunner().invoke(
            main.app, ["generate", str(fasta), "--model", str(model), "--max-new-tokens", "6"]
        )
        assert result.exit_code == 0, result.stderr
        written.append(result.stdout.replace(f"model={model.name}", ""))
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-5)
    assert scores[0] == scores[1]
    assert written[0] == written[1] and written[0].startswith(">")


def test_variants_are_scored_where_only_whole_kmers_have_tokens(tmp_path: Path) -> None:
    """As GENERator's listing has it; against the same weights with a tokenizer that has letters as well."""
    ours = saved(tmp_path / "ours", small("generator"))
    convert(ours, "llama", tmp_path / "out")
    (tmp_path / "out" / "tokenizer.json").unlink()
    # The same numbers, and letters under names that are none.
    words = [f"<{text}>" if len(text) == 1 else text for text in ListedTokenizer.listing(TOKENIZER)]
    (tmp_path / "out" / "vocab.txt").write_text("\n".join(words))
    fasta, variants = tmp_path / "ref.fa", tmp_path / "v.vcf"
    fasta.write_text(">a\n" + "ACGTTGCATTAGCCTGA" * 3 + "\n")
    header = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    variants.write_text(f"{header}a\t20\t.\tG\tC\t.\t.\t.\n")
    tables = []
    for model in (ours, tmp_path / "out"):
        out = tmp_path / "scores.tsv"
        code, told = run("score", variants, "--ref", fasta, "--model", model, "--window", 17, "-o", out)
        assert code == 0, told
        tables.append(out.read_text())
    assert tables[0] == tables[1]
    code, told = run("embed", fasta, "--model", tmp_path / "out", "-o", tmp_path / "v.npy")
    assert code == 1 and "ref.fa" in told and "place 51 there is no whole 2-mer" in told


def test_what_cannot_be_expressed_is_refused_with_what_differs(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours", small("dnabert2"))
    code, told = run("convert", ours, "--to", "llama", "-o", tmp_path / "out")
    assert code == 2
    assert "not Llama-shaped: layout is 'encoder', not 'decoder'; position is 'alibi', not 'rope'" in told
    causal = saved(tmp_path / "causal", small("metagene"))
    code, told = run("convert", causal, "--to", "dnabert2", "-o", tmp_path / "out")
    assert code == 2 and "not DNABERT-2-shaped: layout is 'decoder'" in told
    code, told = run("convert", causal, "--to", "onnx", "-o", tmp_path / "out")
    assert code == 2 and "'onnx' is none of llama, dnabert2, seqkit" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["causal", "ours"]


@pytest.mark.parametrize(
    ("option", "value"), [("embedding_scale", 2.0), ("sliding_window", 4), ("head_bias", True)]
)
def test_an_option_that_llama_has_not_is_refused(tmp_path: Path, option: str, value: object) -> None:
    config = small("metagene").config
    setattr(config, option, value)
    ours = saved(tmp_path / "ours", SequenceModel(config))
    code, told = run("convert", ours, "--to", "llama", "-o", tmp_path / "out")
    assert code == 2 and f"{option} is {value!r}" in told


def test_a_folder_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours", small("metagene"))
    (tmp_path / "out").mkdir()
    code, told = run("convert", ours, "--to", "llama", "-o", tmp_path / "out")
    assert code == 1 and "exists already" in told
    code, told = run("convert", tmp_path / "none", "--to", "llama", "-o", tmp_path / "new")
    assert code == 2 and "no such folder" in told


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    ours = saved(tmp_path / "ours", small("metagene"))
    (ours / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    code, told = run("convert", ours, "--to", "llama", "-o", tmp_path / "out")
    assert code == 1 and "model.safetensors" in told
    assert json.loads((ours / "config.json").read_text())["model_type"] == "seqkit-backbone"
