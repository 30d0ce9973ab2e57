"""Soft labels of published AudioSet taggers, for a sound encoder to learn from. Neither is shipped.

    python benchmarks/sounds/teachers.py manifest.jsonl --teacher mn04 -o labels-mn04.safetensors
    python benchmarks/sounds/teachers.py manifest.jsonl --teacher yamnet -o labels-yamnet.safetensors

For every piece of the manifest (`seqkit.audio.encoders.corpus.cut`, with the recipe's lengths): probabilities
(N, 527) of AudioSet's classes, -1 where the teacher does not know the class, and its embedding, both float16.

mn04 is EfficientAT's (Schmid et al., ICASSP 2023, arXiv 2211.04772): MobileNetV3 (arXiv 1905.02244) four
tenths as wide, on 128 bands of energies. YAMNet runs in LiteRT, from PyPI's ai-edge-litert.

Shape suffixes: N pieces, S samples, K channels, M mel bands, T frames, C classes, D embedding.
"""

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torchaudio
from reading import load
from torch import nn

from seqkit.audio import classes
from seqkit.audio.encoders import corpus

WEIGHTS = Path(os.environ.get("SEQKIT_DEV_DATA", "~/.cache/seqkit-dev-data")).expanduser() / "weights"
#: MobileNetV3-Large: kernel, channels within, after, excites, Hardswish, stride.
LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


def eights(count: float) -> int:
    """The nearest multiple of eight that is not a tenth less."""
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * count else rounded + 8


def convolution(
    inward: int, outward: int, kernel: int, stride: int, groups: int, act: nn.Module
) -> nn.Module:
    layer = nn.Conv2d(inward, outward, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outward, eps=0.001), act)


class Excitation(nn.Module):
    """Squeeze and excitation over channels, under the names of the published weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layer = nn.Module()
        layer.fc1 = nn.Linear(channels, eights(channels // 4))
        layer.fc2 = nn.Linear(eights(channels // 4), channels)
        self.conc_se_layers = nn.ModuleList([layer])

    def forward(self, x_NKMT: torch.Tensor) -> torch.Tensor:
        """Channels, each scaled."""
        layer = self.conc_se_layers[0]
        scale_NK = layer.fc2(layer.fc1(x_NKMT.mean((2, 3))).relu()).sigmoid()
        return x_NKMT * scale_NK[:, :, None, None]


class Block(nn.Module):
    """Widen, convolve each channel for itself, excite, narrow."""

    def __init__(self, inward: int, row: tuple, width: float) -> None:
        super().__init__()
        kernel, within, outward, excites, hard, stride = row
        within, outward = eights(within * width), eights(outward * width)
        act = nn.Hardswish if hard else nn.ReLU
        layers = [] if within == inward else [convolution(inward, within, 1, 1, 1, act())]
        layers.append(convolution(within, within, kernel, stride, within, act()))
        layers += [Excitation(within)] if excites else []
        layers.append(convolution(within, outward, 1, 1, 1, nn.Identity()))
        self.block = nn.Sequential(*layers)
        self.is_residual, self.outward = stride == 1 and inward == outward, outward

    def forward(self, x_NKMT: torch.Tensor) -> torch.Tensor:
        """Channels of the next block."""
        return x_NKMT + self.block(x_NKMT) if self.is_residual else self.block(x_NKMT)


class MobileTagger(nn.Module):
    """Waves (N, S) at 32 kHz to class logits (N, 527) and an embedding (N, D)."""

    rate = 32_000

    def __init__(self, width: float = 0.4) -> None:
        super().__init__()
        first = channels = eights(16 * width)
        blocks = []
        for row in LARGE:
            blocks.append(Block(channels, row, width))
            channels = blocks[-1].outward
        last = 6 * channels
        stem = convolution(1, first, 3, 2, 1, nn.Hardswish())
        self.features = nn.Sequential(stem, *blocks, convolution(channels, last, 1, 1, 1, nn.Hardswish()))
        hidden = eights(1280 * width)
        head = [nn.Identity(), nn.Identity(), nn.Linear(last, hidden), nn.Hardswish(), nn.Identity()]
        self.classifier = nn.Sequential(*head, nn.Linear(hidden, 527))
        bank, _ = torchaudio.compliance.kaldi.get_mel_banks(
            128, 1024, 32_000, 0.0, 15_000.0, vtln_low=100.0, vtln_high=-500.0, vtln_warp_factor=1.0
        )
        self.register_buffer("bank_MF", nn.functional.pad(bank, (0, 1)), persistent=False)
        self.register_buffer("window_S", torch.hann_window(800, periodic=False), persistent=False)

    @classmethod
    def load(cls) -> "MobileTagger":
        """The published tagger."""
        tagger = cls()
        path = WEIGHTS / "efficientat_mn04" / "mn04_as_mAP_432.pt"
        tagger.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        return tagger.eval().to(memory_format=torch.channels_last)

    def energies(self, waves_NS: torch.Tensor) -> torch.Tensor:
        """Log-mel energies (N, M, T) as it was trained on."""
        sharp_NS = waves_NS[:, 1:] - 0.97 * waves_NS[:, :-1]
        spectrum = torch.stft(
            sharp_NS, 1024, 320, 800, self.window_S, center=True, pad_mode="reflect", return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return ((self.bank_MF @ power + 1e-5).log() + 4.5) / 5.0

    def forward(self, waves_NS: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and embeddings of waves."""
        vector_ND = self.features(self.energies(waves_NS)[:, None]).mean((2, 3))
        return self.classifier(vector_ND), vector_ND

    def label(self, wave_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (C,) and embedding (D,) of one wave."""
        wave_S = np.pad(wave_S, (0, max(0, self.rate // 2 - len(wave_S))))
        with torch.inference_mode():
            logits, vector = self.forward(torch.from_numpy(wave_S)[None])
        return logits[0].sigmoid().numpy(), vector[0].numpy()


class Yamnet:
    """Waves (S,) at 16 kHz; each class's mean probability over frames, and the mean embedding."""

    rate = 16_000

    def __init__(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(WEIGHTS / "yamnet" / "yamnet.tflite"), num_threads=1)
        with open(WEIGHTS / "yamnet" / "yamnet_class_map.csv", encoding="utf-8") as table:
            identifiers = [entry["mid"] for entry in csv.DictReader(table)]
        places = {identifier: place for place, (identifier, _) in enumerate(classes.audioset())}
        self.places = [places.get(identifier) for identifier in identifiers]

    @classmethod
    def load(cls) -> "Yamnet":
        """The published tagger."""
        return cls()

    def label(self, wave_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (C,) and embedding (D,) of one wave."""
        samples = int(0.975 * self.rate)
        shape = self.interpreter.get_input_details()[0]["shape"]
        starts = range(0, max(1, len(wave_S) - samples // 2), samples)
        answers = [self.frame(np.pad(wave_S[s : s + samples], (0, samples))[:samples], shape) for s in starts]
        scores = np.mean(answers, axis=0)
        probabilities = np.full(len(classes.audioset()), -1.0, dtype=np.float32)
        for place, score in zip(self.places, scores, strict=True):
            if place is not None:
                probabilities[place] = score
        return probabilities, np.zeros(0, dtype=np.float32)

    def frame(self, part_S: np.ndarray, shape: np.ndarray) -> np.ndarray:
        """Scores of YAMNet's own classes for one frame."""
        inward = self.interpreter.get_input_details()[0]
        if tuple(shape) != (part_S.shape[0],):
            self.interpreter.resize_tensor_input(inward["index"], part_S.shape)
        self.interpreter.allocate_tensors()
        self.interpreter.set_tensor(inward["index"], part_S.astype(np.float32))
        self.interpreter.invoke()
        outward = self.interpreter.get_output_details()
        found = [self.interpreter.get_tensor(entry["index"]) for entry in outward]
        return next(table.reshape(-1, 521).mean(0) for table in found if table.shape[-1] == 521)


TEACHERS = {"mn04": MobileTagger, "yamnet": Yamnet}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--teacher", choices=TEACHERS, required=True)
    parser.add_argument("--seconds", type=float, default=5.0, help="longest piece")
    parser.add_argument("--most", type=int, default=6, help="pieces of one sound")
    parser.add_argument("--skip", default="", help="a source whose pieces are not labelled: nothing is known")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    teacher = TEACHERS[arguments.teacher].load()
    sounds = corpus.read_manifest(arguments.manifest)
    pieces = corpus.cut(sounds, seconds=arguments.seconds, most=arguments.most)
    began, probabilities, vectors = time.monotonic(), [], []
    for place, wave_S in enumerate(corpus.read_waves(pieces, teacher.rate, load)):
        if arguments.skip and pieces[place].sound.source == arguments.skip:
            probability_C = np.full_like(probabilities[0], -1.0)
        else:
            probability_C, vector_D = teacher.label(np.ascontiguousarray(wave_S))
        probabilities.append(probability_C)
        vectors.append(vector_D)
        if place % 200 == 199:
            print(
                f"{place + 1} of {len(pieces)}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True
            )
    told = {"teacher": arguments.teacher, "pieces": corpus.digest(pieces)}
    tables = {"probabilities": np.stack(probabilities), "embeddings": np.stack(vectors)}
    tensors = {name: torch.from_numpy(table).half() for name, table in tables.items()}
    safetensors.torch.save_file(tensors, arguments.out, metadata={"labels": json.dumps(told)})


if __name__ == "__main__":
    main()
