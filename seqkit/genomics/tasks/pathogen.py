"""Reads of viruses and resistance genes told from reads of bacteria and human, lineages never seen.

Genomes are split by lineage, so that no read of a test genome, nor of one that is nearly
the same, was learnt from; beside it, as a contrast, reads are learnt from all lineages
(the leak of a split by read), and tested on the same test reads. Every measurement is a
file of its own. This file does not know how is learnt, nor how results are shown.

Shape suffixes: N reads, L letters, U units, C lineages.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqkit import errors
from seqkit.genomics.bench import simulate
from seqkit.genomics.finetune import task
from seqkit.genomics.finetune.examples import Example
from seqkit.genomics.tasks import learning, lineages, sources
from seqkit.genomics.tasks.sources import Pool
from seqkit.genomics.tokens.files import reverse_complement
from seqkit.tokenizers import letters

__all__ = [
    "METHODS",
    "WAYS",
    "PathogenConfig",
    "Reads",
    "Run",
    "draw",
    "measure",
    "read_pools",
    "shared",
    "tables",
]

METHODS = learning.METHODS
#: Genomes of training and test are of other lineages; or reads of all lineages are learnt from.
WAYS = ("genome", "read")
LABELS = ("background", "pathogen")
#: A background read that shares a word of so many letters with a pathogen is left out: bacteria carry
#: resistance genes, and a run of A says nothing.
_WORD = 32
_MOST_DRAWS = 100
_LEAST_DRAWN = 64
_BASES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class PathogenConfig:
    """What is measured.

    Attributes
    ----------
    data : folder with the files of `seqkit.genomics.tasks.sources.SOURCES`.
    model : see `seqkit.models.genomic.load`.
    out : folder of the measurements.
    ways, methods : of `WAYS` and `METHODS`.
    seeds : how many; each splits the lineages anew.
    minutes : for training a model or a network once.
    train, dev, test : reads, of every source as many.
    length, error : of reads: letters, and substitutions per letter.
    epochs : of fine-tuning, at most.

    Raises
    ------
    UsageError
        when there is no such way or method, or a number is out of range.
    """

    data: Path
    model: str
    out: Path
    ways: tuple[str, ...] = WAYS
    methods: tuple[str, ...] = METHODS
    seeds: int = 3
    minutes: float = 1.5
    train: int = 20_000
    dev: int = 2_000
    test: int = 4_000
    length: int = 150
    error: float = 0.01
    epochs: int = 12
    learning_rate: float = 1e-3
    dtype: str = "bfloat16"
    device: str = "auto"
    offline: bool = False

    def __post_init__(self) -> None:
        """Check names and numbers."""
        learning.require_names("--splits", self.ways, WAYS)
        learning.require_names("--methods", self.methods, METHODS)
        if self.seeds < 1 or not self.minutes > 0:
            raise errors.UsageError("seeds and minutes must be above 0", hint="--seeds, --minutes-per-run")
        least = len(sources.SOURCES)
        if min(self.train, self.dev, self.test) < least:
            raise errors.UsageError(f"at least {least} reads of each split are needed", hint="--max-train")
        if not _WORD <= self.length <= sources.LEAST:
            raise errors.UsageError(f"reads have {_WORD} to {sources.LEAST} letters", hint="--length")
        if not 0 <= self.error < 1:
            raise errors.UsageError("a share of letters lies between 0 and 1", hint="--error")

    @property
    def learning(self) -> learning.LearningConfig:
        """How is learnt."""
        return learning.LearningConfig(
            model=self.model,
            minutes=self.minutes,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            dtype=self.dtype,
            device=self.device,
            offline=self.offline,
            both_strands=True,
        )

    def settings(self, method: str) -> dict[str, Any]:
        """What a measurement of a method depends on, beside its way and seed."""
        reads = ("train", "dev", "test", "length", "error")
        return {**{name: getattr(self, name) for name in reads}, **self.learning.settings(method)}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Reads:
    """Reads of one split.

    Attributes
    ----------
    letters : upper-case letters (L,) uint8 of each.
    sources_N : int64, the place of its source in `SOURCES`.
    lineages_N : int64, its lineage within the source.
    """

    letters: list[np.ndarray]
    sources_N: np.ndarray
    lineages_N: np.ndarray

    def examples(self) -> list[Example]:
        """With what is to be said of them."""
        of_source = [LABELS[source.is_pathogen] for source in sources.SOURCES.values()]
        return [
            Example(
                name=str(at), letters_L=letters_L, texts=(of_source[source],), file="reads", place=str(at)
            )
            for at, (letters_L, source) in enumerate(zip(self.letters, self.sources_N, strict=True))
        ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A measurement.

    Attributes
    ----------
    way, method, seed : of what.
    settings : as `PathogenConfig.settings`; of a model with the digest of its weights.
    train, seen : training reads there are, and those that were read, each time counted.
    seconds : of training and predicting.
    chosen : what the dev split chose.
    truth, guess : classes of the test reads, a digit for each.
    sources : the place of each one's source in `SOURCES`, a digit for each.
    lineages : of each, within its source.
    held : lineages of each source in training, dev and test split.
    shared : of each source, the share of test reads that share a word of 32 letters with a training read.
    """

    way: str
    method: str
    seed: int
    settings: dict[str, Any]
    train: int
    seen: int
    seconds: float
    chosen: dict[str, Any]
    truth: str
    guess: str
    sources: str
    lineages: tuple[int, ...]
    held: dict[str, tuple[int, ...]]
    shared: dict[str, float]


def measure(config: PathogenConfig, tell: Callable[[str], None] = lambda line: None) -> list[Run]:
    """Measure what is not measured yet; what another seed, method or split has is kept.

    Parameters
    ----------
    tell : told every measurement when it is done.

    Returns
    -------
    All measurements that were asked for, those of earlier calls with the same settings included.

    Raises
    ------
    DataError
        when sources are missing or damaged.
    """
    weights = learning.weights_of(config.model, offline=config.offline) if "model" in config.methods else ""
    folder = learning.make_folder(config.out / "runs")
    pools: list[Pool] | None = None
    runs = []
    for seed in range(config.seeds):
        for way in config.ways:
            made: dict[str, Reads] | None = None
            for method in config.methods:
                settings = config.settings(method) | ({"weights": weights} if method == "model" else {})
                path = folder / f"{way}-{method}-{seed}.json"
                run = learning.kept(path, settings, _made)
                if run is None:
                    pools = pools or read_pools(config.data)
                    made = made or tables(pools, config, way, seed)
                    run = _measured(config, pools, made, way, method, seed, settings)
                    learning.keep(path, run)
                    tell(_line(run))
                runs.append(run)
    return runs


def read_pools(data: Path) -> list[Pool]:
    """The sources, in the order of `SOURCES`."""
    return [sources.read(data, name, source) for name, source in sources.SOURCES.items()]


def tables(pools: Sequence[Pool], config: PathogenConfig, way: str, seed: int) -> dict[str, Reads]:
    """Reads of the training, dev and test split; the same for the same seed.

    Parameters
    ----------
    pools : in the order of `SOURCES`.
    way : one of `WAYS`; the test reads are the same for both.

    Raises
    ------
    DataError
        when a source has too few lineages, or nothing in a split that a read can be drawn from.
    """
    avoid = _words_of_pathogens(pools)
    splits = [_splits(pool, seed, number) for number, pool in enumerate(pools)]
    made = {}
    for place, name in enumerate(lineages.SPLITS):
        rng = np.random.default_rng([seed, place])
        is_open = way == "read" and name != "test"
        total = int(getattr(config, name))
        parts = []
        for number, (pool, splits_C) in enumerate(zip(pools, splits, strict=True)):
            count = total * (number + 1) // len(pools) - total * number // len(pools)
            allowed_C = np.full(splits_C.size, True) if is_open else splits_C == place
            avoided = None if list(sources.SOURCES.values())[number].is_pathogen else avoid
            parts.append(draw(pool, allowed_C, count, config, rng, avoided))
        made[name] = Reads(
            letters=[letters_L for read, _ in parts for letters_L in read],
            sources_N=np.repeat(np.arange(len(parts)), [len(read) for read, _ in parts]),
            lineages_N=np.concatenate([lineages_N for _, lineages_N in parts]),
        )
    return made


def draw(
    pool: Pool,
    allowed_C: np.ndarray,
    count: int,
    config: PathogenConfig,
    rng: np.random.Generator,
    avoid: np.ndarray | None = None,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Reads of a pool, with errors, half of them from the other strand; and the lineage (N,) of each.

    A lineage is drawn as the root of its number of letters, so that one of which there are a hundred genomes
    does not outweigh all others; then a place in it, all alike.

    Parameters
    ----------
    allowed_C : bool, lineages that reads may be drawn from.
    avoid : words, sorted, that no read may hold.

    Raises
    ------
    DataError
        when there is nothing to draw from.
    """
    lengths_U = np.diff(pool.bounds)
    held_C = np.bincount(pool.lineages_U, weights=lengths_U, minlength=allowed_C.size)
    shares_U = np.where(allowed_C, 1 / np.sqrt(np.maximum(held_C, 1)), 0.0)[pool.lineages_U] * lengths_U
    codes, places = [np.empty((0, config.length), np.uint8)], [np.empty(0, np.int64)]
    for _ in range(_MOST_DRAWS):
        missing = count - sum(map(len, places))
        if not missing or not shares_U.sum():
            break
        size = max(missing, _LEAST_DRAWN)
        units = rng.choice(lengths_U.size, size=size, p=shares_U / shares_U.sum())
        starts = pool.bounds[units] + rng.integers(0, lengths_U[units] - config.length + 1)
        found_NL = pool.codes_L[starts[:, None] + np.arange(config.length)]
        is_good = (found_NL < _BASES).all(axis=1)
        if avoid is not None:
            is_good[is_good] = ~_holds(found_NL[is_good], avoid)
        codes.append(found_NL[is_good][:missing])
        places.append(pool.lineages_U[units[is_good]][:missing])
    lineages_N = np.concatenate(places)
    if lineages_N.size < count:
        raise errors.DataError(f"a split of {pool.name} has no place that {count:,} reads can be drawn from")
    written_NL = letters.letters_of(simulate.substitute(np.concatenate(codes), config.error, rng))
    is_other_N = rng.random(count) < 0.5
    strands = [
        reverse_complement(read_L) if other else read_L
        for read_L, other in zip(written_NL, is_other_N, strict=True)
    ]
    return strands, lineages_N


def shared(train: Reads, test: Reads) -> dict[str, float]:
    """Of each source, the share of test reads with a word of 32 letters that a training read has as well."""
    words_W, is_whole_W = _words_of(_table(train.letters))
    is_known_N = _holds(_table(test.letters), np.unique(words_W[is_whole_W]))
    return {
        name: float(is_known_N[test.sources_N == number].mean())
        for number, name in enumerate(sources.SOURCES)
    }


def _table(reads: Sequence[np.ndarray]) -> np.ndarray:
    """Codes (N, L) of reads, which are of one length."""
    return letters.codes_of(np.stack(reads))


def _splits(pool: Pool, seed: int, number: int) -> np.ndarray:
    """The split (C,) of every lineage of a pool."""
    weights_C = np.sqrt(np.bincount(pool.lineages_U, weights=np.diff(pool.bounds)))
    try:
        return lineages.assign(weights_C, np.random.default_rng([seed, len(lineages.SPLITS), number]))
    except errors.DataError as error:
        raise errors.DataError(f"{pool.name}: {error.message}", hint="--data") from error


def _words_of_pathogens(pools: Sequence[Pool]) -> np.ndarray:
    """All words (uint64) of pathogens, sorted, each once."""
    chosen = [
        pool for pool, source in zip(pools, sources.SOURCES.values(), strict=True) if source.is_pathogen
    ]
    found = [lineages.canonical(pool.codes_L, _WORD) for pool in chosen]
    return np.unique(np.concatenate([words_W[is_whole_W] for words_W, is_whole_W in found]))


def _holds(codes_NL: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Whether each read (N,) holds one of the words, which are sorted."""
    words_W, is_whole_W = _words_of(codes_NL)
    at_W = np.minimum(np.searchsorted(words, words_W), max(0, words.size - 1))
    is_hit_W = is_whole_W & (words[at_W] == words_W) if words.size else np.zeros(words_W.size, bool)
    hits = np.unique(np.flatnonzero(is_hit_W) // (codes_NL.shape[1] + 1))
    return np.isin(np.arange(len(codes_NL)), hits)


def _words_of(codes_NL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words of reads laid end to end, with a letter between that is no base; and which are whole."""
    apart_NL = np.pad(codes_NL, ((0, 0), (0, 1)), constant_values=_BASES)
    return lineages.canonical(apart_NL.ravel(), _WORD)


def _measured(
    config: PathogenConfig,
    pools: Sequence[Pool],
    made: dict[str, Reads],
    way: str,
    method: str,
    seed: int,
    settings: dict[str, Any],
) -> Run:
    splits = {name: reads.examples() for name, reads in made.items()}
    posed = task.task_of("classification", splits["train"], ("label",))
    data = learning.Examples(splits=splits, posed=posed)
    found = learning.learn(method, config.learning, data, seed)
    return Run(
        way=way,
        method=method,
        seed=seed,
        settings=settings,
        train=len(splits["train"]),
        seen=found.seen,
        seconds=found.seconds,
        chosen=found.chosen,
        truth=_digits(data.split("test").classes_N),
        guess=_digits(found.guess_N),
        sources=_digits(made["test"].sources_N),
        lineages=tuple(made["test"].lineages_N.tolist()),
        held={
            pool.name: tuple(
                np.bincount(_splits(pool, seed, number), minlength=len(lineages.SPLITS)).tolist()
            )
            for number, pool in enumerate(pools)
        },
        shared=shared(made["train"], made["test"]),
    )


def _made(described: dict[str, Any]) -> Run:
    held = {name: tuple(counts) for name, counts in described["held"].items()}
    return Run(**{**described, "lineages": tuple(described["lineages"]), "held": held})


def _line(run: Run) -> str:
    right = sum(true == guessed for true, guessed in zip(run.truth, run.guess, strict=True))
    return (
        f"split by {run.way}, {run.method} seed {run.seed}: {100 * right / len(run.truth):.1f} % right, "
        f"{run.seconds:.0f} s, {run.seen:,} reads read"
    )


def _digits(numbers_N: np.ndarray) -> str:
    return "".join(str(int(number)) for number in numbers_N)
