"""The variance of a real trainer's gradients against all of them, held and compared; and how pairs are shared out."""

from __future__ import annotations

import numpy as np
import pytest

from lift import LiftTrainer
from lift.analysis import choose_pairs, measure_variance
from lift.analysis.variance import PARTS
from lift.errors import LiftError
from lift.models.transformers_versions import keeps_packed_examples_apart
from lift.tasks import sudoku
from lift.training import RowGradient
from tests.lift.support.gradient_variance import nested_variances
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows

BLOCKS = [{}] + [{"attention": "block", "block_size": 4}] * keeps_packed_examples_apart()


def row_gradient(tmp_path, **options) -> RowGradient:
    args = tiny_config(tmp_path, report_to="none", **options)
    trainer = LiftTrainer(
        tiny_model().double(), args, train_dataset=uneven_rows(), processing_class=sudoku.build_tokenizer()
    )
    return RowGradient(trainer)


@pytest.mark.parametrize("options", BLOCKS)
@pytest.mark.parametrize("method", ["sft", "lift3"])
def test_the_parts_are_those_of_all_gradients_held_at_once(tmp_path, method, options):
    draw = row_gradient(tmp_path, method=method, **options)
    pairs = choose_pairs(24, 4, seed=0)
    variance = measure_variance(draw, pairs, num_times=3, num_masks=2)
    expected = np.mean([nested_variances(np.array([[[flat(draw(row, time, mask)) for mask in range(2)]
        for time in range(3)] for row in pair])) for pair in pairs], 0)  # fmt: skip
    assert [variance.part(name).value for name in PARTS] == pytest.approx(expected, rel=1e-9)
    assert variance.part("masks").value > 0 and variance.total.value > 0


def flat(gradient) -> np.ndarray:
    return np.concatenate([tensor.flatten().numpy() for tensor in gradient])


def test_processes_share_the_pairs_and_agree_with_one(tmp_path):
    draw, pairs, told = row_gradient(tmp_path, method="sft"), choose_pairs(24, 6, seed=1), []
    alone = measure_variance(draw, pairs, advance=told.append)
    assert sum(told) == 6 * 2 * 2
    lists = []
    for rank in range(2):
        measure_variance(draw, pairs, rank=rank, num_processes=2, gather=lambda own: lists.append(own) or [*own, *own])
    assert [len(own) for own in lists] == [2, 1]
    together = measure_variance(draw, pairs, num_processes=4, gather=lambda own: [*lists[1], *lists[0]])
    assert np.array_equal(together.moments, alone.moments)


@pytest.mark.parametrize(("num_rows", "wanted", "count"), [(100, 8, 4), (5, 64, 2), (4, 4, 2)])
def test_no_row_is_drawn_twice(num_rows, wanted, count):
    pairs = choose_pairs(num_rows, wanted, seed=3)
    rows = [row for pair in pairs for row in pair]
    assert len(pairs) == count and len(set(rows)) == 2 * count and set(rows) <= set(range(num_rows))
    assert pairs == choose_pairs(num_rows, wanted, seed=3) and all(type(row) is int for row in rows)
    assert num_rows < 100 or pairs != choose_pairs(num_rows, wanted, seed=4)


def test_too_few_rows_are_refused():
    with pytest.raises(LiftError, match="needs at least 4 rows, got 3: take more"):
        choose_pairs(3, 64, seed=0)
