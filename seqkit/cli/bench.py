"""`seqkit bench`: measure aligners, decoders and models beside the tools people use.

Parses and prints; `seqkit.genomics.bench`, `seqkit.decoders.bench` and `seqkit.genomics.tasks` measure.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from seqkit import errors

__all__ = ["app"]

#: Columns of a table that goes into a file or a pipe.
PLAIN_WIDTH = 140
#: Reports whose `report.md` goes into a page as it is.
PASTED = ("decode", "gue", "pathogen", "pretrain", "recovery", "tokens")

app = typer.Typer(no_args_is_help=True, help="Measure aligners and decoders beside the tools people use.")


@app.callback()
def group() -> None:
    """Measure aligners and decoders beside the tools people use."""


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _conditions(
    cells: list[str], lengths: list[int], error_rates: list[float], pairs: bool
) -> tuple[Any, ...]:
    """The conditions that are named one by one, or else every length with every error rate."""
    from seqkit.genomics.bench import run

    if cells:
        return tuple(run.Condition.parse(text) for text in cells)
    return tuple(
        run.Condition(length=length, error=error, is_paired=pairs)
        for length in lengths
        for error in error_rates
    )


@app.command()
def align(
    ref: Annotated[Path, typer.Option("--ref", help="Reference sequences, plain or compressed.")],
    reads: Annotated[
        int, typer.Option(help="Reads, or pairs, per condition; at most so many real ones.")
    ] = 20_000,
    length: Annotated[
        list[int] | None, typer.Option(help="Read length; repeat for several.", show_default="150")
    ] = None,
    error: Annotated[
        list[float] | None,
        typer.Option(help="Substitutions per base; repeat for several.", show_default="0.01"),
    ] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Simulate pairs.")] = False,
    cell: Annotated[
        list[str] | None,
        typer.Option(
            help="One condition, LENGTH:ERROR or LENGTH:ERROR:pairs; replaces --length, --error, --pairs."
        ),
    ] = None,
    insert: Annotated[float, typer.Option(help="Mean outer distance of pairs.")] = 500.0,
    insert_sd: Annotated[float, typer.Option(help="Its standard deviation.")] = 50.0,
    indel_error: Annotated[float, typer.Option(help="Sequencing indels per base (simulator `own`).")] = 0.0,
    simulator: Annotated[str, typer.Option(help="own or wgsim.")] = "own",
    region: Annotated[str | None, typer.Option(help="Take reads from NAME:FROM-TO only.")] = None,
    peers: Annotated[
        str, typer.Option(help="Aligners, comma-separated; or `installed`; or `none` for seqkit alone.")
    ] = "installed",
    fastq: Annotated[Path | None, typer.Option(help="Real reads instead of simulated ones.")] = None,
    fastq2: Annotated[Path | None, typer.Option(help="Their mates.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
    threads: Annotated[int, typer.Option("-t", "--threads", help="Threads of each aligner.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("bench-align"),
    work: Annotated[
        Path | None,
        typer.Option(
            help="Folder for indexes and reads; give the same one to reuse indexes.", show_default="OUT/work"
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the SAM files.")] = False,
    rebuild_index: Annotated[
        bool, typer.Option("--rebuild-index", help="Do not reuse earlier indexes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Simulate reads, run seqkit and its peers, and judge them; or compare them on real reads.

    Prints the tables and saves report.json, report.tsv, report.md and pictures. Ends with code 1 when an
    aligner failed or lost a read; the others' results are still there.
    """
    if fastq2 and not fastq:
        raise errors.UsageError("--fastq2 needs --fastq")
    from seqkit.genomics.bench import peers as known
    from seqkit.genomics.bench import report, run, saved

    config = run.BenchConfig(
        reference=ref,
        out=out,
        work=work,
        num_fragments=reads,
        conditions=() if fastq else _conditions(cell or [], length or [150], error or [0.01], pairs),
        peers=known.choose(peers),
        simulator=simulator,
        region=region,
        fastq=tuple(path for path in (fastq, fastq2) if path),
        seed=seed,
        threads=threads,
        insert_mean=insert,
        insert_sd=insert_sd,
        indel_error=indel_error,
        keep=keep,
        rebuild=rebuild_index,
    )
    results = run.run(config, command=_command_line(), tell=_tell)
    report.save(results, out)
    if as_json:
        print(saved.to_json(results))
    else:
        from rich.console import Console

        report.show(results, Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH))
    if results.failures:
        lines = [f"{failure.what}: {failure.why}" for failure in results.failures]
        raise errors.PartialFailureError(f"{len(lines)} failed: {'; '.join(lines)}")


@app.command()
def decode(
    model: Annotated[str, typer.Option("--model", help="Model: a folder, or a name on the hub.")],
    prompts: Annotated[
        list[str],
        typer.Option(
            "--prompts",
            help="Lines of text, FASTA or FASTQ; repeat for several sets. The first only warms up.",
        ),
    ],
    draft_model: Annotated[
        str | None, typer.Option("--draft-model", help="Smaller model with the same tokens.")
    ] = None,
    decoders: Annotated[str, typer.Option(help="Decoders, comma-separated; or `all` that can run.")] = "all",
    most_prompts: Annotated[int, typer.Option(help="Measure so many prompts of a set.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(help="Most new tokens of a prompt.")] = 128,
    rounds: Annotated[int, typer.Option(help="Time everything so often, in turns.")] = 3,
    peers: Annotated[bool, typer.Option(help="Time transformers' own decoding as well.")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16 or auto.")] = "float32",
    threads: Annotated[int, typer.Option("-t", "--threads", help="Threads of a pass; 0 for all.")] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("bench-decode"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Time decoders beside plain decoding and transformers' own, on one model and the same prompts.

    Prints a table for every set of prompts and saves report.json, report.tsv, report.md and a picture. Every
    exact decoder's output is compared with plain decoding's; a difference ends with code 1.
    """
    from seqkit.decoders.bench import report
    from seqkit.models import decoding_benchmark

    config = decoding_benchmark.DecodeBench(
        model=model,
        draft=draft_model,
        prompts=tuple(prompts),
        decoders=() if decoders == "all" else tuple(decoders.split(",")),
        most_prompts=most_prompts,
        new_tokens=max_new_tokens,
        rounds=rounds,
        with_peers=peers,
        device=device,
        dtype=dtype,
        threads=threads,
        out=out,
        command=_command_line(),
    )
    results = decoding_benchmark.run(config, _tell)
    if as_json:
        print(report.as_json(results))
    else:
        for name, outcomes in report.sets(results).items():
            _print_table(name, report.COLUMNS, report.rows(outcomes))
    _refuse_differences(results)


@app.command()
def gue(
    data: Annotated[Path, typer.Option("--data", help="Folder of GUE: TASK/train.csv, dev.csv, test.csv.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model of nucleotides: a name, or a folder.")
    ] = "dna-small",
    tasks: Annotated[str, typer.Option(help="Tasks, comma-separated; or `all`.")] = "all",
    methods: Annotated[str, typer.Option(help="model, cnn, k-mers, comma-separated; or `all`.")] = "all",
    seeds: Annotated[int, typer.Option(help="Measure so often.")] = 3,
    minutes_per_run: Annotated[float, typer.Option(help="For training once, on a processor.")] = 1.5,
    max_train: Annotated[
        int | None, typer.Option(help="Training sequences that are used.", show_default="all")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of fine-tuning, at most.")] = 12,
    learning_rate: Annotated[float, typer.Option(help="Of fine-tuning, at its peak.")] = 1e-3,
    dtype: Annotated[str, typer.Option(help="Of fine-tuning: float32 or bfloat16.")] = "bfloat16",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option("-t", "--threads", help="Threads; 0 for all.", min=0)] = 1,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no model.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("gue"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Fine-tune a model on tasks of GUE, beside a network from nothing and a regression on k-mers.

    Each measurement is kept in OUT/runs: what was interrupted goes on, and several processes may share OUT.
    Prints a table and saves report.json, report.tsv, report.md and a picture. Intervals hold 95 % of
    resamples of the test split.
    """
    from seqkit.genomics.tasks import gue as benchmark
    from seqkit.genomics.tasks import gue_report
    from seqkit.models import continuation

    continuation.use_threads(threads)
    config = benchmark.GueConfig(
        data=data,
        model=model,
        out=out,
        tasks=tuple(benchmark.TASKS) if tasks == "all" else tuple(tasks.split(",")),
        methods=benchmark.METHODS if methods == "all" else tuple(methods.split(",")),
        seeds=seeds,
        minutes=minutes_per_run,
        most=max_train,
        epochs=epochs,
        learning_rate=learning_rate,
        dtype=dtype,
        device=device,
        offline=offline,
    )
    runs = benchmark.measure(config, _tell)
    found = gue_report.rows(runs)
    gue_report.save(found, runs, out, _command_line())
    if as_json:
        print(gue_report.as_json(found, runs, _command_line()))
    else:
        _print_table("GUE", gue_report.COLUMNS, [gue_report.cells(row) for row in found])


@app.command()
def pathogen(
    data: Annotated[Path, typer.Option("--data", help="Folder with meta/ and ref/, see the docs page.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model of nucleotides: a name, or a folder.")
    ] = "dna-small",
    splits: Annotated[
        str, typer.Option(help="genome, read (which leaks), comma-separated; or `all`.")
    ] = "all",
    methods: Annotated[str, typer.Option(help="model, cnn, k-mers, comma-separated; or `all`.")] = "all",
    seeds: Annotated[int, typer.Option(help="Split, draw and measure so often.")] = 3,
    minutes_per_run: Annotated[float, typer.Option(help="For training once, on a processor.")] = 1.5,
    max_train: Annotated[int, typer.Option(help="Training reads.")] = 20_000,
    test_reads: Annotated[int, typer.Option(help="Test reads; the dev split has half as many.")] = 4_000,
    length: Annotated[int, typer.Option(help="Letters of a read, at most 150.")] = 150,
    error: Annotated[float, typer.Option(help="Substitutions per letter.")] = 0.01,
    epochs: Annotated[int, typer.Option(help="Of fine-tuning, at most.")] = 12,
    learning_rate: Annotated[float, typer.Option(help="Of fine-tuning, at its peak.")] = 1e-3,
    dtype: Annotated[str, typer.Option(help="Of fine-tuning: float32 or bfloat16.")] = "bfloat16",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option("-t", "--threads", help="Threads; 0 for all.", min=0)] = 1,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no model.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("pathogen"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Tell reads of viruses and resistance genes from reads of bacteria and human, lineages never seen.

    Lineages, sequences that share k-mers, are never parted by a split. A model is fine-tuned beside a
    network from nothing and a regression on k-mers. Each measurement is kept in OUT/runs: what was
    interrupted goes on. Prints a table and saves report.json, report.tsv, report.md and a picture.
    Intervals hold 95 % of resamples of the test lineages.
    """
    from seqkit.genomics.tasks import pathogen as benchmark
    from seqkit.genomics.tasks import pathogen_report
    from seqkit.models import continuation

    continuation.use_threads(threads)
    config = benchmark.PathogenConfig(
        data=data,
        model=model,
        out=out,
        ways=benchmark.WAYS if splits == "all" else tuple(splits.split(",")),
        methods=benchmark.METHODS if methods == "all" else tuple(methods.split(",")),
        seeds=seeds,
        minutes=minutes_per_run,
        train=max_train,
        dev=test_reads // 2,
        test=test_reads,
        length=length,
        error=error,
        epochs=epochs,
        learning_rate=learning_rate,
        dtype=dtype,
        device=device,
        offline=offline,
    )
    runs = benchmark.measure(config, _tell)
    found = pathogen_report.rows(runs)
    pathogen_report.save(found, runs, out, _command_line())
    if as_json:
        print(pathogen_report.as_json(found, runs, _command_line()))
    else:
        _print_table(
            "Reads of pathogens", pathogen_report.COLUMNS, [pathogen_report.cells(row) for row in found]
        )


@app.command()
def recovery(
    model: Annotated[str, typer.Option("--model", "-m", help="Folder of a model that continues sequences.")],
    ref: Annotated[Path, typer.Option("--ref", help="Genome, plain or compressed.")],
    held_out: Annotated[
        str, typer.Option(help="NAME:FROM-TO: part of it that the model did not see; prompts lie there.")
    ],
    prompt_length: Annotated[
        list[int] | None,
        typer.Option(help="Bases of a prompt; repeat for several.", show_default="96, 192, 384, 768"),
    ] = None,
    new: Annotated[int, typer.Option(help="Bases to generate after each.")] = 30,
    prompts: Annotated[int, typer.Option(help="Prompts of each length.")] = 200,
    order: Annotated[int, typer.Option(help="Bases of context of the Markov model.")] = 8,
    decoders: Annotated[
        str, typer.Option(help="Decoders to time, comma-separated; or `none`.")
    ] = "copyspec,recycling,aded,jacobi",
    decoder_prompts: Annotated[int, typer.Option(help="Prompts of each length to time them on.")] = 8,
    rounds: Annotated[int, typer.Option(help="Time everything so often, in turns.")] = 3,
    orfs: Annotated[int, typer.Option(help="Open reading frames to continue, at most; 0 for none.")] = 200,
    orf_least: Annotated[int, typer.Option(help="Bases of an open reading frame.")] = 600,
    orf_prompt: Annotated[int, typer.Option(help="Bases of its first half that are given, at most.")] = 600,
    orf_new: Annotated[int, typer.Option(help="Bases to generate after it.")] = 120,
    orf_temperature: Annotated[float, typer.Option(help="Of what is drawn there; 0: most likely.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of places and shuffles.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, float16 or auto.")] = "float32",
    threads: Annotated[int, typer.Option("-t", "--threads", help="Threads; 0 for all.", min=0)] = 1,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("recovery"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Continue prompts from a part of a genome that a model did not see, and compare with what stands there.

    Beside it the most frequent base, a Markov model of the rest of the file, and copies from the prompt;
    the engine's decoders on the same prompts; and stops in what follows halves of open reading frames.
    Prints tables and saves report.json, report.tsv, report.md and a picture. Ends with code 1 when an exact
    decoder's output is not plain decoding's.
    """
    from seqkit.genomics.tasks import recovery as benchmark
    from seqkit.genomics.tasks import recovery_report
    from seqkit.models import continuation

    continuation.use_threads(threads)
    config = benchmark.RecoveryConfig(
        model=model,
        ref=ref,
        held_out=held_out,
        out=out,
        lengths=tuple(prompt_length or benchmark.LENGTHS),
        new=new,
        prompts=prompts,
        order=order,
        decoders=() if decoders == "none" else tuple(decoders.split(",")),
        decoder_prompts=decoder_prompts,
        rounds=rounds,
        orfs=orfs,
        orf_least=orf_least,
        orf_prompt=orf_prompt,
        orf_new=orf_new,
        orf_temperature=orf_temperature,
        seed=seed,
        device=device,
        dtype=dtype,
        threads=threads,
        command=_command_line(),
    )
    found = benchmark.measure(config, _tell)
    recovery_report.save(found, out, _command_line())
    if as_json:
        print(recovery_report.as_json(found, _command_line()))
    else:
        for title, head, rows in recovery_report.tables(found):
            _print_table(title, head, rows)
    _refuse_differences(found.decoders)


def _refuse_differences(results: Any) -> None:
    """End with code 1 where an exact decoder's output was not plain decoding's."""
    if results is not None and results.failures:
        wrong = ", ".join(f"{failure.name} on {failure.prompts}" for failure in results.failures)
        raise errors.PartialFailureError(f"the output differs from plain decoding's: {wrong}")


def _print_table(title: str, head: Any, rows: Any) -> None:
    print(f"{title}\n")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for line in (head, *rows):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
    print()


@app.command()
def page(
    reports: Annotated[list[Path], typer.Argument(help="Folders that `seqkit bench ... --out` made.")],
    into: Annotated[Path, typer.Option("--into", help="Markdown page with markers for each folder's name.")],
) -> None:
    """Draw saved reports again, between their markers in a page and their pictures beside it."""
    from seqkit.genomics.bench import report
    from seqkit.io import pages

    for folder in reports:
        if pages.kind_of(folder) in PASTED:
            pages.paste(folder, into)
        else:
            report.paste(folder, into)


def _command_line() -> str:
    """The command as the user could repeat it, with paths cut to their last part."""
    words = [Path(word).name if word.startswith(("/", "~")) else word for word in sys.argv[1:]]
    return shlex.join(["seqkit", *words])
