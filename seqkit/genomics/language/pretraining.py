"""Makes a model of nucleotides from a recipe: what `seqkit pretrain` does.

Knows how corpus, tokenizer, batches, model and loop fit together, and what a run leaves
behind: a model's folder, with the checkpoint, the corpus and the curves in `training/`.

Shape suffixes: see `seqkit.genomics.language.batches`.
"""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors
import torch

from seqkit import errors
from seqkit.backbone import device as devices
from seqkit.backbone.config import BackboneConfig
from seqkit.backbone.sequence import SequenceModel
from seqkit.genomics.language import architectures, batches, card, corpus, recipe, vocabulary
from seqkit.genomics.language.objective import LanguageLoss
from seqkit.io import atomic
from seqkit.models import genomic, nucleotides
from seqkit.models.nucleotides import SequenceTokenizer
from seqkit.training import curves, loop
from seqkit.training.world import ALONE, World

__all__ = ["RUN", "Result", "pretrain"]

#: What a run keeps for itself, within the model's folder.
RUN = "training"
DATA_VARIABLE = "SEQKIT_DEV_DATA"
_EVALUATION_TOKENS = 4096
_EVALUATION_BATCHES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a run.

    Attributes
    ----------
    progress : over all the sessions of the run.
    parameters : of the model; `share` of them are this process's.
    processes : that trained it.
    tokens_per_step : as asked for, rounded to whole rows.
    corpus : what was read, see `corpus.Corpus.counts`.
    """

    progress: loop.Progress
    parameters: int
    share: int
    processes: int
    tokens_per_step: int
    corpus: dict[str, int]


def pretrain(
    chosen: recipe.Recipe,
    out: Path,
    *,
    data: str | None = None,
    near: Path | None = None,
    resume: bool = True,
    minutes: float | None = None,
    device: str = "auto",
    threads: int = 0,
    command: str = "",
    on_read: Callable[[float], Any] = lambda amount: None,
    on_step: Callable[[loop.Progress, int, int], None] | None = None,
    world: World = ALONE,
) -> Result:
    """Train a model and save it, however far it got.

    Parameters
    ----------
    chosen : the recipe.
    out : folder of the result, which `seqkit.models.genomic.load` reads.
    data : folder of the files that the recipe names; `$SEQKIT_DEV_DATA` when None.
    near : another folder where they may be: the recipe's own.
    resume : go on from the checkpoint in `out`, if any.
    minutes : stop after this many; the same call goes on.
    device : "cpu", "cuda" or "auto".
    threads : at a time; 0 leaves the choice to torch.
    command : what was typed, for the card.
    on_read : told how many letters of the corpus were read.
    on_step : told the progress, the steps in all and the tokens of a step.
    world : the processes that work together.

    Raises
    ------
    UsageError
        when the recipe cannot be followed, or `out` holds another model.
    DataError
        when files are damaged, the checkpoint is another run's, or the loss is no number.
    """
    if threads:
        torch.set_num_threads(threads)
    place = devices.choose_device(device)
    run = out / RUN
    _require_own(out)
    with world.first_goes_ahead():
        read = corpus.build(_corpus_config(chosen, data, near), run / "corpus", advance=on_read)
        tokenizer = vocabulary.find(chosen.tokens, read, run, seed=chosen.seed)
    config = architectures.make_config(
        chosen.arch,
        chosen.size,
        vocab_size=tokenizer.vocab_size,
        specials=tokenizer.specials,
        changes=chosen.sizes,
    )
    torch.manual_seed(chosen.seed)
    architecture = architectures.published(chosen.arch)
    z_loss = architecture.z_loss if chosen.z_loss is None else chosen.z_loss
    model = LanguageLoss(SequenceModel(config), z_loss=z_loss).to(place)
    parameters = sum(p.numel() for p in model.parameters())
    world.divide_model(model)
    rows = max(1, chosen.batch_tokens // config.max_positions)
    if rows < world.size * chosen.accumulate:
        raise errors.UsageError(
            f"{rows} rows of {config.max_positions} tokens cannot be divided among {world.size} processes "
            f"and {chosen.accumulate} parts",
            hint="--batch-tokens, --context, --accumulate",
        )
    trained = _sampler(chosen, read.train, tokenizer, config, rows)
    step = _Step(chosen, model, batches.Ahead(trained), place, world)
    progress = loop.train(
        model,
        step.losses,
        chosen.loop,
        run,
        resume=resume,
        minutes=minutes,
        evaluate=_evaluation(chosen, step, read.held_out, tokenizer, config),
        on_step=_teller(on_step, chosen.steps, rows * config.max_positions),
        fingerprint=json.dumps([chosen.fingerprint(), read.digest, nucleotides.digest(tokenizer)]),
        world=world,
    )
    result = Result(
        progress=progress,
        parameters=parameters,
        share=world.share(model),
        processes=world.size,
        tokens_per_step=rows * config.max_positions,
        corpus=read.counts,
    )
    if world.is_first:
        _save(out, chosen, config, tokenizer, read, result, command)
    return result


def _require_own(out: Path) -> None:
    """Refuse a folder with a model that no run here made, which the result would replace."""
    if (out / "config.json").exists() and not (out / RUN).is_dir():
        raise errors.UsageError(
            "holds a model that was not pretrained here", file=str(out), hint="--out another folder"
        )


def _teller(
    on_step: Callable[[loop.Progress, int, int], None] | None, steps: int, tokens: int
) -> Callable[[loop.Progress], None] | None:
    return None if on_step is None else lambda done: on_step(done, steps, tokens)


def _corpus_config(chosen: recipe.Recipe, data: str | None, near: Path | None) -> corpus.CorpusConfig:
    given = data or os.environ.get(DATA_VARIABLE)
    folders = [folder for folder in (Path(given) if given else None, near) if folder is not None]

    def located(name: str) -> str:
        return recipe.locate(name, folders)

    def bed(text: str) -> str:
        return located(text) if text.lower().endswith((".bed", ".bed.gz")) else text

    return corpus.CorpusConfig(
        paths=tuple(map(located, chosen.paths)),
        exclude=tuple(map(bed, chosen.exclude)),
        exclude_sequences=tuple(map(located, chosen.exclude_sequences)),
        held_out=chosen.held_out,
        seed=chosen.seed,
    )


def _sampler(
    chosen: recipe.Recipe,
    part: corpus.Part,
    tokenizer: SequenceTokenizer,
    config: BackboneConfig,
    rows: int,
) -> batches.Sampler:
    return batches.Sampler(
        part,
        tokenizer,
        objective=architectures.published(chosen.arch).objective,
        rows=rows,
        context=config.max_positions,
        seed=chosen.seed,
        both_strands=chosen.both_strands,
        mask_share=chosen.mask_share,
    )


class _Step:
    """The loss of a step, in parts: this process's rows, so many at a time."""

    def __init__(
        self,
        chosen: recipe.Recipe,
        model: LanguageLoss,
        draw: Callable[[int], batches.Batch],
        place: torch.device,
        world: World,
    ) -> None:
        self.chosen, self.model, self.draw, self.place, self.world = chosen, model, draw, place, world
        named = {"float32": torch.float32, "bfloat16": torch.bfloat16}
        self.dtype = named.get(chosen.dtype) or devices.choose_dtype(place)

    def losses(self, step: int) -> Iterator[torch.Tensor]:
        """Parts that add up to this process's loss; the mean over processes is the batch's mean loss."""
        batch = self.draw(step)
        torch.manual_seed(1_000_003 * self.chosen.seed + step)
        weight = self.world.size / max(1, batch.labels)
        for part in self.parts(batch, self.chosen.accumulate):
            yield self.run(part)[0] * weight

    def parts(self, batch: batches.Batch, count: int) -> list[batches.Batch]:
        """This process's rows; all processes have as many parts, of which some may be empty."""
        shares = list(batch.parts(self.world.size * count))
        return shares[self.world.rank :: self.world.size]

    def run(self, batch: batches.Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums of losses, see `LanguageLoss`."""
        tables = [
            torch.from_numpy(table).to(self.place, non_blocking=True)
            for table in (batch.ids_BT, batch.labels_BT, batch.packed_BT)
        ]
        enabled = self.dtype != torch.float32
        with torch.autocast(self.place.type, self.dtype, enabled=enabled):
            sums: tuple[torch.Tensor, torch.Tensor] = self.model(*tables)
        return sums


def _evaluation(
    chosen: recipe.Recipe,
    step: _Step,
    held_out: corpus.Part,
    tokenizer: SequenceTokenizer,
    config: BackboneConfig,
) -> Callable[[], dict[str, float]] | None:
    """What measures the loss on the same held-out batches every time; None where nothing is held out."""
    if not held_out.size:
        return None
    rows = max(step.world.size, _EVALUATION_TOKENS // config.max_positions)
    sampler = _sampler(chosen, held_out, tokenizer, config, rows)

    def measure() -> dict[str, float]:
        loss, labels, bases = 0.0, 0, 0
        with torch.no_grad():
            for number in range(_EVALUATION_BATCHES):
                batch = sampler.draw(number)
                labels, bases = labels + batch.labels, bases + batch.bases
                loss += sum(step.run(part)[1].item() for part in step.parts(batch, 1))
        loss = step.world.mean(loss) * step.world.size
        found = {"loss": loss / max(1, labels)}
        if not getattr(tokenizer, "overlapping", False):
            # Tokens that overlap tell a base several times over: their sum is no code of the bases.
            found["bits_per_base"] = loss / math.log(2) / max(1, bases)
        return found

    return measure


def _save(
    out: Path,
    chosen: recipe.Recipe,
    config: BackboneConfig,
    tokenizer: SequenceTokenizer,
    read: corpus.Corpus,
    result: Result,
    command: str,
) -> None:
    """Write the model's folder, the curves and the history."""
    progress = result.progress
    minutes = progress.seconds / 60
    trained = (
        f"{progress.step:,} of {chosen.steps:,} steps of {result.tokens_per_step:,} tokens, "
        f"{minutes:,.1f} minutes"
    )
    text = card.write(
        title=out.resolve().name,
        arch=chosen.arch,
        parameters=result.parameters,
        tokenizer=chosen.tokens,
        context=config.max_positions,
        files=chosen.paths,
        counts=read.counts,
        digest=read.digest,
        command=command,
        trained=trained,
        evaluations=progress.evaluations,
    )
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[chosen.weights]
    genomic.save(out, _trained(config, out / RUN / loop.CHECKPOINT).to(dtype), tokenizer, card=text)
    history = {"losses": progress.losses, "evaluations": progress.evaluations, "seconds": progress.seconds}
    described = dataclasses.asdict(chosen)
    for path, content in ((out / RUN / "history.json", history), (out / "recipe.json", described)):
        with atomic.atomic_file(path) as file:
            file.write(json.dumps(content).encode() + b"\n")
    curves.save_curves(
        out / RUN / "curves.png",
        progress.losses,
        progress.evaluations,
        title=f"{out.resolve().name}: {trained}",
        unit="nats per token; bits per base",
    )


def _trained(config: BackboneConfig, path: Path) -> SequenceModel:
    """The model of a checkpoint, whole, whatever it was divided among."""
    network = SequenceModel(config)
    with safetensors.safe_open(path, "pt") as file:
        prefix = "model.network."
        names = [name for name in file.keys() if name.startswith(prefix)]  # not a mapping
        weights = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    network.load_state_dict(weights, strict=False)
    network.tie_weights()
    return network.eval()
