"""Tokens per second and memory of `seqkit pretrain` beside a plain transformers Trainer on an equal model.

    python benchmarks/pretrain_throughput.py GENOME.fa.gz --out pretrain

Both train a Llama of the same sizes on 6-mers of the same genome, with the same rows in a batch, steps,
optimiser (AdamW) and data type, each in a process of its own, in turns. The Trainer gets its tokens
ready-made from memory; seqkit reads the genome, as always. Speed is that of the steps after the first
quarter. Needs `accelerate`, which the Trainer asks for. `seqkit bench page pretrain --into
docs/benchmarks/pretrain.md` puts the table into the documentation.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CONTEXT, D_MODEL, LAYERS, HEADS, FEED_FORWARD = 512, 256, 4, 4, 683
NAMES = ("seqkit", "transformers")


def main() -> None:
    """Measure in turns, or be one of the two processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("genome", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rows", type=int, default=4, help="rows of 512 tokens in a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        arguments.out.mkdir(parents=True, exist_ok=True)
        print(json.dumps(_one(arguments)))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    for _ in range(arguments.rounds):
        for name in NAMES:
            rows[name].append(_in_process(name, arguments))
    sizes = {found["parameters"] for each in rows.values() for found in each}
    if len(sizes) > 1:
        raise SystemExit(f"the models are not equal: {sorted(sizes)} parameters")
    _save(rows, arguments)


def _in_process(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, str(arguments.genome), "--out", str(arguments.out), "--one", name]
    for option in ("steps", "rows", "threads", "dtype"):
        command += [f"--{option}", str(getattr(arguments, option))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(name, told, file=sys.stderr)
    return told


def _one(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(arguments.threads)
    marks: list[float] = []
    if arguments.one == "seqkit":
        parameters = _seqkit(arguments, marks)
    else:
        parameters = _transformers(arguments, marks)
    first = len(marks) // 4
    seconds = (marks[-1] - marks[first]) / (len(marks) - 1 - first)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "tokens_per_second": arguments.rows * CONTEXT / seconds,
        "peak_mb": peak,
        "parameters": parameters,
    }


def _seqkit(arguments: argparse.Namespace, marks: list[float]) -> int:
    import shutil

    from seqkit.genomics.language import pretraining, recipe

    chosen = recipe.Recipe(
        paths=(str(arguments.genome),),
        arch="generator",
        tokenizer="6mer",
        d_model=D_MODEL,
        layers=LAYERS,
        heads=HEADS,
        kv_heads=HEADS,
        feed_forward_size=FEED_FORWARD,
        context=CONTEXT,
        steps=arguments.steps,
        batch_tokens=arguments.rows * CONTEXT,
        held_out=0.0,
        dtype=arguments.dtype,
    )
    out = arguments.out / "seqkit-run"
    shutil.rmtree(out, ignore_errors=True)
    result = pretraining.pretrain(chosen, out, on_step=lambda progress, *rest: marks.append(time.monotonic()))
    return result.parameters


def _transformers(arguments: argparse.Namespace, marks: list[float]) -> int:
    import numpy as np
    import torch
    import transformers

    from seqkit.io import sequences
    from seqkit.tokenizers.kmer import KmerTokenizer

    tokenizer = KmerTokenizer(k=6)
    need = arguments.rows * CONTEXT * arguments.steps
    # The longest record's; letters that are no base would be tokens of their own.
    letters = max((letters for _, letters in sequences.read_records(arguments.genome)), key=len)
    letters = letters[np.isin(letters, np.frombuffer(b"ACGT", np.uint8))][: 6 * need]
    if letters.size < 6 * need:
        raise SystemExit(f"{arguments.genome}: its longest record has fewer than {6 * need:,} bases")
    ids = torch.as_tensor(np.asarray(tokenizer.encode(letters)))[:need].long().view(-1, CONTEXT)
    config = transformers.LlamaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=D_MODEL,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        intermediate_size=FEED_FORWARD,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        rope_theta=500_000.0,
        # As GENERator has it, and so `--arch generator`.
        tie_word_embeddings=False,
    )
    model = transformers.LlamaForCausalLM(config)

    class Marks(transformers.TrainerCallback):
        def on_step_end(self, *told: Any, **kwargs: Any) -> None:
            marks.append(time.monotonic())

    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(arguments.out / "trainer"),
            max_steps=arguments.steps,
            per_device_train_batch_size=arguments.rows,
            bf16=arguments.dtype == "bfloat16",
            learning_rate=1e-3,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=[{"input_ids": row, "labels": row} for row in ids],
        callbacks=[Marks()],
    )
    trainer.train()
    return sum(weight.numel() for weight in model.parameters())


def _save(rows: dict[str, list[dict[str, Any]]], arguments: argparse.Namespace) -> None:
    report = {"kind": "pretrain", "rows": rows, "threads": arguments.threads, "dtype": arguments.dtype}
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    lines = [
        "| trained by | parameters | tokens per second, by round | peak memory by round, MB |",
        "|---|---|---|---|",
    ]
    for name, found in rows.items():
        speeds = ", ".join(f"{one['tokens_per_second']:,.0f}" for one in found)
        peaks = ", ".join(f"{one['peak_mb']:,.0f}" for one in found)
        lines.append(f"| {name} | {found[0]['parameters']:,} | {speeds} | {peaks} |")
    lines += [
        "",
        f"{arguments.steps} steps of {arguments.rows} x {CONTEXT} tokens, {arguments.dtype}, "
        f"{arguments.threads} thread.",
        "",
    ]
    (arguments.out / "report.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
