"""Training in stages: it learns, goes on where it was stopped, and refuses another run's checkpoint."""

import dataclasses
import json
from pathlib import Path

import pytest

from seqkit import errors
from seqkit.training import loop
from seqkit.vision_speech import folder, recipe, training
from seqkit.vision_speech.batches import DisturbConfig
from seqkit.vision_speech.corpus import Example
from seqkit.vision_speech.model import SpeechConfig
from seqkit.vision_speech.objective import LossConfig
from seqkit.vision_speech.recipe import Recipe, Stage

SIZES = SpeechConfig(
    d_model=16,
    heads=2,
    feed_forward_size=32,
    audio_layers=1,
    video_layers=1,
    joint_layers=1,
    decoder_layers=1,
    visual_widths=(4, 4),
)


def stage(name: str, steps: int = 3, **changes: object) -> Stage:
    options: dict[str, object] = {
        "name": name,
        "loop": loop.LoopConfig(steps=steps, learning_rate=5e-3, warmup=2, evaluate_every=0),
        "shares": {"both": 1.0},
        "loss": LossConfig(words=0.5),
        "disturb": DisturbConfig(noisy=0.3, spans=1, span=3),
        "batch": 4,
    }
    return Stage(**{**options, **changes})  # type: ignore[arg-type]


def tiny(*stages: Stage, **changes: object) -> Recipe:
    options = {"name": "tiny", "manifest": "none", "model": SIZES, "seed": 5, "bfloat16": False, "text": "t"}
    return Recipe(**{**options, "stages": stages, **changes})  # type: ignore[arg-type]


def losses(out: Path) -> list[float]:
    told = json.loads((out / "training" / "history.json").read_text())
    return [loss for progress in told.values() for loss in progress["losses"]]


def test_stages_follow_each_other_and_leave_a_model(examples: list[Example], tmp_path: Path) -> None:
    parts = training.split(examples, frozenset({examples[0].line.name}))
    assert [example.line.name for example in parts.dev] == [examples[0].line.name]
    chosen = tiny(stage("audio", shares={"audio": 1.0}), stage("video", shares={"video": 1.0}), stage("both"))
    result = training.train_on(parts, chosen, out=tmp_path / "m")
    assert result.finished
    assert list(result.stages) == ["audio", "video", "both"]
    assert len(losses(tmp_path / "m")) == 9
    assert set(result.stages["both"].evaluations[-1]) == {"step", "both"}
    assert folder.load_model(tmp_path / "m").config == SIZES
    assert (tmp_path / "m" / "training" / "curves.png").stat().st_size > 1000
    assert "11 clips" in (tmp_path / "m" / "README.md").read_text()


def test_a_stopped_run_goes_on_to_the_same_losses(examples: list[Example], tmp_path: Path) -> None:
    parts = training.split(examples, frozenset())
    chosen = tiny(stage("one"), stage("two"))
    training.train_on(parts, chosen, out=tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(name: str, progress: loop.Progress, steps: int) -> None:
        if name == "two" and progress.step == 2:
            raise Stop

    with pytest.raises(Stop):
        training.train_on(parts, chosen, out=tmp_path / "parts", on_step=stop)
    result = training.train_on(parts, chosen, out=tmp_path / "parts")
    assert result.finished
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)


def test_it_learns_what_is_said(examples: list[Example], tmp_path: Path) -> None:
    parts = training.split(examples, frozenset())
    training.train_on(parts, tiny(stage("both", steps=40)), out=tmp_path / "m")
    told = losses(tmp_path / "m")
    assert sum(told[-5:]) < 0.6 * sum(told[:5])


def test_the_policy_gradient_is_part_of_the_loss(examples: list[Example], tmp_path: Path) -> None:
    parts = training.split(examples, frozenset())
    for objective in recipe.OBJECTIVES:
        chosen = tiny(stage("both", steps=2, objective=objective))
        training.train_on(parts, chosen, out=tmp_path / objective)
    with_policy, without = losses(tmp_path / "pcpg"), losses(tmp_path / "cross-entropy")
    assert with_policy != without
    assert with_policy == pytest.approx(without, abs=1.0)


def test_another_runs_checkpoint_and_model_are_refused(examples: list[Example], tmp_path: Path) -> None:
    parts = training.split(examples, frozenset())
    training.train_on(parts, tiny(stage("both")), out=tmp_path / "m")
    with pytest.raises(errors.DataError, match="another run"):
        training.train_on(parts, tiny(stage("both"), text="other"), out=tmp_path / "m")
    larger = tiny(stage("both"), model=dataclasses.replace(SIZES, d_model=32))
    with pytest.raises(errors.UsageError, match="other sizes"):
        training.train_on(parts, larger, out=tmp_path / "n", start=tmp_path / "m")


def test_shipped_recipes_hold_out_the_test_clips() -> None:
    chosen = recipe.load_recipe("speech-small")
    assert chosen.held_out is not None and chosen.dev is not None
    names = [
        (recipe.names_file(name, Path("nowhere")).read_text().splitlines())
        for name in (chosen.held_out, chosen.dev)
    ]
    test, dev = ({line for line in lines if not line.startswith("#")} for lines in names)
    assert len(test) == 100
    assert not test & dev


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a recipe"),
        ("name = 3\n[[stages]]\n", "not a recipe"),
        ('name="a"\nmanifest="b"\nstages=[]\n', "needs stages"),
        ('name="a"\nmanifest="b"\n[[stages]]\nname="x y"\nloop={steps=1}\nshares={audio=1}\n', "plain word"),
        ('name="a"\nmanifest="b"\n[[stages]]\nname="x"\nloop={steps=1}\nshares={smell=1}\n', "shares"),
    ],
)
def test_recipes_that_are_none_are_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(errors.UsageError, match=words):
        recipe.load_recipe(str(path))
    with pytest.raises(errors.UsageError, match="no such recipe"):
        recipe.load_recipe(str(tmp_path / "nowhere"))
