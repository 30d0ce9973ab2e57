"""A baseline that starts from nothing: a small convolutional network on the letters.

Two layers of motif scanners and a maximum over places, as in DeepBind (Alipanahi et
al. 2015). When to stop is chosen on the dev split. This file knows torch; it does not
know tasks.

Shape suffixes: B sequences of a batch, N sequences, L letters, F filters, P places after pooling, C classes.
"""

import copy
import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seqkit.genomics.finetune import metrics
from seqkit.genomics.tasks.split import Split
from seqkit.genomics.tokens.files import reverse_complement
from seqkit.tokenizers import letters as codes

__all__ = ["ConvolutionClassifier", "ConvolutionConfig", "fit"]

_BASES = 4
#: The code of what is no base, and of padding.
_NONE = 4
_AT_ONCE = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvolutionConfig:
    """Shape and training of the network.

    Attributes
    ----------
    filters : F, of both layers.
    width, second_width : letters that a filter sees, and places that one of the second layer sees.
    pool : places that the maximum between the layers takes together.
    epochs : at most; `patience` of them without gain on the dev split end the training.
    minutes : time for training, or None.
    both_strands : sequences are seen from either strand, and answers of both are averaged.
    """

    filters: int = 64
    width: int = 13
    second_width: int = 5
    pool: int = 4
    dropout: float = 0.3
    epochs: int = 30
    patience: int = 4
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    minutes: float | None = None
    both_strands: bool = False


class _Network(nn.Module):
    def __init__(self, classes: int, config: ConvolutionConfig) -> None:
        super().__init__()
        filters = config.filters
        self.first = nn.Conv1d(_BASES, filters, config.width, padding=config.width // 2)
        self.second = nn.Conv1d(filters, filters, config.second_width, padding=config.second_width // 2)
        self.norms = nn.ModuleList([nn.BatchNorm1d(filters), nn.BatchNorm1d(filters)])
        self.pool = config.pool
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(2 * filters, classes)

    def forward(self, codes_BL: torch.Tensor) -> torch.Tensor:
        """Answers (B, C)."""
        letters_B4L = functional.one_hot(codes_BL, _NONE + 1)[:, :, :_BASES].transpose(1, 2).float()
        found_BFL = functional.relu(self.norms[0](self.first(letters_B4L)))
        found_BFP = functional.max_pool1d(found_BFL, self.pool, ceil_mode=True)
        found_BFP = functional.relu(self.norms[1](self.second(self.dropout(found_BFP))))
        pooled_BF = torch.cat([found_BFP.amax(dim=-1), found_BFP.mean(dim=-1)], dim=1)
        return self.out(self.dropout(pooled_BF))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ConvolutionClassifier:
    """A trained network.

    Attributes
    ----------
    network : in evaluation mode.
    both_strands : answers of both strands are averaged.
    length : letters of the longest training sequence; shorter ones are padded to it, longer ones are read
        whole.
    epochs, trained : after how many epochs the weights were best, and how many there were.
    """

    network: nn.Module
    both_strands: bool
    length: int
    epochs: int
    trained: int

    @torch.inference_mode()
    def probabilities(self, letters: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities (N, C) of the classes."""
        strands = [_table(letters, self.length)]
        if self.both_strands:
            strands.append(_table([reverse_complement(one_L) for one_L in letters], self.length))
        answers = [
            torch.cat([self.network(part.long()) for part in table_NL.split(_AT_ONCE)])
            for table_NL in strands
        ]
        return torch.softmax(torch.stack(answers).mean(dim=0).double(), dim=-1).numpy()


def fit(
    train: Split,
    dev: Split,
    rng: np.random.Generator,
    config: ConvolutionConfig | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> ConvolutionClassifier:
    """Train on the training split until the dev split gains no more, and keep the best weights.

    Parameters
    ----------
    train, dev : neither empty.
    rng : draws weights, order and dropout.
    clock : seconds, by which the configuration's minutes count.

    Examples
    --------
    >>> texts = [b"AAAAAT", b"CCCCCG", b"AAATAA", b"CCGCCC"] * 8
    >>> split = Split([np.frombuffer(text, dtype=np.uint8) for text in texts], np.array([0, 1, 0, 1] * 8))
    >>> found = fit(split, split, np.random.default_rng(0), ConvolutionConfig(filters=4, batch_size=8))
    >>> found.probabilities(split.letters[:2]).argmax(axis=1).tolist()
    [0, 1]
    """
    config = config or ConvolutionConfig()
    classes = int(max(train.classes_N.max(), dev.classes_N.max())) + 1
    length = max(letters_L.size for letters_L in train.letters)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        network = _Network(classes, config)
        return _trained(network, train, dev, rng, config, max(1, length), clock)


def _trained(
    network: _Network,
    train: Split,
    dev: Split,
    rng: np.random.Generator,
    config: ConvolutionConfig,
    length: int,
    clock: Callable[[], float],
) -> ConvolutionClassifier:
    epoch = _epochs(network, train, rng, config, length)
    best, stale, began = -np.inf, 0, clock()
    kept: ConvolutionClassifier | None = None
    for number in range(1, config.epochs + 1):
        epoch()
        found = ConvolutionClassifier(
            network=network.eval(),
            both_strands=config.both_strands,
            length=length,
            epochs=number,
            trained=number,
        )
        gain = metrics.matthews(dev.classes_N, found.probabilities(dev.letters).argmax(axis=1))
        stale = 0 if gain > best else stale + 1
        if kept is None or gain > best:
            best, kept = gain, dataclasses.replace(found, network=copy.deepcopy(network))
        over = config.minutes is not None and clock() - began > 60 * config.minutes
        if stale >= config.patience or over:
            break
    assert kept is not None  # there is at least one epoch
    return dataclasses.replace(kept, trained=number)


def _epochs(
    network: _Network, train: Split, rng: np.random.Generator, config: ConvolutionConfig, length: int
) -> Callable[[], None]:
    """What trains for another epoch."""
    strands = [_table(train.letters, length)]
    if config.both_strands:
        strands.append(_table([reverse_complement(one_L) for one_L in train.letters], length))
    classes_N = torch.from_numpy(np.asarray(train.classes_N, dtype=np.int64))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )

    def epoch() -> None:
        network.train()
        for chosen in torch.from_numpy(rng.permutation(len(train))).split(config.batch_size):
            table_NL = strands[int(rng.integers(len(strands)))]
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(network(table_NL[chosen].long()), classes_N[chosen]).backward()
            optimizer.step()

    return epoch


def _table(letters: Sequence[np.ndarray], length: int) -> torch.Tensor:
    """Codes (N, L) uint8 of bases; of padding and of what is no base `_NONE`."""
    longest = max([length, *(one_L.size for one_L in letters)])
    table_NL = np.full((len(letters), longest), _NONE, dtype=np.uint8)
    for row_L, one_L in zip(table_NL, letters, strict=True):
        row_L[: one_L.size] = np.minimum(codes.codes_of(one_L), _NONE)
    return torch.from_numpy(table_NL)
