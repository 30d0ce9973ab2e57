"""What the parts of the decoding engine expect of each other.

    Drafter --Draft--> Target --logits--> Distributions --> Verifier --Verdict--> Target (commit)

Only three facts differ between fast decoders: where guesses come from (`Drafter`),
their shape (`TreePolicy`) and how they are judged (`Verifier`). `Target` hides
which model it is; `Engine` (in `engine.py`) turns the wheel. Interfaces only.

Shape suffixes: B sequences (rows) of a batch, n new nodes, V tokens of the vocabulary, H hidden size,
k tokens that share a place.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from seqkit.decoders.draft import Draft, Law

__all__ = [
    "LOGITS_ONLY",
    "Block",
    "Caps",
    "Dice",
    "Distributions",
    "Drafter",
    "Guarantee",
    "Inputs",
    "Mixture",
    "Output",
    "Row",
    "State",
    "Target",
    "TreePolicy",
    "Trees",
    "Verdict",
    "Verifier",
    "Want",
]


class Guarantee(enum.StrEnum):
    """What a decoder promises about its output, beside plain decoding of the same model."""

    GREEDY = "greedy"
    """The same tokens at temperature 0."""
    DISTRIBUTION = "distribution"
    """The same tokens at temperature 0, the same distribution above it."""
    LOSSY = "lossy"
    """Neither; the method says so when it runs."""


class Trees(enum.StrEnum):
    """How a target computes drafts that branch."""

    MASK = "mask"
    """In one row: positions and an attention mask are given for every node."""
    ROWS = "rows"
    """One row of a batch for every leaf."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caps:
    """What a target can do; a drafter's `needs` are compared with it when an engine is built.

    Attributes
    ----------
    trees : how branching drafts are computed.
    incremental : a second `forward` may extend the nodes of the first before anything is committed.
    hidden : hidden states can be asked for.
    skipping : sub-layers can be left out of a `forward`.
    source : there is a source sequence (an encoder's input) in token ids of the same vocabulary.
    """

    trees: Trees = Trees.MASK
    incremental: bool = True
    hidden: bool = True
    skipping: bool = False
    source: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """What to continue: one row per sequence.

    Attributes
    ----------
    prompts : token ids that generation continues, at least one each (for encoder-decoder models the decoder's
        start tokens).
    sources : token ids for the encoder, one row each; None for decoder-only models.
    encoder_kwargs : keyword arguments for the model's encoder (audio features), whose tensors have B rows.
        `sources` that are given beside them are not encoded: they are what drafters and scorers may read of
        the source in token ids (what CTC heard in the sound).
    """

    prompts: Sequence[Sequence[int]]
    sources: Sequence[Sequence[int]] | None = None
    encoder_kwargs: dict[str, torch.Tensor] | None = None


@dataclasses.dataclass(frozen=True)
class Block:
    """New nodes of one row: tokens, and parents counted among all open nodes of that row.

    -1 is the row's last committed token. Node ids go on counting over several `forward` calls until `commit`.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """Tokens that stand in one place together: the model reads the weighted sum of their embeddings.

    Attributes
    ----------
    tokens_Bnk : k token ids for each of the n nodes of every row; all rows have blocks of n nodes.
    weights_Bnk : their weights, which sum to 1.
    """

    tokens_Bnk: torch.Tensor
    weights_Bnk: torch.Tensor

    def of_row(self, row: int) -> "Mixture":
        """One row's."""
        return Mixture(self.tokens_Bnk[row : row + 1], self.weights_Bnk[row : row + 1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Want:
    """What else a `forward` should do.

    Attributes
    ----------
    hidden : return the hidden states that the output layer sees.
    skip : sub-layers to leave out, as ("attention" | "mlp", layer number).
    mixture : what to read instead of the blocks' tokens.
    """

    hidden: bool = False
    skip: frozenset[tuple[str, int]] = frozenset()
    mixture: Mixture | None = None

    def of_row(self, row: int) -> "Want":
        """What is wanted of one row."""
        return dataclasses.replace(self, mixture=self.mixture and self.mixture.of_row(row))


#: Nothing but logits.
LOGITS_ONLY = Want()


@dataclasses.dataclass(frozen=True)
class Output:
    """What a `forward` computed, for every row its own n.

    Attributes
    ----------
    logits : one float tensor (n, V) for every row.
    hidden : one tensor (n, H) for every row, when it was asked for.
    """

    logits: list[torch.Tensor]
    hidden: list[torch.Tensor] | None = None


class State(Protocol):
    """What a target remembers of the rows it is decoding; changed by the target's methods only."""

    @property
    def lengths(self) -> list[int]:
        """Committed (cached) tokens of every row."""

    @property
    def num_rows(self) -> int:
        """Rows that are still being decoded, B."""


class Target(Protocol):
    """A model that scores continuations, with a cache of what is decided.

    One decoding step: `forward` a block whose first node is the token decided last, its draft below it;
    judge; `commit` that first node and the accepted path. What was forwarded and not committed is forgotten.
    """

    @property
    def caps(self) -> Caps:
        """What this target can do."""

    @property
    def vocab_size(self) -> int:
        """V."""

    def start(self, inputs: Inputs) -> Any:
        """Encode sources, cache all but the last token of every prompt; returns a `State`."""

    def forward(self, state: Any, blocks: Sequence[Block], want: Want = LOGITS_ONLY) -> Output:
        """Score new nodes of every row; an empty block leaves its row alone."""

    def commit(self, state: Any, paths: Sequence[Sequence[int]]) -> None:
        """Keep a path of open nodes (from the first level down) of every row; forget the other open nodes."""

    def rollback(self, state: Any, lengths: Sequence[int]) -> None:
        """Forget open nodes, and committed tokens beyond `lengths`."""

    def select(self, state: Any, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may come more than once. Forgets open nodes."""


class Dice(Protocol):
    """Randomness as decisions, so that a test can walk through all of them."""

    def coin(self, probability: float) -> bool:
        """True with this probability."""

    def draw(self, weights_V: torch.Tensor) -> int:
        """An index with probability proportional to its weight (non-negative, with a positive sum)."""


class Distributions(Protocol):
    """The target's law for the next token after every node of one row's draft; -1 is the root.

    Processors and warpers have been applied, with the node's own path as the prefix.
    """

    @property
    def greedy(self) -> bool:
        """Whether every law puts all its weight on one token (temperature 0)."""

    def choose(self, node: int, dice: Dice) -> int:
        """The next token after a node: the best one when greedy, else one drawn."""

    def probabilities(self, node: int) -> torch.Tensor:
        """Probabilities (V,) of the next token after a node, float64."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a verifier decided: accepted nodes from the first level down, then one token by the target."""

    path: tuple[int, ...]
    token: int


class Verifier(Protocol):
    """Judges a draft: the accepted path and the token after it follow the target's law."""

    @property
    def guarantee(self) -> Guarantee:
        """What it promises."""

    @property
    def laws(self) -> frozenset[Law]:
        """The laws of drawing it is right for."""

    def verify(self, draft: Draft, target: Distributions, dice: Dice) -> Verdict:
        """Accept a path, and choose the token after it."""


@dataclasses.dataclass(kw_only=True)
class Row:
    """One sequence being decoded.

    Attributes
    ----------
    index : its place in the inputs; stays, while rows that are done leave the batch.
    tokens : prompt and generated tokens; the last one is decided and not yet cached in the target.
    prompt_length : tokens of the prompt.
    source : token ids the encoder reads, or None.
    dice : this row's randomness.
    max_length : no more tokens than this in all.
    """

    index: int
    tokens: list[int]
    prompt_length: int
    source: tuple[int, ...] | None
    dice: Dice
    max_length: int


class Drafter(Protocol):
    """Guesses continuations. Keeps what it learns about a row under `row.index`."""

    @property
    def law(self) -> Law:
        """The law its drafts are drawn by."""

    @property
    def needs(self) -> frozenset[str]:
        """Names of `Caps` that must be true of the target: "hidden", "skipping", "source", "incremental"."""

    def start(self, rows: Sequence[Row], run: Any) -> None:
        """Begin with new rows; `run` is the engine's `Run`: target, state and sampling options."""

    def propose(self, rows: Sequence[Row], budgets: Sequence[int]) -> list[Draft]:
        """A draft for every row, of at most that row's budget of nodes; may be empty."""

    def observe(
        self, rows: Sequence[Row], drafts: Sequence[Draft], output: Output, verdicts: Sequence[Verdict]
    ) -> None:
        """Learn from a step that is done: `row.tokens` has the accepted tokens, the cache is committed.

        Rows of `output` are: the pending token, then the draft's nodes.
        """

    def finish(self, rows: Sequence[Row]) -> None:
        """These rows are done."""


class TreePolicy(Protocol):
    """Decides where one row's tree of drawn tokens grows; for drafters that have distributions."""

    @property
    def law(self) -> Law:
        """The law of the draws it makes."""

    def grow(self, draft: Any, scored: Sequence[int], dice: Dice | None) -> Sequence[int]:
        """Add children to nodes whose laws are known since just now; returns the nodes to score next.

        None stops. Without dice nothing is drawn, and the most probable tokens come first.
        """

    def kept(self, draft: Any) -> Sequence[int]:
        """The nodes that stay in the draft, ascending; their number is within the budget."""
