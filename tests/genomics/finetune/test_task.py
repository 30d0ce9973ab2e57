"""Kinds of tasks: labels to numbers and back."""

import numpy as np
import pytest
import torch

from seqkit import errors
from seqkit.genomics.finetune import measures, task
from seqkit.genomics.finetune.examples import Example
from seqkit.genomics.finetune.task import Task


def examples(*texts: str | tuple[str, ...], letters: bytes = b"ACGT") -> list[Example]:
    return [
        Example(
            name=str(number),
            letters_L=np.frombuffer(letters, dtype=np.uint8),
            texts=(text,) if isinstance(text, str) else text,
            file="a.csv",
            place=f"line {number}",
        )
        for number, text in enumerate(texts, start=2)
    ]


def test_classes_are_in_order() -> None:
    assert task.task_of("classification", examples("b", "a", "b"), ["label"]).labels == ("a", "b")
    assert task.task_of("classification", examples("10", "-1", "9"), ["label"]).labels == ("-1", "9", "10")
    posed = Task(kind="classification", labels=("a", "b"))
    assert [int(target) for target in task.targets_of(posed, examples("b", "a"))] == [1, 0]


def test_several_labels_in_one_text_or_in_columns() -> None:
    posed = task.task_of("multilabel", examples("b; a", "", "c"), ["label"])
    assert posed.labels == ("a", "b", "c")
    assert np.stack(task.targets_of(posed, examples("c;a;", ""))).tolist() == [[1, 0, 1], [0, 0, 0]]
    columns = task.task_of("multilabel", examples(("0", "1"), ("1", "1")), ["x", "y"])
    assert columns.labels == ("x", "y")
    assert task.targets_of(columns, examples(("0", "1")))[0].tolist() == [0, 1]


def test_numbers_are_scaled_and_come_back() -> None:
    posed = task.task_of("regression", examples("10", "-2e1", "1.5"), ["label"])
    targets = torch.tensor([float(text) for text in ("10", "-20", "1.5")])
    answers = (targets - posed.center) / posed.scale
    assert float(task.loss_of(posed, answers[:, None], targets)) == pytest.approx(0, abs=1e-9)
    back = task.probabilities(posed, answers[:, None].numpy())
    np.testing.assert_allclose(back[:, 0], targets, rtol=1e-5)


def test_a_label_for_every_base() -> None:
    posed = task.task_of("tokens", examples("EEIE"), ["label"])
    assert posed.labels == ("E", "I") and posed.per_base
    assert task.targets_of(posed, examples("IEEE"))[0].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "texts", "columns", "words"),
    [
        ("classification", ("a", "a"), ["label"], "1 different labels"),
        ("classification", ("a", ""), ["label"], "line 3: the label is empty"),
        ("regression", ("1", "x"), ["label"], "line 3: the label 'x' is not a finite number"),
        ("regression", ("1", "inf"), ["label"], "'inf' is not a finite"),
        ("regression", ("2", "2"), ["label"], "the same number"),
        ("tokens", ("EEI",), ["label"], "line 2: 3 labels for 4 bases"),
        ("multilabel", ("", ""), ["label"], "0 different labels"),
    ],
)
def test_bad_labels_name_file_and_row(kind: str, texts: tuple, columns: list[str], words: str) -> None:
    with pytest.raises(errors.DataError, match=words) as caught:
        task.task_of(kind, examples(*texts), columns)
    assert "a.csv" in str(caught.value)


def test_bad_labels_of_another_split() -> None:
    posed = Task(kind="classification", labels=("a", "b"))
    with pytest.raises(errors.DataError, match="line 2: the label 'c' does not occur"):
        task.targets_of(posed, examples("c"))
    columns = Task(kind="multilabel", labels=("x", "y"))
    with pytest.raises(errors.DataError, match="'2' is neither 0 nor 1"):
        task.targets_of(columns, examples(("2", "1")))


def test_bad_questions() -> None:
    with pytest.raises(errors.UsageError, match="'ranking'"):
        task.task_of("ranking", examples("a"), ["label"])
    with pytest.raises(errors.UsageError, match="one label column"):
        task.task_of("classification", examples(("a", "b")), ["x", "y"])
    with pytest.raises(errors.UsageError, match="not measured by 'r2'"):
        measures.first_measure(Task(kind="tokens", labels=("a", "b")), "r2")


@pytest.mark.parametrize("kind", task.KINDS)
def test_perfect_answers_have_perfect_measures(kind: str) -> None:
    rng = np.random.default_rng(0)
    posed = Task(kind=kind, labels=() if kind == "regression" else ("a", "b", "c"))
    classes = rng.integers(3, size=20)
    one_hot = np.eye(3)[classes]
    targets, shares = {
        "classification": (list(classes), list(one_hot)),
        "multilabel": (list(one_hot), list(one_hot)),
        "regression": (list(classes.astype(float)), list(classes[:, None].astype(float))),
        "tokens": ([classes, classes[:4]], [one_hot, one_hot[:3]]),
    }[kind]
    found = measures.scores(posed, targets, shares, np.random.default_rng(0))
    assert set(found) == set(measures.NAMES[kind])
    assert all(score.value == pytest.approx(1.0) for score in found.values())
