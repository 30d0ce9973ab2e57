"""How fast `seqkit transcribe` is, faces and mouths included, and how its memory grows with length.

    python benchmarks/speech/speed.py GRID_SPEAKER --out speed --page docs/benchmarks/speech.md

Clips are joined, without decoding them, to films of several lengths; the program
transcribes each in a process of its own, on two threads. Time is told with and without what
starting the program takes (that of a film of a few seconds).
"""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from seqkit.io import pages
from seqkit.vision_speech import manifest
from seqkit.vision_speech.recipe import names_file

THREADS = "2"


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run of the program took: seconds of wall and of processors, and memory in MB at its most."""

    wall: float
    processor: float
    memory: float


def joined(clips: Sequence[Path], seconds: float, out: Path) -> float:
    """Write clips one after the other, again from the first, until they last so long; returns how long."""
    with av.open(str(out), "w") as film:
        tracks = {}
        with av.open(str(clips[0])) as clip:
            for stream in (clip.streams.video[0], clip.streams.audio[0]):
                tracks[stream.type] = film.add_stream_from_template(stream)
        length, number = Fraction(0), 0
        latest: dict[str, Fraction] = {}
        while length < seconds:
            with av.open(str(clips[number % len(clips)])) as clip:
                wanted = (clip.streams.video[0], clip.streams.audio[0])
                lasting = wanted[0].duration * wanted[0].time_base
                for packet in clip.demux(*wanted):
                    kind = packet.stream.type
                    if packet.dts is None or packet.pts * packet.time_base >= lasting:
                        continue
                    shift = round(length / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    moment = packet.dts * packet.time_base
                    if moment <= latest.get(kind, Fraction(-1)):
                        continue  # what an encoder of sound puts before its beginning
                    latest[kind] = moment
                    packet.stream = tracks[kind]
                    film.mux(packet)
            length, number = length + lasting, number + 1
    return float(length)


def measured(path: Path, options: Sequence[str]) -> Run:
    """The program on a film."""
    environment = {**os.environ, "OMP_NUM_THREADS": THREADS}
    command = [
        sys.executable,
        "-m",
        "seqkit.cli.main",
        "transcribe",
        str(path),
        "--threads",
        THREADS,
        *options,
    ]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    wall = time.perf_counter() - started
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", type=Path, help="a GRID speaker's folder")
    parser.add_argument("--only", default="grid-test.txt", help="names of the clips that are joined")
    parser.add_argument("--minutes", default="1,5,20", help="lengths of the films")
    parser.add_argument("--modalities", default="audio,video,av")
    parser.add_argument("--model", default="speech-small")
    parser.add_argument("--decoder", default="beam")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="where the report belongs, between its markers")
    arguments = parser.parse_args()
    names = manifest.read_names(names_file(arguments.only, Path()))
    clips = [line.file for line in manifest.read(arguments.clips) if line.name in names]
    options = ["--model", arguments.model, "--decoder", arguments.decoder]
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for modality in arguments.modalities.split(","):
        chosen = [*options, "--modality", modality]
        path = arguments.out / "film.mp4"
        joined(clips, 1, path)
        start = measured(path, chosen)
        for minutes in map(float, arguments.minutes.split(",")):
            seconds = joined(clips, 60 * minutes, path)
            run = measured(path, chosen)
            row = {
                "modality": modality,
                "seconds": seconds,
                "start": start.wall,
                "start_memory": start.memory,
            }
            rows.append({**row, **dataclasses.asdict(run)})
        path.unlink()
    write(arguments.out, rows, arguments.decoder)
    if arguments.page:
        pages.paste(arguments.out, arguments.page)


def write(out: Path, rows: Sequence[dict[str, float | str]], decoder: str) -> None:
    """The report as a page's piece and as JSON."""
    lines = [
        f"{THREADS} threads, {platform.machine()}, {os.cpu_count()} cores; decoder `{decoder}`.",
        "",
        "| given | film, s | wall, s | real-time factor | without start-up | processors, s | memory, MB "
        "| of which at the start |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        seconds, wall, start = (float(row[name]) for name in ("seconds", "wall", "start"))
        lines.append(
            f"| {row['modality']} | {seconds:.0f} | {wall:.1f} | {wall / seconds:.3f} "
            f"| {max(0.0, wall - start) / seconds:.3f} | {row['processor']:.1f} | {row['memory']:.0f} "
            f"| {row['start_memory']:.0f} |"
        )
    (out / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = {"kind": "speech-speed", "decoder": decoder, "runs": list(rows)}
    (out / "report.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print((out / "report.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
