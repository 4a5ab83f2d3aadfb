"""What there is to learn: rows of text, drawn from a generator. A response is a trace and its end, or text."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from benchmarks.study.tokenizer import word_tokenizer

NUM_NAMES, NUM_SYMBOLS, NUM_STATES = 64, 16, 5
NAMES = [f"n{number}" for number in range(NUM_NAMES)]
_FILLERS = "the of is so now we see".split()
MAX_LENGTH = 64
"""No row is longer."""

WORDS = [*map(str, range(10)), *"ask from to . sort first then text answer done".split(), *_FILLERS, *NAMES]

# The laws of the automaton and of the text are part of the tasks: they are the same in every run.
_NEXT_STATE = np.random.default_rng(11).integers(NUM_STATES, size=(NUM_STATES, NUM_SYMBOLS))
_FOLLOWERS = np.random.default_rng(5).permuted(np.tile(np.arange(NUM_NAMES), (NUM_NAMES, 1)), axis=1)
_BRACKETS = (0.34, 0.26, 0.2, 0.1, 0.06, 0.04)  # n0 opens, n1 closes, the others do nothing
_DEEPEST = 9


class Row(NamedTuple):
    """A prompt and its response, words parted by blanks."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Task:
    """Rows of one kind, all of one length."""

    draw: Callable[[Generator], Row]
    response_length: int
    """Tokens of a response, its end token among them."""


def automaton(rng: Generator, num_steps: int, num_symbols: int, *, asks: bool) -> Row:
    """Follow an automaton from a state through symbols, one step after another; every step needs the one before."""
    symbols = rng.choice(num_symbols, num_steps, p=_zipf(num_symbols))
    start = state = int(rng.integers(NUM_STATES))
    trace: list[str] = []
    for symbol in symbols:
        following = int(_NEXT_STATE[state, symbol])
        trace += ["from", str(state), NAMES[symbol], "to", str(following), "."]
        state = following
    return _row(["ask", str(start), *(NAMES[symbol] for symbol in symbols)], trace, str(state), asks)


def depth(rng: Generator, num_symbols: int, *, asks: bool) -> Row:
    """Count the depth of brackets after each symbol; the answer is the largest."""
    symbols = rng.choice(len(_BRACKETS), num_symbols, p=_BRACKETS)
    level = deepest = 0
    trace: list[str] = []
    for symbol in symbols:
        level = min(_DEEPEST, level + 1) if symbol == 0 else max(0, level - 1) if symbol == 1 else level
        deepest = max(deepest, level)
        trace += [NAMES[symbol], "is", str(level)]
    return _row(["ask", *(NAMES[symbol] for symbol in symbols)], trace, str(deepest), asks)


def sort(rng: Generator, num_names: int, *, asks: bool) -> Row:
    """Sort names by number; the answer is the one behind the middle. Each follows from the prompt alone."""
    drawn = rng.choice(NUM_NAMES, num_names, replace=False, p=_zipf(NUM_NAMES))
    ranked = [NAMES[name] for name in sorted(drawn)]
    trace = ["first", ranked[0]] + [word for name in ranked[1:] for word in ("then", name)]
    return _row(["sort", *(NAMES[name] for name in drawn)], trace, ranked[num_names // 2], asks)


def text(rng: Generator, num_words: int = 15) -> Row:
    """Write a Markov chain of names with fillers in between."""
    name = int(rng.choice(NUM_NAMES, p=_zipf(NUM_NAMES)))
    prompt, words = f"text {NAMES[name]}", list[str]()
    while len(words) < num_words:
        if rng.random() < 0.5:
            words.append(str(rng.choice(_FILLERS)))
        name = int(_FOLLOWERS[name, rng.choice(NUM_NAMES, p=_zipf(NUM_NAMES, power=1.5))])
        words.append(NAMES[name])
    return Row(prompt, " ".join(words[:num_words]))


TASKS = {
    "fsa": Task(lambda rng: automaton(rng, 6, NUM_SYMBOLS, asks=True), 39),
    "depth": Task(lambda rng: depth(rng, 10, asks=True), 33),
    "sort6": Task(lambda rng: sort(rng, 6, asks=True), 15),
}
"""What is fine-tuned on."""

BASE_TASKS = {
    "short fsa": Task(lambda rng: automaton(rng, 4, 12, asks=False), 26),
    "short depth": Task(lambda rng: depth(rng, 5, asks=False), 17),
    "short sort": Task(lambda rng: sort(rng, 5, asks=False), 12),
}
"""The longest rows of what the base model learns, by which its skill is judged before and after fine-tuning."""


def base_row(rng: Generator) -> Row:
    """Draw a row of what the base model learns."""
    kind = rng.choice(4, p=(0.45, 0.15, 0.25, 0.15))  # the automaton is learned last
    if kind == 0:
        return automaton(rng, int(rng.integers(2, 5)), 12, asks=False)
    if kind == 1:
        return depth(rng, int(rng.integers(3, 6)), asks=False)
    return sort(rng, int(rng.integers(3, 6)), asks=False) if kind == 2 else text(rng)


def draw_rows(task: Task, num_rows: int, rng: Generator, *, exclude: Collection[Row] = frozenset()) -> list[Row]:
    """Return rows, none of which is in `exclude`."""
    rows: list[Row] = []
    while len(rows) < num_rows:
        row = task.draw(rng)
        if row not in exclude:
            rows.append(row)
    return rows


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of `WORDS`, a pad, a mask and an end token; another word makes it raise."""
    return word_tokenizer(
        ["[PAD]", "[MASK]", "[EOS]", *WORDS],
        max_length=MAX_LENGTH,
        pad_token="[PAD]",
        mask_token="[MASK]",
        eos_token="[EOS]",
    )


def _row(prompt: list[str], trace: list[str], answer: str, asks: bool) -> Row:
    return Row(" ".join(prompt), " ".join([*trace, *(["answer", answer] if asks else ["done"])]))


def _zipf(size: int, power: float = 1.0) -> NDArray[np.float64]:
    weights = np.arange(1, size + 1) ** -power
    return weights / weights.sum()
