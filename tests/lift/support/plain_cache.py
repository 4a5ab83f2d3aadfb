"""The score cache by its definition, in dictionaries, and batches to compare both on."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st

from lift.learnability import ScoreCache

NUM_EXAMPLES, MAX_LENGTH = 5, 6
IDS = torch.arange(NUM_EXAMPLES)


class PlainCache:
    """The definition, position by position in dictionaries; one for each process."""

    def __init__(self, decay: float, value=None, total: float = 0.0, count: int = 0) -> None:
        self.decay, self.value, self.total, self.count = decay, dict(value or {}), total, count
        self.own: set[tuple[int, int]] = set()

    def update(self, ids, positions, log_prob) -> None:
        for example, row, values in zip(ids, positions, log_prob, strict=True):
            for position, (is_trained, new) in enumerate(zip(row, values, strict=True)):
                if is_trained and math.isfinite(new):
                    old = self.value.get((example, position), new)
                    self.value[example, position] = self.decay * old + (1 - self.decay) * new
                    self.total, self.count = self.total + new, self.count + 1
                    self.own.add((example, position))

    def scores(self, ids, length) -> torch.Tensor:
        mean = self.total / max(self.count, 1)
        values = [[self.value.get((example, position), mean) for position in range(length)] for example in ids]
        return torch.tensor(values, dtype=torch.float64).reshape(len(ids), length)


@st.composite
def batches(draw, largest: int = 3):
    size, length = draw(st.integers(1, largest)), draw(st.integers(1, MAX_LENGTH))
    # With decay 1/2 and sixteenths every average of a dozen is exact in float32: the comparison needs no tolerance.
    log_prob = st.one_of(st.integers(-160, 0).map(lambda n: n / 16), st.sampled_from([math.nan, -math.inf]))
    rows = st.lists(st.lists(log_prob, min_size=length, max_size=length), min_size=size, max_size=size)
    trained = st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=size, max_size=size)
    ids = st.lists(st.integers(0, NUM_EXAMPLES - 1), min_size=size, max_size=size)  # may repeat
    return draw(ids), draw(trained), draw(rows)


def update(cache, batch) -> None:
    ids, positions, log_prob = batch
    cache.update(torch.tensor(ids), torch.tensor(positions), torch.tensor(log_prob))


def random_batch(generator: torch.Generator, ids: list[int]):
    log_prob = -10 * torch.rand(len(ids), MAX_LENGTH, generator=generator)
    positions = torch.rand(len(ids), MAX_LENGTH, generator=generator) < 0.6
    return torch.tensor(ids), positions, log_prob


def everything(cache: ScoreCache) -> torch.Tensor:
    return cache.scores(IDS, MAX_LENGTH)
