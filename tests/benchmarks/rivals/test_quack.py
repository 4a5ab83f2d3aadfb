from __future__ import annotations

from benchmarks.rivals import quack
from benchmarks.rivals.rival import IGNORED


def test_it_gets_rows_in_multiples_of_8_and_is_told_which_pipeline(inputs, fake_module):
    calls = []
    fake_module(
        "quack.linear_cross_entropy",
        chunked_linear_cross_entropy=lambda *given, **options: calls.append((given, options)),
    )
    quack.chunked(*inputs)
    quack.chunked_plain(*inputs)
    for (rows, weight, targets), _ in calls:
        assert rows.shape == (16, 8) and weight is inputs[1] and targets[10:].tolist() == [IGNORED] * 6
    assert [options for _, options in calls] == [{}, {"use_scaled_exp": False}]
