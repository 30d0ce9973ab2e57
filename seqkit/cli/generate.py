"""`seqkit generate`: prompts in, what a model makes of them out.

Parses and prints; `seqkit.models.continuation` does the work.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from seqkit import errors
from seqkit.cli import progress

if TYPE_CHECKING:
    from seqkit.io.prompts import Prompt
    from seqkit.models.continuation import Answer, Answerer

__all__ = ["command"]

#: Tokens of an answer where no limit is given.
MOST_TOKENS = 128


def command(
    prompts: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROMPTS]",
            help="Text with one prompt a line, FASTA or FASTQ, plain or compressed; - is standard input.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="One prompt, instead of a file.")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model: a folder, or OWNER/NAME on the Hugging Face hub.")
    ] = "",
    draft_model: Annotated[
        str | None, typer.Option(help="Smaller model with the same tokens, for the decoders that take one.")
    ] = None,
    acceptance_head: Annotated[
        Path | None, typer.Option(help="Folder of an acceptance head (specdecpp).")
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(help="See `seqkit decoders list`.", show_default="an exact one that suits the model"),
    ] = None,
    search: Annotated[
        str | None, typer.Option(help="Search instead of a decoder: beam, diverse, conditional, superposed.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Stop after so many tokens.", show_default="128, or --max-length")
    ] = None,
    min_new_tokens: Annotated[int, typer.Option(help="No end of sequence before so many.")] = 0,
    temperature: Annotated[
        float, typer.Option(help="0 takes the best token; above, tokens are drawn.")
    ] = 0.0,
    top_k: Annotated[int, typer.Option(help="Draw from the best so many tokens; 0 from all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the best tokens with this probability.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="Of tokens that occurred; 1 is off.")] = 1.0,
    no_repeat_ngram: Annotated[int, typer.Option(help="No n-gram of this size twice; 0 is off.")] = 0,
    motif: Annotated[
        list[str] | None, typer.Option(help="IUPAC motif that a sequence must contain; repeat for several.")
    ] = None,
    forbid_motif: Annotated[
        list[str] | None, typer.Option(help="IUPAC motif that it must not contain; repeat for several.")
    ] = None,
    min_length: Annotated[int, typer.Option(help="No end of sequence before so many bases.")] = 0,
    max_length: Annotated[int, typer.Option(help="End of sequence after so many bases; 0 is off.")] = 0,
    ambiguous: Annotated[
        bool, typer.Option("--ambiguous", help="Of nucleotides: let the model also say N, R, Y and so on.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of what is drawn.", min=0)] = 0,
    batch_size: Annotated[int, typer.Option(help="Sequences at a time.")] = 8,
    num_return: Annotated[int, typer.Option(help="Answers to every prompt.")] = 1,
    beams: Annotated[int | None, typer.Option(help="Hypotheses of a search.", show_default="4")] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="Searches divide by the length to this power.", show_default="1")
    ] = None,
    early_stopping: Annotated[
        str | None,
        typer.Option(help="When a search stops: estimate, full, never.", show_default="estimate"),
    ] = None,
    groups: Annotated[int | None, typer.Option(help="Groups of beams (diverse).", show_default="2")] = None,
    diversity_penalty: Annotated[
        float | None, typer.Option(help="Of tokens other groups chose (diverse).", show_default="0.5")
    ] = None,
    classifier: Annotated[
        Path | None, typer.Option(help="Folder of a prefix classifier (conditional).")
    ] = None,
    attribute_weight: Annotated[
        float | None, typer.Option(help="Of the classifier (conditional).", show_default="1")
    ] = None,
    ngrams: Annotated[Path | None, typer.Option(help="Text to count n-grams in (superposed).")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer as it comes.")] = False,
    echo: Annotated[bool, typer.Option("--echo", help="Put the prompt before the answer.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object a line, with what the answer cost.")
    ] = False,
    out: Annotated[str, typer.Option("-o", "--out", help="Output file; - is standard output.")] = "-",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16, or auto for the fastest.")
    ] = "float32",
    threads: Annotated[int, typer.Option("-t", "--threads", help="Threads; 0 takes every core.", min=0)] = 0,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no model.")] = False,
) -> None:
    """Continue prompts, or answer them: `seqkit generate prompts.txt --model DIR`.

    A decoder-only model continues a prompt, an encoder-decoder reads it as its source. Answers come in the
    order of the prompts: FASTA where those are sequences, else a line of text each (of several, line breaks
    are written as \\n and backslashes doubled). A model of nucleotides says A, C, G and T only, unless
    --ambiguous is given.
    """
    asked = _prompts(prompts, prompt)
    if not model:
        raise errors.UsageError("no model is given", hint="--model DIR")
    if stream and (len(asked) > 1 or num_return > 1 or search or as_json or out != "-"):
        raise errors.UsageError("--stream prints one answer of a decoder to standard output")
    from seqkit.decoders.sampling import SamplingOptions
    from seqkit.models import continuation, generative, motifs

    sampling = SamplingOptions(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        repetition_penalty=repetition_penalty,
        no_repeat_ngram=no_repeat_ngram,
        min_new_tokens=min_new_tokens,
        max_new_tokens=max_new_tokens or (max_length + 1 if max_length else MOST_TOKENS),
        seed=seed,
    )
    found = {
        "beams": beams,
        "length_penalty": length_penalty,
        "early_stopping": early_stopping,
        "groups": groups,
        "penalty": diversity_penalty,
        "weight": attribute_weight,
    }
    options = continuation.AnswerOptions(
        sampling=sampling,
        decoder=decoder,
        search=search,
        search_options={name: value for name, value in found.items() if value is not None},
        classifier=classifier,
        ngrams=ngrams,
        acceptance_head=acceptance_head,
        constraints=motifs.Constraints(
            wanted=tuple(motif or ()),
            forbidden=tuple(forbid_motif or ()),
            min_length=min_length,
            max_length=max_length,
        ),
        batch_size=batch_size,
        answers=num_return,
    )
    continuation.use_threads(threads)
    loaded = generative.load(model, device=device, dtype=dtype, offline=offline)
    smaller = draft_model and generative.load(draft_model, device=device, dtype=dtype, offline=offline)
    if not ambiguous:
        sampling = dataclasses.replace(sampling, suppress=loaded.ambiguous)
        options = dataclasses.replace(options, sampling=sampling)
    answerer = continuation.Answerer(loaded, options, smaller or None)
    if answerer.is_lossy:
        _tell(f"{answerer.method} is lossy: what comes out is not what the model by itself would say")
    started = time.monotonic()
    if stream:
        _stream(answerer, asked[0], echo)
    else:
        _write(answerer, asked, out, echo=echo, as_json=as_json)
    _tell(_summary(answerer, time.monotonic() - started))


def _prompts(path: str | None, text: str | None) -> "list[Prompt]":
    if (path is None) == (text is None):
        raise errors.UsageError("prompts come from a file or from --prompt", hint="PROMPTS or --prompt TEXT")
    from seqkit.io import prompts

    if path is not None:
        return prompts.read_prompts(path)
    return [prompts.Prompt(text=text or "", name="1", record="--prompt")]


def _stream(answerer: "Answerer", prompt: "Prompt", echo: bool) -> None:
    if echo:
        print(prompt.text, end="", flush=True)
    for piece in answerer.stream(prompt):
        print(piece, end="", flush=True)
    print()


def _write(answerer: "Answerer", asked: "list[Prompt]", out: str, *, echo: bool, as_json: bool) -> None:
    """All answers; a file appears when it is whole."""
    # One answer may have several lines; of several, each has one.
    several = len(asked) * answerer.options.answers > 1
    total = len(asked) * answerer.options.answers
    with _output(out) as file, progress.progress_bar("generating", total, unit="answers") as advance:
        for answer in answerer.answers(asked):
            if as_json:
                line = json.dumps(_record(answerer, answer, echo), ensure_ascii=False)
            elif answer.prompt.is_sequence:
                line = _fasta(answerer, answer, echo)
            else:
                text = answer.prompt.text + answer.text if echo else answer.text
                line = text.replace("\\", "\\\\").replace("\n", "\\n") if several else text
            file.write(line + "\n")
            advance(1)


@contextmanager
def _output(out: str) -> Iterator[TextIO]:
    if out == "-":
        yield sys.stdout
        return
    import io

    from seqkit.io import outputs

    with outputs.output_file(out) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="\n")
        yield text
        text.flush()
        text.detach()


def _fasta(answerer: "Answerer", answer: "Answer", echo: bool) -> str:
    number = f" answer={answer.number}" if answerer.options.answers > 1 else ""
    made = f"model={Path(answerer.model.name).name} decoder={answerer.method}"
    sequence = answer.prompt.text + answer.text if echo else answer.text
    seed = answerer.options.sampling.seed
    return f">{answer.prompt.name}{number} {made} seed={seed}\n{sequence}"


def _record(answerer: "Answerer", answer: "Answer", echo: bool) -> dict[str, Any]:
    record: dict[str, Any] = {"name": answer.prompt.name, "answer": answer.number}
    if echo:
        record["prompt"] = answer.prompt.text
    record |= {
        "text": answer.text,
        "method": answerer.method,
        "tokens": answer.num_tokens,
        "ended": answer.ended,
        "seconds": round(answer.seconds, 6),
    }
    if answer.calls is not None:
        record["calls"] = answer.calls
        record["tokens_per_call"] = round(answer.num_tokens / answer.calls, 4)
        record["acceptance"] = round(answer.acceptance or 0.0, 4)
    if answer.log_prob is not None:
        record["log_prob"] = round(answer.log_prob, 6)
    return record


def _summary(answerer: "Answerer", seconds: float) -> str:
    counts = answerer.statistics
    rate = counts.tokens / max(seconds, 1e-9)
    line = f"{counts.tokens:,} tokens in {seconds:.1f} s ({rate:,.0f} a second) by {answerer.method}"
    if answerer.options.search:
        return line
    return f"{line}: {counts.tokens_per_call:.2f} a call, {counts.acceptance:.0%} of the guesses accepted"


def _tell(message: str) -> None:
    print(f"seqkit: {message}", file=sys.stderr)
