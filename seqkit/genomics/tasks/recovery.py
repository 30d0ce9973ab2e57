"""Next-segment recovery, after GENERator (arXiv 2502.07272): how much of the true continuation is generated.

Prompts end at places of a held-out part of a genome; the bases after them are generated
by the most likely token and compared with what stands there. Baselines know the rest of
the same file, or the prompt alone. And reading frames: whether what is generated after
the first half of an open reading frame keeps the frame open. This file does not know how
results are shown.

Shape suffixes: L bases, M new bases, N prompts.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from seqkit import errors
from seqkit.decoders import catalogue
from seqkit.decoders.bench.report import Results
from seqkit.decoders.sampling import SamplingOptions
from seqkit.genomics.bench import genome as genomes
from seqkit.genomics.bench.genome import Genome
from seqkit.genomics.tasks import continuing, learning, orfs
from seqkit.io.prompts import Prompt
from seqkit.models import continuation, decoding_benchmark, generative
from seqkit.models.generative import Generative

__all__ = [
    "CONTROLS",
    "LENGTHS",
    "METHODS",
    "Frames",
    "Recovered",
    "Recovery",
    "RecoveryConfig",
    "measure",
    "share",
]

METHODS = ("model", "markov", "copy", "frequent")
#: Bases of prompts, where none are asked for.
LENGTHS = (96, 192, 384, 768)
#: What is continued in the test of reading frames; the last is no continuation but what stands there.
CONTROLS = ("frame", "codons shuffled", "bases shuffled", "true")
_BASES = 4
_BATCH = 16
#: Prompts end at whole codons, and begin so that tokens of 2, 3 or 6 bases fit.
_UNIT = 6
_MOST_DRAWS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecoveryConfig:
    """What is measured.

    Attributes
    ----------
    model : folder of a model that reads from left to right; see `seqkit.models.generative.load`.
    ref : the genome.
    held_out : "NAME:FROM-TO", where prompts and their continuations lie; the model must not have seen it.
    out : folder of the report.
    lengths : bases of the prompts; they end at the same places.
    new : bases to generate.
    prompts : how many, of each length; half of them on either strand.
    order : of the Markov model, bases.
    decoders : names, or none; plain decoding always takes part.
    decoder_prompts : prompts of each length that decoders are timed on.
    rounds : how often.
    orf_least : bases of an open reading frame.
    orf_prompt, orf_new : bases of prompt, at most, and bases to generate in the test of reading frames.
    orf_temperature : at which tokens are drawn there. The most likely tokens (0) of a small model soon repeat
        themselves, and what repeats has no stop in any frame.
    orfs : how many, at most; 0 leaves the test out.
    seed : draws places and shuffles.

    Raises
    ------
    UsageError
        when a number is out of range.
    """

    model: str
    ref: Path
    held_out: str
    out: Path
    lengths: tuple[int, ...] = LENGTHS
    new: int = 30
    prompts: int = 200
    order: int = 8
    decoders: tuple[str, ...] = ("copyspec", "recycling", "aded", "jacobi")
    decoder_prompts: int = 8
    rounds: int = 3
    orf_least: int = 600
    orf_prompt: int = 600
    orf_new: int = 120
    orf_temperature: float = 1.0
    orfs: int = 200
    seed: int = 0
    device: str = "auto"
    dtype: str = "float32"
    threads: int = 1
    command: str = ""

    def __post_init__(self) -> None:
        """Check the numbers."""
        least = {
            "prompts": self.prompts,
            "prompt-length": min(self.lengths, default=0),
            "new": self.new,
            "decoder-prompts": self.decoder_prompts,
            "rounds": self.rounds,
        }
        for flag, number in least.items():
            if number < 1:
                raise errors.UsageError(f"{number} is not positive", hint=f"--{flag}")
        for name in self.decoders:
            spec = catalogue.DECODERS.get(name)
            if spec is None:
                raise errors.UsageError(f"no decoder is called {name!r}", hint="seqkit decoders list")
            if spec.draft_model or spec.source:
                raise errors.UsageError(f"{name} needs more than one model and a prompt", hint="--decoders")
        if not 0 <= self.order <= continuing.MOST_ORDER:
            raise errors.UsageError(f"an order is from 0 to {continuing.MOST_ORDER}", hint="--order")
        if self.orfs < 0 or min(self.orf_prompt, self.orf_new) < _UNIT or self.orf_least < 4 * _UNIT:
            raise errors.UsageError(
                f"reading frames need {4 * _UNIT} bases, their prompts and what is new {_UNIT}",
                hint="--orf-least, --orf-prompt, --orf-new",
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recovered:
    """What a method recovered of the continuations after prompts of one length.

    Attributes
    ----------
    length, method : of what.
    shares : of bases that are the true ones, for every prompt.
    short : prompts after which fewer bases came than were asked for; those that are missing count as wrong.
    seconds : for all prompts.
    """

    length: int
    method: str
    shares: tuple[float, ...]
    short: int
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frames:
    """Stops in what follows the first halves of open reading frames.

    Attributes
    ----------
    prompt : one of `CONTROLS`.
    open : for each of the three frames, of every continuation whether no stop is in it; frame 0 is the
        prompt's own.
    complete : continuations with all bases that were asked for.
    """

    prompt: str
    open: tuple[tuple[bool, ...], ...]
    complete: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Recovery:
    """All that was measured.

    Attributes
    ----------
    facts : sentences about what was measured on what.
    recovered : by length and method.
    frames : by control; none where the test was left out.
    decoders : their times and whether their output is plain decoding's; None where none were asked for.
    """

    facts: tuple[str, ...]
    recovered: tuple[Recovered, ...]
    frames: tuple[Frames, ...]
    decoders: Results | None


def measure(config: RecoveryConfig, tell: Callable[[str], None] = lambda line: None) -> Recovery:
    """Measure the model and its baselines.

    Parameters
    ----------
    tell : told what is being done.

    Raises
    ------
    UsageError, DataError
        when the model does not continue prompts or has no room for them, or when the held-out part is not in
        the file or too short.
    """
    genome = genomes.read(config.ref)
    learning.make_folder(config.out)
    try:
        held = genomes.region(genome, config.held_out)
    except errors.UsageError as error:
        raise errors.UsageError(error.message, hint="--held-out NAME:FROM-TO") from error
    model = generative.load(config.model, device=config.device, dtype=config.dtype)
    if model.has_source:
        raise errors.DataError(
            "an encoder-decoder does not continue a prompt", file=config.model, hint="--model"
        )
    rng = np.random.default_rng(config.seed)
    windows = _windows(held.codes, max(config.lengths), config, rng)
    rest = _rest(genome, held)
    tell(f"counting {int((rest < _BASES).sum()):,} bases that are not held out")
    markov = continuing.MarkovModel.fit(rest, config.order)
    recovered = tuple(
        found
        for length in config.lengths
        for found in _recovered(config, model, markov, windows, length, tell)
    )
    frames = tuple(_frames(config, model, held.codes, rng, tell)) if config.orfs else ()
    return Recovery(
        facts=_facts(config, model, rest, frames),
        recovered=recovered,
        frames=frames,
        decoders=_timed(config, windows, model, tell) if config.decoders else None,
    )


def _rest(genome: Genome, held: Genome) -> np.ndarray:
    """Codes of all records, end to end with gaps between, without what is held out."""
    parts = []
    for number, name in enumerate(genome.names):
        codes = genome.codes[genome.bounds[number] : genome.bounds[number + 1]].copy()
        if name == held.names[0]:
            start = int(held.origin[0] - genome.origin[number])
            codes[start : start + held.num_bases] = _BASES
        parts += [codes, np.full(1, _BASES, dtype=np.uint8)]
    return np.concatenate(parts)


def _windows(
    codes_L: np.ndarray, length: int, config: RecoveryConfig, rng: np.random.Generator
) -> list[np.ndarray]:
    """Prompts of the greatest length with what follows, half of them from the other strand."""
    size = length + config.new
    if codes_L.size < size:
        raise errors.DataError(
            f"the held-out part has {codes_L.size:,} bases, fewer than prompt and continuation ({size:,})",
            file=str(config.ref),
            hint="--held-out",
        )
    found: list[np.ndarray] = []
    for _ in range(_MOST_DRAWS * config.prompts):
        if len(found) == config.prompts:
            return found
        start = int(rng.integers(codes_L.size - size + 1))
        window = codes_L[start : start + size].astype(np.int64)
        if (window < _BASES).all():
            found.append(_other_strand(window) if len(found) % 2 else window)
    if len(found) < config.prompts:
        raise errors.DataError("the held-out part has too few bases in a row", file=str(config.ref))
    return found


def _other_strand(codes_L: np.ndarray) -> np.ndarray:
    return 3 - codes_L[::-1]


def _recovered(
    config: RecoveryConfig,
    model: Generative,
    markov: continuing.MarkovModel,
    windows: Sequence[np.ndarray],
    length: int,
    tell: Callable[[str], None],
) -> Iterator[Recovered]:
    """What every method recovers after prompts of a length."""
    frequent = int(markov.best[0][0])
    texts = [window[-config.new - length : -config.new] for window in windows]
    truths = [window[-config.new :] for window in windows]
    ways: dict[str, Callable[[], list[np.ndarray]]] = {
        "model": lambda: _generated(model, texts, config.new, SamplingOptions()),
        "markov": lambda: [markov.continued(text, config.new) for text in texts],
        "copy": lambda: [continuing.copied(text, config.new, frequent) for text in texts],
        "frequent": lambda: [continuing.constant(frequent, config.new) for _ in texts],
    }
    for method in METHODS:
        began = time.monotonic()
        answers = ways[method]()
        seconds = time.monotonic() - began
        shares = tuple(share(answer, truth) for answer, truth in zip(answers, truths, strict=True))
        tell(
            f"prompts of {length:,} bases, {method}: {100 * np.mean(shares):.1f} % recovered, {seconds:.1f} s"
        )
        yield Recovered(
            length=length,
            method=method,
            shares=shares,
            short=sum(len(answer) < config.new for answer in answers),
            seconds=round(seconds, 2),
        )


def share(answer: np.ndarray, truth: np.ndarray) -> float:
    """The share of the true bases (M,) that the answer has at their places; what it lacks is wrong.

    Examples
    --------
    >>> share(np.array([0, 1]), np.array([0, 2, 3, 3]))
    0.25
    """
    size = min(len(answer), len(truth))
    return float((answer[:size] == truth[:size]).sum() / len(truth))


def _generated(
    model: Generative, prompts: Sequence[np.ndarray], new: int, sampling: SamplingOptions
) -> list[np.ndarray]:
    """So many bases after each prompt; fewer where the model ended, 4 where what it wrote is no base."""
    texts = [_spelled(codes) for codes in prompts]
    options = continuation.AnswerOptions(
        sampling=dataclasses.replace(sampling, max_new_tokens=_tokens_for(model, texts, new)),
        decoder="plain",
        batch_size=_BATCH,
    )
    asked = [Prompt(text=text, name=str(at), record=f"prompt {at + 1}") for at, text in enumerate(texts)]
    answers = continuation.Answerer(model, options).answers(asked)
    return [
        genomes.CODE_OF_LETTER[np.frombuffer(answer.text.encode(), dtype=np.uint8)][:new].astype(np.int64)
        for answer in answers
    ]


def _tokens_for(model: Generative, texts: Sequence[str], new: int) -> int:
    """Tokens that hold so many bases: where all prompts' tokens are of one length, these; otherwise one
    each."""
    widths = {len(text) / len(model.tokenizer.encode(text)) for text in texts}
    width = widths.pop() if len(widths) == 1 else 1.0
    return -(-new // int(width)) if width.is_integer() else new


def _spelled(codes_L: np.ndarray) -> str:
    return genomes.LETTERS[codes_L].tobytes().decode()


def _frames(
    config: RecoveryConfig,
    model: Generative,
    codes_L: np.ndarray,
    rng: np.random.Generator,
    tell: Callable[[str], None],
) -> Iterator[Frames]:
    """Stops after the first halves of open reading frames, of shuffled ones, and in the second halves."""
    halves = _halves(config, codes_L, rng)
    if not halves:
        raise errors.DataError(
            f"the held-out part has no open reading frame of {config.orf_least:,} bases",
            file=str(config.ref),
            hint="--orfs 0 leaves them out",
        )
    tell(f"continuing {len(halves):,} open reading frames")
    sampling = SamplingOptions(temperature=config.orf_temperature, seed=config.seed)
    shuffled = {
        "frame": [prompt for prompt, _ in halves],
        "codons shuffled": [rng.permutation(prompt.reshape(-1, 3)).ravel() for prompt, _ in halves],
        "bases shuffled": [rng.permutation(prompt) for prompt, _ in halves],
    }
    for control in CONTROLS:
        if control == "true":
            answers = [rest for _, rest in halves]
        else:
            answers = _by_length(model, shuffled[control], config.orf_new, sampling)
        yield Frames(
            prompt=control,
            open=tuple(tuple(not orfs.has_stop(answer, frame) for answer in answers) for frame in range(3)),
            complete=sum(len(answer) == config.orf_new for answer in answers),
        )


def _by_length(
    model: Generative, prompts: Sequence[np.ndarray], new: int, sampling: SamplingOptions
) -> list[np.ndarray]:
    """As `_generated`, for prompts of several lengths."""
    answers: dict[int, np.ndarray] = {}
    for length in sorted({len(prompt) for prompt in prompts}):
        places = [at for at, prompt in enumerate(prompts) if len(prompt) == length]
        found = _generated(model, [prompts[at] for at in places], new, sampling)
        answers |= dict(zip(places, found, strict=True))
    return [answers[at] for at in range(len(prompts))]


def _halves(
    config: RecoveryConfig, codes_L: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of open reading frames of both strands the end of the first half, and the bases after it, of the
    frame."""
    found = []
    for strand_L in (codes_L, np.where(codes_L < _BASES, 3 - np.minimum(codes_L, 3), codes_L)[::-1]):
        for frame in orfs.find(strand_L, config.orf_least):
            middle = frame.start + (frame.end - frame.start) // 2 // _UNIT * _UNIT
            start = max(frame.start, middle - config.orf_prompt // _UNIT * _UNIT)
            # The stop codon itself is no part of what is to be continued.
            if frame.end - 3 - middle >= config.orf_new:
                found.append((strand_L[start:middle], strand_L[middle : middle + config.orf_new]))
    chosen = sorted(rng.permutation(len(found))[: config.orfs].tolist())
    return [(found[at][0].astype(np.int64), found[at][1].astype(np.int64)) for at in chosen]


def _timed(
    config: RecoveryConfig, windows: Sequence[np.ndarray], model: Generative, tell: Callable[[str], None]
) -> Results:
    """Decoders on the first prompts of each length, and one more to warm up."""
    paths = []
    for length in config.lengths:
        path = config.out / "prompts" / f"{length}-bases.fa"
        texts = [
            _spelled(w[-config.new - length : -config.new]) for w in windows[: config.decoder_prompts + 1]
        ]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f">prompt{at}\n{text}\n" for at, text in enumerate(texts)))
        except OSError as error:
            raise errors.OutputError(f"cannot be written: {error.strerror}", file=str(path)) from error
        paths.append((path, _tokens_for(model, texts, config.new)))
    options = decoding_benchmark.DecodeBench(
        model=config.model,
        draft=None,
        prompts=tuple(str(path) for path, _ in paths),
        decoders=config.decoders,
        most_prompts=config.decoder_prompts,
        new_tokens=max(tokens for _, tokens in paths),
        rounds=config.rounds,
        with_peers=False,
        device=config.device,
        dtype=config.dtype,
        threads=config.threads,
        out=config.out / "decoders",
        command=config.command,
    )
    return decoding_benchmark.run(options, tell)


def _facts(
    config: RecoveryConfig, model: Generative, rest: np.ndarray, frames: Sequence[Frames]
) -> tuple[str, ...]:
    name = Path(model.name).name
    told = [
        f"Model {name} ({model.num_parameters / 1e6:.1f} M parameters), {config.dtype}.",
        f"{config.prompts:,} prompts of each length from {config.held_out} of {config.ref.name}, half "
        f"of them from the other strand; the {config.new} most likely bases after each.",
        f"The Markov model has order {config.order} and counted {int((rest < _BASES).sum()):,} bases of the "
        "rest of the file, both strands.",
    ]
    if frames:
        told.append(
            f"{len(frames[0].open[0]):,} open reading frames of at least {config.orf_least:,} bases, found "
            "by their codons and not by annotation, of both strands of the same part; prompts of at most "
            f"{config.orf_prompt:,} bases, {config.orf_new:,} after each, drawn at temperature "
            f"{config.orf_temperature:g}."
        )
    return tuple(told)
