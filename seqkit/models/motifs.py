"""What generated sequence must contain, must not contain, and how long it may be, as a rule over tokens.

Motifs are IUPAC patterns. They are turned into one automaton over letters whose states
know how far each motif has come (shift-and: Baeza-Yates and Gonnet, "A new approach to
text searching", 1992). States from which one cannot go on for ever without a forbidden
motif count as forbidden themselves, and every state knows how many bases are missing
until all wanted motifs have been there; so a token is allowed if and only if what is
asked for can still be had after it, and generation never ends in a blind alley. Which
tokens of a vocabulary are no plain bases is told here as well. This file knows letters and
tokens; it does not know how tokens are chosen.

Shape suffixes: S states, V tokens of the vocabulary, K letters of the longest token.
"""

import collections
import dataclasses
import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch

from seqkit import errors

__all__ = ["Constraints", "MotifRule", "other_than_bases"]

#: The bases each IUPAC letter stands for, as bits.
_BITS = dict(zip("ACGTRYSWKMBDHVN", (1, 2, 4, 8, 5, 10, 6, 9, 12, 3, 14, 13, 11, 7, 15), strict=True))
_LETTERS = "".join(_BITS)
_BASES = 4
#: Tokens that a vocabulary of nucleotides may have: special ones, and letters; some of METAGENE-1's follow a
#: mark of the start of a text.
_OF_NUCLEOTIDES = re.compile(rf"|<\w+>|\[\w+\]|[_\u2581]?[{_LETTERS}]*")
_PLAIN = re.compile("[ACGT]+")
#: A distance that no sequence bridges.
_NEVER = 1 << 30
#: Most states of an automaton.
MOST_STATES = 20_000

#: How far wanted motifs have come (-1: has been there), then forbidden ones.
_State = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constraints:
    """What is asked of a generated sequence, the prompt not included.

    Attributes
    ----------
    wanted : motifs that each must occur in it; a letter of the sequence fits when all it stands for fits.
    forbidden : motifs that must not occur in it, nor across its border with the prompt; an ambiguous letter
        fits when anything it stands for does.
    min_length : no end of sequence before so many bases.
    max_length : end of sequence after so many bases; 0 is no limit.

    Raises
    ------
    UsageError
        when a motif has letters that are no nucleotide codes, or lengths contradict each other.
    """

    wanted: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    min_length: int = 0
    max_length: int = 0

    def __post_init__(self) -> None:
        """Fold letters as everywhere, and check."""
        for name, flag in (("wanted", "--motif"), ("forbidden", "--forbid-motif")):
            folded = tuple(motif.upper().replace("U", "T") for motif in getattr(self, name))
            for motif in folded:
                if not motif or not set(motif) <= set(_LETTERS):
                    raise errors.UsageError(f"{flag} {motif!r} is not made of nucleotide codes ({_LETTERS})")
            object.__setattr__(self, name, folded)
        if min(self.min_length, self.max_length) < 0:
            raise errors.UsageError("--min-length and --max-length are not negative")
        if self.max_length and self.max_length < max(self.min_length, *map(len, self.wanted), 0):
            raise errors.UsageError(
                f"--max-length {self.max_length} is less than --min-length or a motif", hint="--max-length"
            )

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.wanted or self.forbidden or self.min_length or self.max_length)


class MotifRule:
    """Constraints as a rule over the tokens of one vocabulary: a `seqkit.decoders.sampling.Rule`.

    Parameters
    ----------
    constraints : what is asked for.
    spelled : the letters of every token; nothing for special ones.
    eos : tokens that end a sequence.

    Raises
    ------
    UsageError
        when the vocabulary is not one of nucleotides, has no single bases or no end of sequence though they
        are needed, or when no sequence satisfies the constraints.

    Examples
    --------
    >>> rule = MotifRule(Constraints(forbidden=("CA",)), ["", "A", "C", "G", "T", "ACA"], eos=(0,))
    >>> rule.allowed([1], [2], left=9).tolist()
    [True, False, True, True, True, False]
    """

    def __init__(self, constraints: Constraints, spelled: Sequence[str], eos: Sequence[int]) -> None:
        _require_nucleotides(spelled)
        if constraints.max_length and not eos:
            raise errors.UsageError("the model has no end of sequence", hint="--max-new-tokens")
        self._constraints, self._eos = constraints, list(eos)
        self._automaton = _Automaton(constraints.wanted, constraints.forbidden)
        self._spans_V = np.array([len(text) for text in spelled])
        codes = [[_LETTERS.index(letter) for letter in text] for text in spelled]
        self._letters_VK = np.full((len(spelled), max(map(len, codes))), len(_LETTERS))
        for token, numbers in enumerate(codes):
            self._letters_VK[token, : len(numbers)] = numbers
        self._after: dict[int, np.ndarray] = {}

    def require_possible(self, prompt: Sequence[int], most_tokens: int) -> None:
        """Refuse what cannot be had behind a prompt.

        Raises
        ------
        UsageError
            when so many tokens may be too few for the motifs, or a forbidden one cannot be avoided.
        """
        missing = int(self._automaton.distances_S[self._start(prompt)])
        if missing >= _NEVER:
            raise errors.UsageError("no sequence has the motifs of --motif without those of --forbid-motif")
        if missing > most_tokens:
            raise errors.UsageError(
                f"{most_tokens} tokens may be too few for a motif of {missing} bases", hint="--max-new-tokens"
            )
        if self._constraints.max_length and missing > self._constraints.max_length:
            raise errors.UsageError(
                f"the motifs take {missing} bases together", hint=f"--max-length {missing}"
            )

    def allowed(self, prompt: Sequence[int], new: Sequence[int], left: int) -> torch.Tensor:
        """Which tokens (V,) bool may come next.

        Parameters
        ----------
        prompt, new : tokens so far.
        left : tokens that may still come, this one included.
        """
        state, bases = self._start(prompt), 0
        for token in new:
            state, bases = int(self._states_after(state)[token]), bases + int(self._spans_V[token])
        ends_V = self._states_after(state)
        room_V = np.full(self._spans_V.shape, left - 1)
        if self._constraints.max_length:
            rest_V = self._constraints.max_length - bases - self._spans_V
            room_V = np.where(rest_V < 0, -1, np.minimum(room_V, rest_V))
        allowed_V = (self._spans_V > 0) & (self._automaton.distances_S[ends_V] <= np.maximum(room_V, -1))
        complete = self._automaton.distances_S[state] == 0 and bases >= self._constraints.min_length
        allowed_V[self._eos] = complete
        if not allowed_V.any():
            # Behind guesses that are wrong already something has to be allowed, whatever it is.
            allowed_V[self._eos or slice(None)] = True
        return torch.from_numpy(allowed_V)

    def _start(self, prompt: Sequence[int]) -> int:
        """The state behind a prompt: wanted motifs begin after it, forbidden ones may begin in it."""
        tail: list[int] = []
        for token in reversed(prompt):
            if len(tail) >= self._automaton.memory:
                break
            own = self._letters_VK[token, : self._spans_V[token]].tolist()
            tail[:0] = own
        return self._automaton.behind(tail)

    def _states_after(self, state: int) -> np.ndarray:
        """The state after each token (V,)."""
        if state not in self._after:
            ends_V = np.full(len(self._letters_VK), state)
            for letters_V in self._letters_VK.T:
                ends_V = self._automaton.next_SL[ends_V, letters_V]
            self._after[state] = ends_V
        return self._after[state]


class _Automaton:
    """States of motifs, numbered; the last one is where a forbidden motif has occurred.

    Attributes
    ----------
    next_SL : the state after each letter, and behind the last letter the state itself.
    distances_S : bases missing until all wanted motifs have occurred.
    memory : letters of a prompt that matter.
    """

    def __init__(self, wanted: Sequence[str], forbidden: Sequence[str]) -> None:
        self.memory = max((len(motif) for motif in forbidden), default=1) - 1
        self._wanted = [_masks(motif, subset=True) for motif in wanted]
        self._forbidden = [_masks(motif, subset=False) for motif in forbidden]
        self._numbers: dict[_State, int] = {}
        self._explore(self._beginnings())
        self._prune()
        self.distances_S = self._measure()

    def behind(self, letters: Iterable[int]) -> int:
        """The number of the state in which generation begins behind some letters of a prompt."""
        return self._numbers[(*(0 for _ in self._wanted), *self._forbidden_after(letters))]

    def _forbidden_after(self, letters: Iterable[int]) -> _State:
        state: _State = (0,) * len(self._forbidden)
        for letter in letters:
            state = self._in_prompt(state, letter)
        return state

    def _in_prompt(self, state: _State, letter: int) -> _State:
        """How far forbidden motifs have come; one that ends in the prompt is not the model's doing."""
        return tuple(
            ((come << 1) | 1) & masks[letter] & ~(1 << (size - 1))
            for come, (masks, size) in zip(state, self._forbidden, strict=True)
        )

    def _beginnings(self) -> list[_State]:
        """All states in which generation may begin."""
        first = (0,) * len(self._forbidden)
        found, waiting = {first}, [first]
        while waiting:
            state = waiting.pop()
            for letter in range(len(_LETTERS)):
                after = self._in_prompt(state, letter)
                if after not in found:
                    found.add(after)
                    waiting.append(after)
                    _require_few(found)
        return [(*(0 for _ in self._wanted), *state) for state in found]

    def _explore(self, beginnings: list[_State]) -> None:
        self._numbers = {state: number for number, state in enumerate(beginnings)}
        waiting = collections.deque(beginnings)
        rows: list[list[int]] = []
        while waiting:
            state = waiting.popleft()
            row = []
            for letter in range(len(_LETTERS)):
                after = self._step(state, letter)
                if after is not None and after not in self._numbers:
                    self._numbers[after] = len(self._numbers)
                    waiting.append(after)
                    _require_few(self._numbers)
                row.append(-1 if after is None else self._numbers[after])
            rows.append(row)
        dead = len(rows)
        table = np.array([*rows, [-1] * len(_LETTERS)])
        table[table < 0] = dead
        self.next_SL = np.concatenate([table, np.arange(dead + 1)[:, None]], axis=1)

    def _step(self, state: _State, letter: int) -> _State | None:
        """The state after a letter; None where a forbidden motif ends."""
        after: list[int] = []
        for come, (masks, size) in zip(state, [*self._wanted, *self._forbidden], strict=True):
            here = -1 if come < 0 else ((come << 1) | 1) & masks[letter]
            is_there = here >= 0 and bool(here >> (size - 1))
            if is_there and len(after) >= len(self._wanted):
                return None
            after.append(-1 if is_there else here)
        return tuple(after)

    def _prune(self) -> None:
        """Lead to the last state whatever leads there sooner or later with every base."""
        dead = len(self.next_SL) - 1
        while True:
            is_over_S = (self.next_SL[:, :_BASES] == dead).all(axis=1)
            doomed_SL = is_over_S[self.next_SL] & (self.next_SL != dead)
            doomed_SL[:, -1] = False
            if not doomed_SL.any():
                break
            self.next_SL[doomed_SL] = dead
        self._is_over_S = is_over_S

    def _measure(self) -> np.ndarray:
        """Bases from every state to one where all wanted motifs have occurred."""
        done = [all(come < 0 for come in state[: len(self._wanted)]) for state in self._numbers]
        distances_S = np.where(np.array([*done, False]) & ~self._is_over_S, 0, _NEVER)
        while True:
            nearer_S = np.minimum(distances_S, distances_S[self.next_SL[:, :_BASES]].min(axis=1) + 1)
            nearer_S[self._is_over_S] = _NEVER
            if (nearer_S == distances_S).all():
                return distances_S
            distances_S = nearer_S


def other_than_bases(spelled: Iterable[str]) -> tuple[int, ...]:
    """Tokens of a vocabulary of nucleotides that are not spelled with A, C, G and T; none of another.

    They are ambiguity codes and special tokens, ends of sequence among them.

    Parameters
    ----------
    spelled : the text of every token, in the order of their ids.

    Examples
    --------
    >>> other_than_bases(["", "<eos>", "A", "C", "G", "T", "N", "ACGT", "ACR"])
    (0, 1, 6, 8)
    >>> other_than_bases(["", "A", "C", "G", "T", "the"])
    ()
    """
    found, letters = [], set[str]()
    for token, text in enumerate(spelled):
        if not _OF_NUCLEOTIDES.fullmatch(text):
            return ()
        if _PLAIN.fullmatch(text):
            letters |= set(text)
        else:
            found.append(token)
    return tuple(found) if letters == set("ACGT") else ()


def _masks(motif: str, *, subset: bool) -> tuple[list[int], int]:
    """For every letter the places of a motif where it fits, as bits; and the motif's length."""

    def fits(letter: str, place: str) -> bool:
        common = _BITS[letter] & _BITS[place]
        return common == _BITS[letter] if subset else bool(common)

    masks = [sum(fits(letter, at) << place for place, at in enumerate(motif)) for letter in _LETTERS]
    return masks, len(motif)


def _require_few(states: Collection[_State]) -> None:
    if len(states) > MOST_STATES:
        raise errors.UsageError("the motifs are too many, too long or too vague together", hint="--motif")


def _require_nucleotides(spelled: Sequence[str]) -> None:
    if not set().union(*spelled) <= set(_LETTERS):
        raise errors.UsageError("motifs and lengths in bases are for models of nucleotides")
    if not set("ACGT") <= set(spelled):
        raise errors.UsageError("motifs and lengths in bases need a vocabulary with single bases")
