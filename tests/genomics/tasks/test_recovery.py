"""Recovery of continuations: what baselines may know, what counts, what is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqkit import errors
from seqkit.genomics.tasks import recovery, recovery_report
from seqkit.genomics.tasks.recovery import Recovery, RecoveryConfig

HELD_OUT = "g:4001-6000"


def write(path: Path, text: str) -> Path:
    path.write_text(f">g\n{text}\n>other\n{'ACGGT' * 40}\n")
    return path


@pytest.fixture
def config(tmp_path: Path, tiny_genomic: Callable[..., Path]) -> RecoveryConfig:
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("ACGT"), 6000))
    return RecoveryConfig(
        model=str(tiny_genomic("decoder", "6mer")),
        ref=write(tmp_path / "genome.fa", text),
        held_out=HELD_OUT,
        out=tmp_path / "out",
        lengths=(48, 96),
        prompts=10,
        order=4,
        decoders=(),
        orfs=0,
        device="cpu",
    )


def shares(found: Recovery) -> dict[tuple[int, str], float]:
    return {(one.length, one.method): float(np.mean(one.shares)) for one in found.recovered}


def test_what_repeats_is_recovered_by_what_can_know_it(config: RecoveryConfig, tmp_path: Path) -> None:
    unit = "".join(np.random.default_rng(1).choice(list("ACGT"), 40))
    repeats = dataclasses.replace(config, ref=write(tmp_path / "r.fa", unit * 150), order=8)
    found = shares(recovery.measure(repeats))
    assert found[96, "markov"] > 0.9 and found[96, "copy"] == 1.0
    assert found[48, "frequent"] < 0.6
    # The rest of this file holds nothing of what is held out, so that counting it does not help.
    rng = np.random.default_rng(2)
    other = "".join(rng.choice(list("ACGT"), 4000))
    apart = dataclasses.replace(repeats, ref=write(tmp_path / "a.fa", other + unit * 50))
    found = shares(recovery.measure(apart))
    assert found[96, "markov"] < 0.6 and found[96, "copy"] == 1.0


def test_the_same_seed_measures_the_same_places_for_all_lengths(config: RecoveryConfig) -> None:
    one, same = recovery.measure(config), recovery.measure(config)
    other = recovery.measure(dataclasses.replace(config, seed=1))
    assert shares(one) == shares(same) != shares(other)
    # The continuations are those of both lengths: one base recovers of both the same.
    assert shares(one)[48, "frequent"] == shares(one)[96, "frequent"]
    assert [each.method for each in one.recovered] == [*recovery.METHODS] * 2
    assert all(len(each.shares) == 10 for each in one.recovered)


def test_frames_that_stand_there_are_open_and_others_are_not(config: RecoveryConfig) -> None:
    asked = dataclasses.replace(config, orfs=12, orf_least=72, orf_prompt=60, orf_new=24, prompts=1)
    frames = {each.prompt: each for each in recovery.measure(asked).frames}
    assert tuple(frames) == recovery.CONTROLS
    true = frames["true"]
    assert all(true.open[0]) and true.complete == len(true.open[0]) <= 12
    assert not all(true.open[1]) and not all(true.open[2])
    again = {each.prompt: each for each in recovery.measure(asked).frames}
    assert again == frames


def test_bases_that_do_not_come_count_as_wrong() -> None:
    truth = np.array([0, 1, 2, 3])
    assert recovery.share(np.array([0, 1]), truth) == 0.5
    assert recovery.share(np.array([0, 4, 2, 0, 3]), truth) == 0.5
    assert recovery.share(np.array([], dtype=np.int64), truth) == 0.0


def test_the_report_compares_with_the_best_baseline(config: RecoveryConfig) -> None:
    found = recovery.measure(config)
    rows = recovery_report.rows(found)
    values = {(row.length, row.method): row.score.value for row in rows}
    for row in rows:
        assert row.score.low <= row.score.value <= row.score.high
        if row.method == "model":
            best = max(values[row.length, method] for method in recovery.METHODS[1:])
            assert row.ahead is not None
            assert row.ahead.value == pytest.approx(row.score.value - best)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"held_out": "x:1-2000"}, "names no region"),
        ({"held_out": "g:5000-7000"}, "outside"),
        ({"held_out": "g:1-100"}, "fewer than prompt and continuation"),
        ({"prompts": 0}, "not positive"),
        ({"lengths": ()}, "not positive"),
        ({"order": 40}, "order"),
        ({"order": -1}, "order"),
        ({"decoders": ("fast",)}, "'fast'"),
        ({"decoders": ("speculative",)}, "speculative"),
        ({"orfs": 5, "orf_least": 1200}, "no open reading frame"),
        ({"orf_new": 3}, "reading frames need"),
        ({"lengths": (600,)}, "tokens"),
        ({"model": "gone"}, "gone"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    config: RecoveryConfig, change: dict[str, object], words: str
) -> None:
    with pytest.raises((errors.UsageError, errors.DataError)) as caught:
        recovery.measure(dataclasses.replace(config, **change))  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_a_model_that_does_not_continue_is_refused(
    config: RecoveryConfig, tiny_genomic: Callable[..., Path], tiny_model: Callable[[str], Path]
) -> None:
    for model in (tiny_genomic("encoder", "6mer"), tiny_model("backbone-encdec")):
        with pytest.raises(errors.DataError, match="does not continue"):
            recovery.measure(dataclasses.replace(config, model=str(model)))


def test_a_part_without_bases_in_a_row_is_refused(config: RecoveryConfig, tmp_path: Path) -> None:
    broken = write(tmp_path / "n.fa", "ACGTACGTACGTN" * 500)
    with pytest.raises(errors.DataError, match="too few bases in a row"):
        recovery.measure(dataclasses.replace(config, ref=broken, prompts=1))
