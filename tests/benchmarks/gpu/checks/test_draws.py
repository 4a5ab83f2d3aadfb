from __future__ import annotations

import itertools

from benchmarks.gpu.checks import draws
from tests.benchmarks.support import HERE


def test_draws_that_differ_are_found(monkeypatch):
    assert not draws.same_corruption(HERE, num_rows=3, length=20).failures
    assert not draws.same_selection(HERE, num_rows=3, length=20).failures
    calls = itertools.count()
    corrupt, select = draws.corrupt_tokens, draws.registered_select_tokens

    def other_seed_when_moved(*args, seed, **options):
        return corrupt(*args, seed=seed ^ (next(calls) % 2), **options)

    monkeypatch.setattr(draws, "corrupt_tokens", other_seed_when_moved)
    assert draws.same_corruption(HERE, num_rows=3, length=20).failures
    monkeypatch.setattr(
        draws, "registered_select_tokens", lambda score, *a, **o: select(score * (-1) ** next(calls), *a, **o)
    )  # fmt: skip
    assert draws.same_selection(HERE, num_rows=3, length=20).failures
