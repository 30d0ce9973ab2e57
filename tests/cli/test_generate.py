"""`seqkit generate`: what goes in, what comes out, and one line for everything that goes wrong."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

FEW = ("--max-new-tokens", "6", "--device", "cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("a dog barks\nrain falls\nbirds sing\n")
    return path


@pytest.fixture
def llama(tiny_model: Callable[[str], Path]) -> Path:
    return tiny_model("llama")


def test_a_line_for_every_prompt(run, prompts, llama):
    result = run("generate", prompts, "--model", llama, *FEW)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    for line, prompt in zip(lines, prompts.read_text().splitlines(), strict=True):
        alone = run("generate", "--prompt", prompt, "--model", llama, *FEW)
        assert alone.stdout == line + "\n"
    assert "18 tokens in" in result.stderr and "a call" in result.stderr


def test_standard_input_and_echo(run, prompts, llama):
    plain = run("generate", prompts, "--model", llama, *FEW).stdout.splitlines()
    code = "import sys\nfrom seqkit.cli import main\nmain.main()"
    arguments = ["generate", "-", "--echo", "--model", str(llama), *FEW]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], input=prompts.read_bytes(), capture_output=True, check=True
    )
    expected = [a + b for a, b in zip(prompts.read_text().splitlines(), plain, strict=True)]
    assert done.stdout.decode().splitlines() == expected


def test_encoder_decoders_answer(run, prompts, tiny_model):
    result = run("generate", prompts, "--model", tiny_model("bart"), *FEW)
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 3
    assert "by iad" in result.stderr


def test_sequences_in_sequences_out(run, tmp_path, tiny_model):
    path = tmp_path / "in.fq"
    path.write_text("@one\nACGTACGT\n+\nIIIIIIII\n@two\nGGAA\n+\nIIII\n")
    model = tiny_model("llama-dna")
    result = run("generate", path, "--model", model, "--decoder", "copyspec", *FEW)
    lines = result.stdout.splitlines()
    assert lines[::2] == [f">{name} model=llama-dna decoder=copyspec seed=0" for name in ("one", "two")]
    assert all(set(line) <= set("ACGTRYSWKMBDHVN") and line for line in lines[1::2])
    echoed = run("generate", path, "--model", model, "--echo", *FEW).stdout.splitlines()
    assert echoed[1] == "ACGTACGT" + lines[1]


def test_several_answers_of_a_sequence_are_numbered(run, tmp_path, tiny_model):
    path = tmp_path / "in.fa"
    path.write_text(">one\nACGTACGT\n")
    drawn = ("--temperature", "1", "--num-return", "2")
    result = run("generate", path, "--model", tiny_model("llama-dna"), *drawn, *FEW)
    heads = [line.split()[:2] for line in result.stdout.splitlines()[::2]]
    assert heads == [[">one", "answer=1"], [">one", "answer=2"]]


def test_json_says_what_an_answer_cost(run, prompts, llama):
    result = run("generate", prompts, "--model", llama, "--json", "--decoder", "plain", *FEW)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["name"] for record in records] == ["1", "2", "3"]
    texts = run("generate", prompts, "--model", llama, *FEW).stdout.splitlines()
    assert [record["text"].replace("\n", "\\n") for record in records] == texts
    for record in records:
        assert record["method"] == "plain"
        assert record["calls"] == record["tokens"] and record["tokens_per_call"] == 1
        assert record["acceptance"] == 0 and record["seconds"] > 0


def test_json_of_a_search(run, prompts, tiny_model):
    search = ("--search", "beam", "--beams", "3", "--num-return", "2", "--json")
    result = run("generate", prompts, "--model", tiny_model("bart"), *search, *FEW)
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(record["name"], record["answer"]) for record in records] == [
        (name, answer) for name in "123" for answer in (1, 2)
    ]
    best, second = records[0]["log_prob"], records[1]["log_prob"]
    assert best / records[0]["tokens"] >= second / records[1]["tokens"]


def test_a_stream_prints_the_same(run, llama):
    whole = run("generate", "--prompt", "a dog", "--model", llama, *FEW)
    pieces = run("generate", "--prompt", "a dog", "--model", llama, "--stream", *FEW)
    assert pieces.stdout == whole.stdout
    echoed = run("generate", "--prompt", "a dog", "--model", llama, "--stream", "--echo", *FEW)
    assert echoed.stdout == "a dog" + whole.stdout


def test_a_draft_model(run, prompts, llama, tiny_model):
    plain = run("generate", prompts, "--model", llama, *FEW)
    with_draft = ("--draft-model", tiny_model("llama-draft"), "--decoder", "dyspec")
    drafted = run("generate", prompts, "--model", llama, *with_draft, *FEW)
    assert drafted.stdout == plain.stdout and "by dyspec" in drafted.stderr


def test_lossy_methods_say_so(run, prompts, llama):
    result = run("generate", prompts, "--model", llama, "--search", "superposed", *FEW)
    assert result.exit_code == 0
    assert "superposed is lossy" in result.stderr
    assert "lossy" not in run("generate", prompts, "--model", llama, *FEW).stderr


def test_output_file(run, prompts, llama, tmp_path):
    out = tmp_path / "out.txt"
    result = run("generate", prompts, "--model", llama, "-o", out, *FEW)
    assert result.stdout == ""
    assert out.read_text() == run("generate", prompts, "--model", llama, *FEW).stdout


def test_no_half_output(run, prompts, llama, tmp_path):
    prompts.write_text(prompts.read_text() + "dog " * 99 + "\n")
    before = set(tmp_path.iterdir())
    result = run("generate", prompts, "--model", llama, "-o", tmp_path / "out.txt", *FEW)
    assert result.exit_code == 1 and set(tmp_path.iterdir()) == before
    assert f"{prompts}: line 4: the prompt has" in result.stderr
    missing = run("generate", prompts, "--model", llama, "-o", tmp_path / "no" / "out.txt", *FEW)
    assert missing.exit_code == 1 and "folder does not exist" in missing.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ([], 2, "prompts come from a file or from --prompt"),
        (["p.txt", "--prompt", "a"], 2, "prompts come from a file or from --prompt"),
        (["--prompt", "a"], 2, "no model is given (--model DIR)"),
        (["--prompt", "", "--model", "LLAMA"], 1, "--prompt: the prompt is empty"),
        (["nothing.txt", "--model", "LLAMA"], 1, "nothing.txt: no such file"),
        (["--prompt", "a", "--model", "./nothing"], 2, "./nothing: there is no such folder"),
        (["--prompt", "a", "--model", "owner/name", "--offline"], 2, "owner/name: there is no such folder"),
        (["--prompt", "a", "--model", "LLAMA", "--decoder", "fast"], 2, "no decoder is called 'fast'"),
        (["--prompt", "a", "--model", "LLAMA", "--search", "wide"], 2, "no search is called 'wide'"),
        (["--prompt", "a", "--model", "LLAMA", "--search", "beam", "--groups", "2"], 2, "takes no --groups"),
        (["--prompt", "a", "--model", "LLAMA", "--beams", "2"], 2, "options of a search need one"),
        (["--prompt", "a", "--model", "LLAMA", "--temperature", "-1"], 2, "--temperature -1.0 is out of"),
        (["--prompt", "a", "--model", "LLAMA", "--top-p", "0"], 2, "--top-p 0.0 is out of range"),
        (["--prompt", "a", "--model", "LLAMA", "--num-return", "2"], 2, "--temperature or --search"),
        (["--prompt", "a", "--model", "LLAMA", "--max-new-tokens", "99"], 2, "leaves room for 95 of 96"),
        (["--prompt", "dog " * 99, "--model", "LLAMA"], 1, "and the model takes 96"),
        (["--prompt", "a", "--model", "LLAMA", "--decoder", "speculative"], 2, "needs a draft model"),
        (["--prompt", "a", "--model", "LLAMA", "--draft-model", "DNA"], 2, "another vocabulary"),
        (["--prompt", "a", "--model", "LLAMA", "--dtype", "int8"], 2, "no data type is called 'int8'"),
        (["--prompt", "a", "--model", "LLAMA", "--device", "abacus"], 2, "no device is called 'abacus'"),
        (["--prompt", "a", "--model", "LLAMA", "--stream", "--json"], 2, "--stream prints one answer"),
        (["--prompt", "1", "--model", "DNA"], 1, "letter '1' at place 1"),
    ],
)
def test_what_cannot_be_used(run, arguments, exit_code, message, tiny_model):
    folders = {"LLAMA": str(tiny_model("llama")), "DNA": str(tiny_model("llama-dna"))}
    result = run("generate", *[folders.get(word, word) for word in arguments])
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert message in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_folders_that_lack_something(run, file, llama, tmp_path):
    folder = shutil.copytree(llama, tmp_path / "model")
    (folder / file).unlink()
    result = run("generate", "--prompt", "a", "--model", folder)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert str(folder) in result.stderr


def test_a_closed_pipe_ends_quietly(llama, tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("a dog barks\n" * 40)
    code = "import sys\nfrom seqkit.cli import main\nmain.main()"
    arguments = ["generate", str(path), "--model", str(llama), "--batch-size", "1", "-t", "1", *FEW]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    with process.stderr as stderr:
        assert b"Traceback" not in stderr.read()
    assert process.wait() == 141


def test_motifs_and_lengths_in_bases(run, tmp_path, tiny_model):
    path = tmp_path / "in.fa"
    path.write_text(">one\nACGTACGT\n>two\nGG\n")
    rule = ("--motif", "GAATTC", "--forbid-motif", "CCC", "--min-length", "20", "--max-length", "30")
    result = run("generate", path, "--model", tiny_model("llama-dna"), *rule, "--device", "cpu")
    assert result.exit_code == 0
    for sequence in result.stdout.splitlines()[1::2]:
        assert 20 <= len(sequence) <= 30
        assert "GAATTC" in sequence and "CCC" not in sequence


@pytest.mark.parametrize("way", [("--decoder", "plain"), ("--search", "beam"), ()])
def test_nucleotides_are_plain_bases_unless_asked_for(run, tmp_path, tiny_model, way):
    path = tmp_path / "in.fa"
    path.write_text(">one\nACGTACGT\n>two\nGG\n>three\nTTGAC\n")
    asked = ("generate", path, "--model", tiny_model("llama-dna"), *way, "--max-new-tokens", "40")
    sequences = run(*asked, "--device", "cpu").stdout.splitlines()[1::2]
    assert len(sequences) == 3 and set("".join(sequences)) <= set("ACGT")
    free = run(*asked, "--device", "cpu", "--ambiguous").stdout.splitlines()[1::2]
    assert set("".join(free)) - set("ACGT"), "the model would say others"


def test_prompts_with_other_line_ends_say_the_same(run, tmp_path, tiny_model):
    path = tmp_path / "in.fa"
    found = []
    for content in (b">one\nACGTACGT\n", b">one\r\nACGTACGT\r\n", b"\xef\xbb\xbf>one\nACGTACGT\n"):
        path.write_bytes(content)
        found.append(run("generate", path, "--model", tiny_model("llama-dna"), *FEW).stdout)
    assert found[0].startswith(">one ") and len(set(found)) == 1


@pytest.mark.parametrize("name", ["dna-small", "read-encoder", "sounds-small", "speech-small"])
def test_models_that_do_not_generate_are_refused_by_name(run, name, monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *given, **asked: pytest.fail("asked"))
    result = run("generate", "--prompt", "ACGT", "--model", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{name}: the model of this name comes with seqkit, and does not generate" in result.stderr


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        ("llama-dna", ("--motif", "GAAXC"), "--motif 'GAAXC'"),
        ("llama-dna", ("--motif", "GAATTC", "--forbid-motif", "ATT"), "no sequence has the motifs"),
        ("llama-dna", ("--min-length", "9", "--max-length", "3"), "--max-length"),
        ("llama", ("--max-length", "9"), "models of nucleotides"),
    ],
)
def test_motifs_that_cannot_be_had(run, tiny_model, model, arguments, words):
    result = run("generate", "--prompt", "ACGT", "--model", tiny_model(model), *arguments, *FEW)
    assert result.exit_code == 2
    assert words in result.stderr
