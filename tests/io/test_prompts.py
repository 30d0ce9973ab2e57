"""Prompts from text and from sequence files, and files that hold none."""

import gzip
from pathlib import Path

import pytest

from seqkit import errors
from seqkit.io import prompts


def write(folder: Path, content: bytes) -> Path:
    path = folder / "prompts"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"A dog\nRain on a roof\n", ["A dog", "Rain on a roof"]),
        (b"A dog", ["A dog"]),
        ("one\u2028line\x0bonly".encode(), ["one\u2028line\x0bonly"]),
        (b"A dog\r\nRain\r\n\r\n\n", ["A dog", "Rain"]),
        ("\ufeffcafé\n".encode(), ["café"]),
        (b"@home with the dog\n", ["@home with the dog"]),
        (gzip.compress(b"A dog\n"), ["A dog"]),
        (b"A dog\rstill\nRain", ["A dog\rstill", "Rain"]),
    ],
)
def test_lines(content: bytes, texts: list[str], tmp_path: Path) -> None:
    found = prompts.read_prompts(write(tmp_path, content))
    assert [prompt.text for prompt in found] == texts
    assert [prompt.name for prompt in found] == [str(number) for number in range(1, len(texts) + 1)]
    assert not any(prompt.is_sequence for prompt in found)


@pytest.mark.parametrize(
    "content", [b">one first\nacg\nuT\n>two\nGG\n", b"@one\nACGTT\n+\nIIIII\n@two\nGG\n+\nII\n"]
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_sequences(content: bytes, newline: bytes, mark: bytes, tmp_path: Path) -> None:
    found = prompts.read_prompts(write(tmp_path, mark + content.replace(b"\n", newline)))
    assert [(prompt.name, prompt.text) for prompt in found] == [("one", "ACGTT"), ("two", "GG")]
    assert all(prompt.is_sequence for prompt in found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "prompts: there is no prompt in it"),
        (b"\n \n", "prompts: there is no prompt in it"),
        (b"A dog\n \nRain\n", "prompts: line 2: the prompt is empty"),
        (b">one\n>two\nAC\n", "prompts: one: the prompt is empty"),
        (b"A dog\n\xff\xfe\n", "prompts: line 2: neither UTF-8 text nor sequences"),
        (b"@one\nACGT\n+\nII\n", "one"),
        (b"A dog\rRain\r", "prompts: line ends are bare carriage returns"),
        (b">one\rACGT\r", "prompts: line ends are bare carriage returns"),
    ],
)
def test_what_holds_no_prompt(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(errors.DataError) as caught:
        prompts.read_prompts(write(tmp_path, content))
    assert message in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match="no such file"):
        prompts.read_prompts(tmp_path / "nothing")
