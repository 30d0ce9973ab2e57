"""Byte pairs against overlapping k-mers at equal compute: the claim of DNABERT-2 (arXiv 2306.15006).

    python benchmarks/bpe_against_kmers.py --data SEQKIT_DEV_DATA --out tokens

Two models of the same size, one on 1,024 byte pairs and one on overlapping 6-mers, are
pretrained on the same genomes for the same processor time on one thread, then fine-tuned for the
same processor time on tasks of GUE. Tells tokens per base, bases and steps per second, the held-out
loss, and the tasks' scores; `seqkit bench page tokens --into docs/benchmarks/tokens.md`
puts them into the documentation. What was done already is not done again.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GENOMES = ("dm3_chr2R.fa.gz", "sacCer_R64_genome.fa.gz", "ecoli_MG1655_GCF_000005845.2.fna.gz")
KINDS = ("bpe", "6mer-overlapping")
#: Bases of a batch are about equal: byte pairs of 1,024 stand for about four bases.
BATCH_TOKENS = {"bpe": 1024, "6mer-overlapping": 4096}
CONTEXT = {"bpe": 128, "6mer-overlapping": 512}
#: Steps of two short runs; what the longer one takes more tells the processor time of a step.
RATE_STEPS = (50, 250)


def main() -> None:
    """Do what is not done yet, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4.0, help="of pretraining each")
    parser.add_argument("--tuning-minutes", type=float, default=1.5, help="of each fine-tuning")
    parser.add_argument("--tasks", default="mouse/2,prom/prom_300_tata,tf/0")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    genomes = [arguments.data / "genomics" / "ref" / name for name in GENOMES]
    byte_pairs = arguments.out / "bpe.json"
    if not byte_pairs.exists():
        _seqkit("tokenize", "train", genomes[1], "--vocab-size", 1024, "-o", byte_pairs)
    tokenizers = {"bpe": byte_pairs, "6mer-overlapping": "6mer-overlapping"}
    rows = [_measured(kind, str(tokenizers[kind]), genomes, arguments) for kind in KINDS]
    _save(rows, arguments)


def _seqkit(*words: object) -> None:
    command = [sys.executable, "-m", "seqkit.cli.main", *map(str, words)]
    print("seqkit", *words, file=sys.stderr)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _measured(
    kind: str, tokenizer: str, genomes: Sequence[Path], arguments: argparse.Namespace
) -> dict[str, Any]:
    model = arguments.out / f"model-{kind}"
    if not (model / "training" / "history.json").exists():
        # The schedule is as long as the time allows, so that both end with a small rate.
        steps = int(60 * arguments.minutes / _seconds_a_step(kind, tokenizer, genomes, arguments.out))
        _keep(arguments.out / f"pretrained-{kind}.json", _pretrain(model, kind, tokenizer, genomes, steps))
    scores = arguments.out / f"gue-{kind}"
    if not (scores / "report.json").exists():
        _seqkit(
            *("bench", "gue", "--data", arguments.data / "genomics" / "benchmarks" / "GUE", "--model", model),
            *("--tasks", arguments.tasks, "--methods", "model", "--seeds", arguments.seeds),
            *("--minutes-per-run", arguments.tuning_minutes, "--threads", 1, "--out", scores),
        )
    history = json.loads((model / "training" / "history.json").read_text())
    return {
        "tokens": kind,
        "steps": len(history["losses"]),
        "processor_seconds": json.loads((arguments.out / f"pretrained-{kind}.json").read_text()),
        "steps_per_second": 1 / _seconds_a_step(kind, tokenizer, genomes, arguments.out),
        "tokens_per_base": _tokens_per_base(tokenizer, genomes[2], arguments.out),
        "held_out": history["evaluations"][-1]["loss"],
        "scores": _scores(scores),
    }


def _pretrain(out: Path, kind: str, tokenizer: str, genomes: Sequence[Path], steps: int) -> float:
    """Seconds of processor time that it took, start-up included."""
    before = _children()
    _seqkit(
        *("pretrain", *genomes, "--arch", "dnabert2", "--tokenizer", tokenizer, "-o", out, "--threads", 1),
        *("--d-model", 128, "--layers", 2, "--heads", 4, "--context", CONTEXT[kind], "--steps", steps),
        *("--batch-tokens", BATCH_TOKENS[kind], "--learning-rate", 2e-3, "--held-out", 0.01, "--seed", 1),
        *("--warmup", max(1, min(100, steps // 10))),
    )
    return _children() - before


def _children() -> float:
    """Seconds of processor time that all commands so far took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds_a_step(kind: str, tokenizer: str, genomes: Sequence[Path], out: Path) -> float:
    """Of processor time, measured once and kept."""
    kept = out / f"seconds-{kind}.json"
    if not kept.exists():
        # The first run on a machine compiles kernels, and reads the genomes from the disk.
        _pretrain(out / f"probe-{kind}", kind, tokenizer, genomes, 1)
        taken = [
            _pretrain(out / f"probe-{kind}-{steps}", kind, tokenizer, genomes, steps) for steps in RATE_STEPS
        ]
        _keep(kept, (taken[1] - taken[0]) / (RATE_STEPS[1] - RATE_STEPS[0]))
    return float(json.loads(kept.read_text()))


def _keep(path: Path, seconds: float) -> None:
    path.write_text(json.dumps(seconds))


def _tokens_per_base(tokenizer: str, genome: Path, out: Path) -> float:
    command = [sys.executable, "-m", "seqkit.cli.main", "tokenize", "stats", str(genome)]
    command += ["--tokenizer", tokenizer, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    told = told[0] if isinstance(told, list) else told
    return float(told["tokens"] / told["letters"])


def _scores(folder: Path) -> dict[str, dict[str, float]]:
    report = json.loads((folder / "report.json").read_text())
    return {
        row["task"]: {"mcc": row["score"]["value"], "low": row["score"]["low"], "high": row["score"]["high"]}
        for row in report["rows"]
    }


def _save(rows: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> None:
    report = {"kind": "tokens", "minutes": arguments.minutes, "rows": list(rows)}
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    tasks = list(rows[0]["scores"])
    head = [
        "tokens",
        "tokens per base",
        "steps per s",
        "bases per s",
        "pretraining, minutes",
        "held-out nats per token",
    ]
    lines = ["| " + " | ".join([*head, *(f"{task}, MCC %" for task in tasks)]) + " |"]
    lines.append("|" + "---|" * (len(head) + len(tasks)))
    for row in rows:
        cells = [
            row["tokens"],
            f"{row['tokens_per_base']:.3f}",
            f"{row['steps_per_second']:.2f}",
            f"{BATCH_TOKENS[row['tokens']] * row['steps_per_second'] / row['tokens_per_base']:,.0f}",
            f"{row['processor_seconds'] / 60:.1f}, {row['steps']:,} steps",
            f"{row['held_out']:.3f}",
        ]
        for task in tasks:
            score = row["scores"][task]
            cells.append(f"{100 * score['mcc']:.1f} ({100 * score['low']:.1f} to {100 * score['high']:.1f})")
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Pretraining: {arguments.minutes:g} minutes of a processor each, d_model 128, 2 layers; tuning: "
        f"{arguments.tuning_minutes:g} minutes, {arguments.seeds} seeds. Losses per token of different "
        "tokens cannot be compared with each other.",
        "",
    ]
    (arguments.out / "report.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
