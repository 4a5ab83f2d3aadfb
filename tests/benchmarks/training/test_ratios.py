from __future__ import annotations

import pytest

from benchmarks.training.ratios import costs


def test_a_cost_is_relative_to_the_mean_of_sft_and_of_whole_rows():
    samples = {"sft": [1.0, 3.0], "lift3": [2.0, 4.0], "lift3, blocks": [4.0, 12.0], "lift3, cache": [1.0, 3.0]}
    rows = {row["objective"]: row for row in costs(samples)}
    assert [(name, row["mean_ms"], row["relative"]) for name, row in rows.items()] == [
        ("sft", 2.0, 1.0), ("lift3", 3.0, 1.5), ("lift3, blocks", 8.0, 4.0), ("lift3, cache", 2.0, 1.0),
    ]  # fmt: skip
    assert rows["lift3, blocks"]["over_full"] == pytest.approx(8 / 3)
    assert [name for name, row in rows.items() if "over_full" in row] == ["lift3, blocks"]


def test_quantiles_are_of_the_quotients_of_rounds():
    samples = {"sft": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "gift": [1.0, 4.0, 9.0, 16.0, 25.0, 36.0]}
    row = costs(samples)[1]
    assert (row["relative_p20"], row["relative_p80"]) == (2.0, 5.0) and row["p20_ms"] == 4.0 and row["rounds"] == 6
