"""`seqkit caption eval`: tables and JSON on standard output, clear errors, the control."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAID = """file\tstart\tend\tscore\ttext
clips/one.wav\t0.000\t5.000\t0.9000\ta dog barks
clips/two.wav\t0.000\t5.000\t0.8000\train falls on a roof
clips/three.wav\t0.000\t5.000\t0.7000\tbirds sing in a tree
"""
PEOPLE = """file_name,caption_1,caption_2
one.wav,a dog barks,a dog is barking
two.wav,rain falls on a roof,it rains on a roof
three.wav,birds sing in a tree,birds are singing
"""
METRICS = ("CIDEr-D", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "faulty language")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    said, people = tmp_path / "said.tsv", tmp_path / "people.csv"
    said.write_text(SAID)
    people.write_text(PEOPLE)
    return said, people


def test_the_table_has_every_metric_and_says_what_was_not_run(
    run: Callable[..., Any], files: tuple[Path, Path]
) -> None:
    result = run("caption", "eval", *files, "--model", "none")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert "95 % interval over 3 clips" in lines[0]
    for name, line in zip((*METRICS, "SPICE", "SPIDEr"), lines[1:], strict=True):
        assert line.startswith(name)
    assert all("not run" in line and not any(map(str.isdigit, line)) for line in lines[-2:])


def test_json_has_the_values_of_the_table_and_the_control_is_worse(
    run: Callable[..., Any], files: tuple[Path, Path]
) -> None:
    own = json.loads(run("caption", "eval", *files, "--model", "none", "--json").stdout)
    assert (own["clips"], own["shuffled"], set(own["scores"])) == (3, None, set(METRICS))
    assert set(own["not run"]) == {"SPICE", "SPIDEr"}
    assert own["scores"]["BLEU-4"]["value"] == 1 == own["scores"]["ROUGE-L"]["value"]
    control = json.loads(run("caption", "eval", *files, "--model", "none", "--json", "--shuffled", 3).stdout)
    assert control["shuffled"] == 3
    for name in ("CIDEr-D", "BLEU-1", "ROUGE-L"):
        assert control["scores"][name]["value"] < own["scores"][name]["value"]


def test_captions_without_references_are_told_and_left_out(
    run: Callable[..., Any], files: tuple[Path, Path]
) -> None:
    before = run("caption", "eval", *files, "--model", "none")
    files[0].write_text(SAID + "clips/four.wav\t0.000\t5.000\t0.7000\twind blows\n")
    after = run("caption", "eval", *files, "--model", "none")
    assert after.stdout == before.stdout
    assert after.stderr == "seqkit: 1 captions without references left out: four\n"


@pytest.mark.parametrize(
    ("said", "people", "code", "told"),
    [
        (SAID.replace("clips/two.wav", "clips/2.wav"), PEOPLE, 1, "no caption for two"),
        (SAID.replace("two", "one"), PEOPLE, 1, "captions 'one' twice"),
        (SAID, PEOPLE.replace("two.wav", "one.flac"), 1, "names 'one' twice"),
        ("", PEOPLE, 1, "holds no rows"),
        (SAID, "file_name,caption_1\none.wav,a dog barks\n", 2, "at least two clips"),
    ],
)
def test_what_cannot_be_judged_is_told_in_one_line(
    run: Callable[..., Any], files: tuple[Path, Path], said: str, people: str, code: int, told: str
) -> None:
    files[0].write_text(said)
    files[1].write_text(people)
    result = run("caption", "eval", *files, "--model", "none")
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr.splitlines()[-1] and "Traceback" not in result.stderr


def test_files_and_models_that_are_not_there(
    run: Callable[..., Any], files: tuple[Path, Path], tmp_path: Path
) -> None:
    result = run("caption", "eval", tmp_path / "none.tsv", files[1])
    assert result.exit_code == 1 and "none.tsv" in result.stderr
    result = run("caption", "eval", *files, "--model", tmp_path / "nomodel")
    assert result.exit_code in (1, 2) and "nomodel" in result.stderr
    assert run("caption", "eval", *files, "--shuffled", -1).exit_code == 2


@pytest.mark.needs_dev_data
def test_people_agree_with_each_other_far_more_than_with_shuffled_captions(
    run: Callable[..., Any], dev_data: Path, tmp_path: Path
) -> None:
    table = (dev_data / "caption" / "human" / "captions.csv").read_text(encoding="utf-8")
    said, people = tmp_path / "said.csv", tmp_path / "people.csv"
    people.write_text(table.replace("caption_1", "own", 1), encoding="utf-8")
    said.write_text(table.replace("caption_1", "text", 1), encoding="utf-8")
    values = [
        json.loads(run("caption", "eval", said, people, "--model", "none", "--json", *control).stdout)
        for control in ((), ("--shuffled", "1"))
    ]
    own, chance = (value["scores"]["CIDEr-D"] for value in values)
    assert values[0]["clips"] == 17 and own["low"] > chance["high"]
