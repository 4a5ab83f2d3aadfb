from __future__ import annotations

import torch

from benchmarks.gpu.measurements.shapes import MeasuredShapes, Shape


def test_rows_are_powers_of_two_and_counts_that_no_kernel_was_made_for():
    shapes = MeasuredShapes.real()
    assert {2176, 2600, 3300, 5000, 256, 8192} <= set(shapes.rows) and shapes.rows[0] == 4096
    assert shapes.shape(256) == Shape(256, 4096, 126464)
    for rows in shapes.rows:
        columns = shapes.columns_of(rows)
        assert 4 <= len(columns) <= 12 and all(12 << 20 <= 4 * rows * count <= 64 << 20 for count in columns)


def test_inputs_are_those_of_the_seed_with_logits_of_deviation_one():
    shape = Shape(64, 64, 512)
    hidden_states, weight, targets = shape.inputs(torch.device("cpu"))
    assert hidden_states.dtype == weight.dtype == torch.bfloat16 and 0 <= targets.min() and targets.max() < 512
    assert abs((hidden_states.float() @ weight.float().T).std() - 1) < 0.1
    assert all(map(torch.equal, shape.inputs(torch.device("cpu")), (hidden_states, weight, targets)))
    assert not torch.equal(shape.inputs(torch.device("cpu"), seed=1)[0], hidden_states)
