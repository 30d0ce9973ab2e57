"""Examples that can be told apart by what they are made of, and a tiny model to learn it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from seqkit.genomics.finetune.examples import Example
from seqkit.models import genomic
from seqkit.models.genomic import GenomicModel


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models are slower on many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model(tiny_genomic: Callable[..., Path]) -> GenomicModel:
    """A new copy for every test: fine-tuning changes it."""
    return genomic.load(str(tiny_genomic("encoder", "3mer")), device="cpu")


@pytest.fixture(scope="session")
def rich() -> Callable[..., list[Example]]:
    """`rich(40, seed=1)`: sequences rich in C and G, labelled 1, or poor in them, labelled 0."""

    def draw(number: int, seed: int = 0, kind: str = "classification") -> list[Example]:
        rng = np.random.default_rng(seed)
        found = []
        for place in range(number):
            label = place % 2
            share = (0.1, 0.4)[label]
            letters_L = rng.choice(
                np.frombuffer(b"ACGT", dtype=np.uint8),
                size=int(rng.integers(12, 40)),
                p=[0.5 - share, share, share, 0.5 - share],
            )
            found.append(
                Example(
                    name=str(place),
                    letters_L=letters_L,
                    texts=(_text(kind, letters_L, label),),
                    file="a.csv",
                    place=f"line {place + 2}",
                )
            )
        return found

    return draw


def _text(kind: str, letters_L: np.ndarray, label: int) -> str:
    is_strong_L = np.isin(letters_L, np.frombuffer(b"CG", dtype=np.uint8))
    if kind == "tokens":
        return "WS"[label] * letters_L.size
    if kind == "regression":
        return str(float(is_strong_L.mean()))
    if kind == "multilabel":
        return "strong" if label else ""
    return str(label)
