"""How well a sound encoder tells sounds it was never trained on, beside the teachers it learned from.

    python benchmarks/sounds/measure.py manifest.jsonl --encoder FOLDER --labels labels-mn04.safetensors ...

Measures of every labelled source. "probe": a linear classifier on a vector per piece, fitted on the train
split and asked of the test split. "left out": the same within the train split, of recordings (of TAU scenes,
cities) that it was not fitted on, in ten parts; only of teachers, as encoders have learned from all of these.
"named": how often the surest of the classes that its labels stand for is a class of a test piece, without
fitting anything. And the time of a 10-s clip on one thread.

Shape suffixes: N pieces, C classes, D vector.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from reading import load
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seqkit.audio import classes
from seqkit.audio.encoders import corpus, kinds, labels
from seqkit.audio.encoders.heard import SoundEncoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--encoder", type=Path, action="append", default=[])
    parser.add_argument("--labels", type=Path, action="append", default=[])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--most", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sounds = corpus.read_manifest(arguments.manifest)
    pieces = corpus.cut(sounds, seconds=arguments.seconds, most=arguments.most)
    told = [number for number, piece in enumerate(pieces) if piece.sound.label]
    asked = [pieces[number] for number in told]
    answers = {}
    for path in arguments.labels:
        tables = labels.read_labels(path, pieces)
        answers[path.stem] = tuple(table[told] for table in tables)
    for folder in arguments.encoder:
        encoder = kinds.load(folder)
        answers[folder.name] = listen(encoder, asked)
        print(f"{folder.name}: {milliseconds(encoder):.1f} ms for 10 s on one thread")
    print("| source | pieces of train, test | answers of | probe (%) | left out (%) | named (%) |")
    print("|---|---|---|---|---|---|")
    for source in sorted({piece.sound.source for piece in asked if piece.sound.split == "test"}):
        for name, (probability_NC, vector_ND) in answers.items():
            is_teacher = name in (path.stem for path in arguments.labels)
            print(row(source, asked, name, probability_NC, vector_ND, is_teacher))


def listen(encoder: SoundEncoder, pieces: list[corpus.Piece]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, C) and vectors (N, D)."""
    rate = encoder.mel.config.rate
    probabilities, vectors = [], []
    with torch.inference_mode():
        for wave_S in corpus.read_waves(pieces, rate, load):
            heard = encoder.hear([torch.from_numpy(wave_S.copy())])
            probabilities.append(heard.logits_BC[0].sigmoid().numpy())
            vectors.append(heard.vector_BD[0].numpy())
    return np.stack(probabilities), np.stack(vectors)


def milliseconds(encoder: SoundEncoder) -> float:
    wave_S, times = torch.randn(10 * encoder.mel.config.rate) * 0.1, []
    with torch.inference_mode():
        for _ in range(25):
            began = time.perf_counter()
            encoder.hear([wave_S])
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times[5:])


def row(
    source: str,
    pieces: list[corpus.Piece],
    name: str,
    probability_NC: np.ndarray,
    vector_ND: np.ndarray,
    is_teacher: bool,
) -> str:
    places = {split: pick(pieces, source, split) for split in ("train", "test")}
    label_N = np.array([piece.sound.label for piece in pieces])
    probe = left_out = "-"
    if vector_ND.shape[1]:
        classifier = LogisticRegression(C=0.001, max_iter=3000, class_weight="balanced")
        model = make_pipeline(StandardScaler(), classifier)
        if is_teacher:
            recordings = np.array([recording(pieces[number]) for number in places["train"]])
            told = cross_val_predict(
                model,
                vector_ND[places["train"]],
                label_N[places["train"]],
                groups=recordings,
                cv=GroupKFold(min(10, len(set(recordings)))),
            )
            left_out = f"{100 * np.mean(told == label_N[places['train']]):.1f}"
        model.fit(vector_ND[places["train"]], label_N[places["train"]])
        probe = f"{100 * model.score(vector_ND[places['test']], label_N[places['test']]):.1f}"
    of_source = [piece for piece in pieces if piece.sound.source == source]
    candidates = sorted({c for piece in of_source for c in classes.indices(piece.sound.classes)})
    hits = []
    for number in places["test"]:
        best = candidates[int(probability_NC[number, candidates].argmax())]
        hits.append(best in classes.indices(pieces[number].sound.classes))
    counts = f"{len(places['train'])}, {len(places['test'])}"
    return f"| {source} | {counts} | {name} | {probe} | {left_out} | {100 * np.mean(hits):.1f} |"


def recording(piece: corpus.Piece) -> str:
    """What pieces of one recording, or of one city, share in their names."""
    parts = piece.sound.file.stem.split("-")
    return parts[0] if piece.sound.source == "urbansound8k" else parts[1]


def pick(pieces: list[corpus.Piece], source: str, split: str) -> list[int]:
    return [n for n, p in enumerate(pieces) if p.sound.source == source and p.sound.split == split]


if __name__ == "__main__":
    main()
