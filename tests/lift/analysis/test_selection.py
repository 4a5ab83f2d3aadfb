"""What lift3 keeps of a table's tokens: against a choice by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lift.analysis.selection import drawable, select
from lift.objectives.forward_process import DISCRETE_TIMES

RATIOS = [0.25, 0.5, 0.75, 1.0]


def part(lengths=(9, 4), seed=0):
    """Examples of unequal length in which every token is masked at every ratio."""
    rng = np.random.default_rng(seed)
    rows = [
        (example, position, ratio)
        for example, length in enumerate(lengths)
        for ratio in RATIOS
        for position in range(2, 2 + length)
    ]
    example, position, ratio = (np.array(column) for column in zip(*rows, strict=True))
    log_prob = -rng.exponential(size=len(rows)).astype(np.float32)
    return {"example": example, "position": position, "ratio": ratio.astype(np.float32), "log_prob": log_prob}


def test_easy_and_hard_rows_keep_the_ends_and_a_share_of_t_over_t_plus_rho():
    columns, seen = part(), set()
    for (time, ratio), found in zip(drawable(RATIOS), select(columns, RATIOS, method="lift3", seed=0), strict=True):
        assert found.time == time
        t, rate = RATIOS[time], RATIOS[ratio]
        for example in (0, 1):
            mine = columns["example"][found.at] == example
            scores, kept = columns["log_prob"][found.at][mine], found.is_kept[mine]
            num_keep = round(len(scores) * t / rate)
            assert kept.sum() == num_keep
            if t < 1 / 3:  # hard
                assert set(scores[kept]) == set(sorted(scores)[:num_keep])
            elif t > 2 / 3:  # easy
                assert set(scores[kept]) == set(sorted(scores)[-num_keep:])
            seen.add(t)
    assert seen == {0.25, 0.5, 0.75}


def test_rho_is_one_that_lift_draws():
    pairs = {(DISCRETE_TIMES[a], DISCRETE_TIMES[b]) for a, b in drawable(DISCRETE_TIMES)}
    assert (1 / 8, 1 / 4) in pairs and (1 / 16, 1 / 8) not in pairs  # rho is at least 0.1
    assert drawable([0.5, 0.6, 0.95, 1.0]) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("method", ["easy", "hard"])
def test_a_ratio_without_tokens_is_left_out(method):
    columns = {name: values[part()["ratio"] < 0.9] for name, values in part().items()}
    assert {found.time for found in select(columns, RATIOS, method=method, seed=0)} == {0, 1}
