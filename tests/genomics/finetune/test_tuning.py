"""Fine-tuning learns, repeats itself, stops, and leaves a folder that answers the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from seqkit import errors
from seqkit.genomics.finetune import folder, measures, rows, task, tuning
from seqkit.genomics.finetune.examples import Example
from seqkit.models import genomic
from seqkit.models.genomic import GenomicModel

Rich = Callable[..., list[Example]]


def tuned_on(
    model: GenomicModel, rich: Rich, kind: str = "classification", **options: Any
) -> tuple[folder.TunedModel, tuning.History]:
    train, dev = rich(120, seed=1, kind=kind), rich(40, seed=2, kind=kind)
    posed = task.task_of(kind, train, ["label"])
    given = {"epochs": 6, "learning_rate": 3e-3, "batch_size": 16, **options}
    return tuning.tune(model, train, dev, posed, tuning.TuneConfig(**given))


def measured(tuned: folder.TunedModel, examples: list[Example], name: str) -> float:
    targets = task.targets_of(tuned.task, examples)
    return measures.measures_of(tuned.task, targets, tuned.probabilities(examples))[name](None)


@pytest.mark.parametrize(
    ("kind", "name", "least"),
    [
        ("classification", "mcc", 0.8),
        ("multilabel", "f1", 0.8),
        ("regression", "pearson", 0.85),
        ("tokens", "accuracy", 0.85),
    ],
)
def test_it_learns_what_is_there_to_learn(
    model: GenomicModel, rich: Rich, kind: str, name: str, least: float
) -> None:
    tuned, history = tuned_on(model, rich, kind)
    assert measured(tuned, rich(60, seed=3, kind=kind), name) > least
    assert history.steps == len(history.losses) <= history.planned_steps


def test_chance_is_not_learnt(model: GenomicModel, rich: Rich) -> None:
    """Labels that say nothing give a measure near chance on sequences that were not seen."""
    rng = np.random.default_rng(0)
    train, dev, test = (
        [
            Example(name=e.name, letters_L=e.letters_L, texts=(str(rng.integers(2)),), file="", place="")
            for e in rich(size, seed=seed)
        ]
        for size, seed in ((80, 1), (40, 2), (200, 3))
    )
    posed = task.task_of("classification", train, ["label"])
    tuned, _ = tuning.tune(model, train, dev, posed, tuning.TuneConfig(epochs=3, learning_rate=1e-3))
    assert abs(measured(tuned, test, "mcc")) < 0.25


@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"both_strands": True}])
def test_a_seed_repeats_itself(
    tiny_genomic: Callable[..., Path], rich: Rich, options: dict[str, Any]
) -> None:
    def answers(seed: int) -> np.ndarray:
        model = genomic.load(str(tiny_genomic("encoder", "3mer")), device="cpu")
        tuned, _ = tuned_on(model, rich, epochs=2, seed=seed, **options)
        return np.stack(tuned.answers(rich(6, seed=4)))

    torch.manual_seed(11)
    first = answers(0)
    torch.manual_seed(12)
    np.testing.assert_array_equal(answers(0), first)
    assert not np.allclose(answers(1), first)


def test_low_rank_updates_are_merged(model: GenomicModel, rich: Rich) -> None:
    names = {name for name, _ in model.network.named_parameters()}
    embedding = model.network.embed_tokens.weight.detach().clone()
    tuned, _ = tuned_on(model, rich, rank=4, epochs=10, patience=10)
    assert {name for name, _ in tuned.base.network.named_parameters()} == names
    assert torch.equal(tuned.base.network.embed_tokens.weight, embedding)
    assert measured(tuned, rich(60, seed=3), "mcc") > 0.7


def test_it_stops_without_gain_and_keeps_the_best_weights(model: GenomicModel, rich: Rich) -> None:
    tuned, history = tuned_on(model, rich, epochs=60, patience=2, learning_rate=1e-2)
    assert history.steps < history.planned_steps
    best = max(history.evaluations, key=lambda found: (found["mcc"], -found["dev loss"]))
    assert history.best_step == best["step"]
    assert measured(tuned, rich(40, seed=2), "mcc") == pytest.approx(best["mcc"])


def test_time_shortens_the_schedule(model: GenomicModel, rich: Rich) -> None:
    _, history = tuned_on(model, rich, epochs=100_000, minutes=0.01, patience=10_000)
    assert history.planned_steps < 8 * 100_000
    assert history.seconds < 10
    assert history.evaluations[-1]["step"] == history.steps


def test_calibration_is_no_worse(model: GenomicModel, rich: Rich) -> None:
    tuned, _ = tuned_on(model, rich, epochs=20, learning_rate=1e-2, patience=20)
    dev = rich(40, seed=2)
    truth = np.array(task.targets_of(tuned.task, dev))

    def loss(temperature: float) -> float:
        shares = np.stack([task.probabilities(tuned.task, a, temperature) for a in tuned.answers(dev)])
        return float(-np.log(shares[np.arange(len(truth)), truth] + 1e-30).mean())

    assert loss(tuned.temperature) <= loss(1.0) + 1e-6


def test_half_precision_learns_and_keeps_float32(model: GenomicModel, rich: Rich) -> None:
    tuned, _ = tuned_on(model, rich, dtype="bfloat16")
    assert tuned.base.network.dtype == torch.float32
    assert measured(tuned, rich(60, seed=3), "mcc") > 0.7


def test_padding_and_company_do_not_change_an_answer(model: GenomicModel, rich: Rich) -> None:
    for kind in ("classification", "tokens"):
        tuned, _ = tuned_on(model, rich, kind, epochs=1)
        some = rich(9, seed=5, kind=kind)
        for example, together in zip(some, tuned.answers(some), strict=True):
            np.testing.assert_allclose(tuned.answers([example])[0], together, atol=1e-5)


def test_both_strands_make_a_sequence_and_its_complement_one(model: GenomicModel, rich: Rich) -> None:
    tuned, _ = tuned_on(model, rich, epochs=1, both_strands=True)
    some = rich(5, seed=6)
    turned = [
        Example(
            name=e.name,
            letters_L=np.frombuffer(
                e.letters_L.tobytes().translate(bytes.maketrans(b"ACGT", b"TGCA"))[::-1], dtype=np.uint8
            ),
            texts=e.texts,
            file=e.file,
            place=e.place,
        )
        for e in some
    ]
    np.testing.assert_allclose(np.stack(tuned.answers(some)), np.stack(tuned.answers(turned)), atol=1e-5)


def test_every_base_has_the_answer_of_its_token(model: GenomicModel) -> None:
    letters_L = np.frombuffer(b"ACGTACGTAC", dtype=np.uint8)
    example = Example(name="", letters_L=letters_L, texts=(), file="", place="")
    row = rows.rows_of(model, [example])[0]
    assert row.owner_L.size == 10
    assert row.owner_L.min() >= len(model.before)
    assert row.owner_L.max() < row.ids_T.size - len(model.after)
    assert (np.diff(row.owner_L) >= 0).all()


def long_and_empty(letters: bytes, label: str = "0") -> Example:
    return Example(
        name="x",
        letters_L=np.frombuffer(letters, dtype=np.uint8),
        texts=(label,),
        file="long.csv",
        place="line 9",
    )


def test_beyond_the_context_is_refused_or_cut(model: GenomicModel, rich: Rich) -> None:
    long = long_and_empty(b"ACGT" * 100)
    with pytest.raises(errors.DataError, match=r"long.csv, record line 9|long.csv: line 9") as caught:
        rows.rows_of(model, [long])
    assert "--truncate" in str(caught.value)
    row = rows.rows_of(model, [long], truncate=True)[0]
    assert row.ids_T.size <= model.context
    assert 0 < row.owner_L.size < 400


def test_empty_ambiguous_and_short_sequences_have_answers(model: GenomicModel, rich: Rich) -> None:
    for kind in ("classification", "tokens"):
        tuned, _ = tuned_on(model, rich, kind, epochs=1)
        some = [long_and_empty(b""), long_and_empty(b"A"), long_and_empty(b"NNNNRYN")]
        found = tuned.probabilities(some)
        assert all(np.isfinite(share).all() for share in found)
        if kind == "tokens":
            assert [len(share) for share in found] == [0, 1, 7]


def test_what_cannot_be_tuned_is_told(model: GenomicModel, rich: Rich) -> None:
    train = rich(8)
    posed = task.task_of("classification", train, ["label"])
    with pytest.raises(errors.DataError, match="dev split is empty"):
        tuning.tune(model, train, [], posed, tuning.TuneConfig())
    with pytest.raises(errors.DataError, match="nothing to train on"):
        tuning.tune(model, [], train, posed, tuning.TuneConfig())
    with pytest.raises(errors.UsageError, match="pooling 'max'"):
        tuning.tune(model, train, train, posed, tuning.TuneConfig(pooling="max"))


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 0},
        {"patience": 0},
        {"batch_size": 0},
        {"rank": -1},
        {"seed": -1},
        {"dropout": 1.0},
        {"minutes": 0.0},
        {"learning_rate": 0.0},
        {"dtype": "float16"},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(errors.UsageError):
        tuning.TuneConfig(**options)


def saved(model: GenomicModel, rich: Rich, where: Path, **options: Any) -> folder.TunedModel:
    tuned, _ = tuned_on(model, rich, epochs=1, **options)
    folder.save(where, tuned, {}, card="A card.\n", replace=False)
    return tuned


@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"pooling": "mean+max"}, {"both_strands": True}])
def test_a_folder_answers_as_what_was_saved(
    model: GenomicModel, rich: Rich, tmp_path: Path, options: dict[str, Any]
) -> None:
    tuned = saved(model, rich, tmp_path / "m", **options)
    loaded = folder.load(str(tmp_path / "m"), device="cpu")
    some = rich(5, seed=9)
    np.testing.assert_allclose(
        np.stack(loaded.probabilities(some)), np.stack(tuned.probabilities(some)), atol=1e-6
    )
    assert loaded.temperature == tuned.temperature
    # Every other command can load the folder as a model of nucleotides.
    assert genomic.load(str(tmp_path / "m"), device="cpu").tokenizer.vocab_size == model.tokenizer.vocab_size


def change(path: Path, **changes: Any) -> None:
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "another"},
        {"task": None},
        {"task": {"kind": "classification"}},
        {"task": {"kind": "classification", "labels": ["a", "a"], "center": 0, "scale": 1}},
        {"task": {"kind": "ranking", "labels": ["a", "b"], "center": 0, "scale": 1}},
        {"task": {"kind": "classification", "labels": ["a", "b"], "center": 0, "scale": -1}},
        {"task": {"kind": "classification", "labels": ["a", "b"], "center": "x", "scale": 1}},
        {"task": {"kind": "classification", "labels": ["a", "b", "c"], "center": 0, "scale": 1}},
        {"temperature": 0},
        {"temperature": "hot"},
        {"pooling": "max"},
    ],
)
def test_a_damaged_task_is_told(
    model: GenomicModel, rich: Rich, tmp_path: Path, changes: dict[str, Any]
) -> None:
    saved(model, rich, tmp_path / "m")
    change(tmp_path / "m" / folder.TASK, **changes)
    with pytest.raises(errors.DataError):
        folder.load(str(tmp_path / "m"), device="cpu")


def test_a_damaged_head_is_told(model: GenomicModel, rich: Rich, tmp_path: Path) -> None:
    saved(model, rich, tmp_path / "m")
    head = tmp_path / "m" / folder.HEAD
    safetensors.torch.save_file({"linear.weight": torch.zeros(2, 3)}, head)
    with pytest.raises(errors.DataError, match="does not fit"):
        folder.load(str(tmp_path / "m"), device="cpu")
    head.write_bytes(b"no tensors")
    with pytest.raises(errors.DataError, match="cannot be read"):
        folder.load(str(tmp_path / "m"), device="cpu")
    head.unlink()
    with pytest.raises(errors.DataError, match="cannot be read"):
        folder.load(str(tmp_path / "m"), device="cpu")
    with pytest.raises(errors.UsageError, match="not a fine-tuned model"):
        folder.load(str(tmp_path), device="cpu")
