"""A run from manifest and texts to a folder that describes: it learns, goes on, keeps tests out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from seqkit import errors
from seqkit.audio.captioning import folder, training
from seqkit.audio.captioning.describer import CaptionDescriber, DescribeConfig
from seqkit.audio.captioning.recipe import Recipe, load_recipe, recipe_names
from seqkit.audio.encoders import kinds
from seqkit.audio.encoders.conv import ConvConfig, ConvEncoder
from seqkit.audio.features import LogMelConfig
from seqkit.training import loop

RATE = 8000
MEL = LogMelConfig(rate=RATE, n_fft=256, window=200, hop=80, mels=16, fmax=4000.0)
RECIPE = """
name = "toy"
encoder = "encoder"
manifest = "manifest.jsonl"
texts = "texts.txt"
vectors = "vectors.safetensors"
batch = 8
views = 2
mixtures = 4
seed = 3
[model]
vocab_size = 300
d_model = 16
heads = 2
decoder_layers = 1
adapter_blocks = 1
frame_width = 16
sentence_width = 6
max_tokens = 24
dropout = 0.1
[sentence]
vocab_size = 300
d_model = 16
heads = 2
layers = 1
width = 6
[loop]
steps = 5
learning_rate = 5e-3
warmup = 2
evaluate_every = 0
[sentence_loop]
steps = 5
learning_rate = 5e-3
warmup = 2
evaluate_every = 0
"""


class Stopped(Exception):
    pass


def load(path: Path, rate: int) -> np.ndarray:
    """Dogs bark low, rain is noise, by their files' names; nothing is read."""
    assert "secret" not in path.name, "a clip of the test was listened to"
    rng = np.random.default_rng(int(path.stem[-2:]))
    time_S = np.arange(rate // 2) / rate
    dog_S = np.sin(2 * np.pi * rng.uniform(200, 400) * time_S)
    return (dog_S if "dog" in path.stem else 0.5 * rng.normal(size=len(time_S))).astype(np.float32)


def never(path: Path, rate: int) -> np.ndarray:
    raise AssertionError("what was heard is kept")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight sounds to train on, two that are not, 600 texts."""
    path = tmp_path_factory.mktemp("toys")
    rows = [
        {
            "file": f"{'secret' if number > 7 else 'a'}-{('dog', 'rain')[number % 2]}-{number:02}.wav",
            "seconds": 0.5,
            "classes": [("Dog", "Rain")[number % 2]],
            "label": ("dog-bark", "rain")[number % 2],
            "split": ("train", "test", "held-out")[max(0, number - 7)],
            "source": "toys",
        }
        for number in range(10)
    ]
    (path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{('a dog barks', 'rain falls')[number % 2]} {number} times" for number in range(600)]
    (path / "texts.txt").write_text("".join(f"{line}\n" for line in lines))
    vectors = torch.randn(600, 6, generator=torch.Generator().manual_seed(0))
    vectors = torch.nn.functional.normalize(vectors, dim=-1).half()
    safetensors.torch.save_file({"vectors": vectors}, path / "vectors.safetensors")
    torch.manual_seed(0)
    encoder = ConvEncoder(ConvConfig(mel=MEL, multiplier=0.25, width=16)).eval()
    kinds.save(path / "encoder", encoder, card="")
    (path / "toy.toml").write_text(RECIPE)
    return path


def recipe(data: Path, **changes: Any) -> Recipe:
    return load_recipe(str(data / "toy.toml"), **changes)


def run(data: Path, out: Path, *, changes: dict[str, Any] | None = None, **options: Any) -> training.Result:
    return training.train_captions(
        recipe(data, **(changes or {})), out=out, data=data, **{"load": load, **options}
    )


@pytest.fixture(scope="session")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, training.Result]:
    """A run that nothing stopped; what it listened to is what tells that tests stay out."""
    out = tmp_path_factory.mktemp("whole")
    return out, run(data, out)


def test_a_run_makes_a_folder_that_describes(whole: tuple[Path, training.Result]) -> None:
    out, result = whole
    assert result.finished and result.caption is not None and len(result.caption.losses) == 5
    parts = folder.load_parts(out)
    own = CaptionDescriber(parts, DescribeConfig(candidates=2, most_tokens=6))
    [captions] = own.describe([load(Path("dog-00"), RATE)])
    assert captions[0].text and own.rate == RATE
    assert "| toys | 8 |" in (out / "README.md").read_text()
    assert (out / "recipe.toml").read_text() == RECIPE
    assert (out / training.RUN / "curves.png").is_file()


@pytest.mark.parametrize("stage", ["sentences", "captions"])
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    data: Path, tmp_path: Path, whole: tuple[Path, training.Result], stage: str
) -> None:
    def stop(what: str, progress: Any, steps: int) -> None:
        if what == stage and progress.step == 3:
            raise Stopped

    with pytest.raises(Stopped):
        run(data, tmp_path, on_step=stop)
    assert not (tmp_path / "model.safetensors").exists()
    again = run(data, tmp_path, load=load if stage == "sentences" else never)
    uncut = whole[1]
    assert again.caption is not None and uncut.caption is not None
    assert again.sentence.losses == pytest.approx(uncut.sentence.losses, rel=1e-5)
    assert again.caption.losses == pytest.approx(uncut.caption.losses, rel=1e-5)


def test_time_is_counted_for_this_session(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = run(data, tmp_path, minutes=0.0)
    assert not none.finished and none.caption is None
    trained, asked = loop.train, []

    def after_an_hour_before(*arguments: Any, **options: Any) -> loop.Progress:
        asked.append(options["minutes"])
        progress = trained(*arguments, **options)
        progress.seconds += 3600
        return progress

    monkeypatch.setattr(training.loop, "train", after_an_hour_before)
    assert run(data, tmp_path, minutes=5.0).finished
    assert asked[0] == 5.0 and 4.0 < asked[1] < 5.0


def test_sound_and_sentence_encoders_stay_as_they_are(
    data: Path, whole: tuple[Path, training.Result]
) -> None:
    before, after = kinds.load(data / "encoder"), folder.load_parts(whole[0]).encoder
    for name, tensor in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], tensor, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"infonce": 0.0},
        {"mixtures": 0},
        {"text_share": 0.0},
        {"drop": 0.0},
        {"smoothing": 0.0},
        {"spec_augment": False},
    ],
)
def test_every_ingredient_has_a_switch_that_changes_the_loss(
    data: Path, tmp_path: Path, whole: tuple[Path, training.Result], changes: dict[str, Any]
) -> None:
    result = run(data, tmp_path, changes={"steps": 1, **changes})
    assert result.caption is not None and whole[1].caption is not None
    # The first loss: the schedule, which is shorter here, has had no say in it.
    assert np.isfinite(result.caption.losses[0])
    same = result.caption.losses[0] == pytest.approx(whole[1].caption.losses[0], rel=1e-5)
    assert same == (not changes)


def test_it_learns(data: Path, tmp_path: Path) -> None:
    result = run(data, tmp_path, changes={"steps": 40})
    assert result.caption is not None
    losses = result.caption.losses
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_checkpoint_of_another_recipe_is_refused(data: Path, whole: tuple[Path, training.Result]) -> None:
    with pytest.raises((errors.DataError, errors.UsageError)):
        run(data, whole[0], changes={"seed": 4})


def test_files_that_do_not_fit_are_named(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "data"
    broken.mkdir()
    for name in ("encoder", "manifest.jsonl", "texts.txt"):
        (broken / name).symlink_to(data / name)
    with pytest.raises(errors.DataError, match="vectors"):
        run_in(broken, tmp_path / "a", data)
    safetensors.torch.save_file({"vectors": torch.zeros(3, 6)}, broken / "vectors.safetensors")
    with pytest.raises(errors.DataError, match="600 texts"):
        run_in(broken, tmp_path / "b", data)


def run_in(folder_of_data: Path, out: Path, recipe_at: Path) -> None:
    training.train_captions(recipe(recipe_at), out=out, data=folder_of_data, load=load)


def test_recipes_of_the_package_are_recipes() -> None:
    assert "sounds-small" in recipe_names()
    for name in recipe_names():
        assert load_recipe(name).loop.steps > 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("batch = 0", "batch"),
        ("text_share = 1.0", "text_share"),
        ("temperature = 0.0", "temperature"),
        ("nonsense = 1", "nonsense"),
        ("[model]\nsentence_width = 7", "one width"),
        ("= =", "not a recipe"),
    ],
)
def test_wrong_recipes_are_refused(tmp_path: Path, more: str, words: str) -> None:
    path = tmp_path / "wrong.toml"
    head = "".join(f'{key} = "x"\n' for key in ("name", "encoder", "manifest", "texts", "vectors"))
    path.write_text(f"{head}{more}\n[loop]\nsteps = 1\n[sentence_loop]\nsteps = 1\n")
    with pytest.raises(errors.UsageError, match=words):
        load_recipe(str(path))
