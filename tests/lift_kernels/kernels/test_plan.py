from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lift_kernels.kernels.plan import DEFAULT_WORKSPACE_BYTES, plan_gradients, plan_statistics

LLADA, DREAM = (4096, 126464), (3584, 152064)


def covered(slices, length: int) -> bool:
    edges = [0, *(s.stop for s in slices)]
    return [s.start for s in slices] == edges[:-1] and edges[-1] == length


@given(
    num_rows=st.integers(0, 20000), width=st.integers(1, 9000), num_columns=st.integers(1, 200_000),
    element_size=st.sampled_from([2, 4]), workspace=st.integers(1 << 10, 1 << 32),
)  # fmt: skip
def test_every_logit_has_one_place_and_the_scratch_fits(num_rows, width, num_columns, element_size, workspace):
    statistics = plan_statistics(num_rows, width, num_columns, workspace)
    gradients = plan_gradients(num_rows, width, num_columns, element_size, workspace)
    for plan in (statistics, gradients):
        if plan is None:
            continue
        rows, columns = list(plan.row_chunks()), list(plan.column_chunks())
        assert covered(rows, num_rows) and covered(columns, num_columns)
        assert plan.buffer_size >= max((s.stop - s.start for s in rows), default=0) * plan.columns
        assert plan.buffer_size >= width
        kept = plan.rows * plan.row_stride * element_size if plan is gradients else 0
        assert 4 * plan.buffer_size + kept <= workspace
        if plan is gradients:
            # Beside the exponentials, the buffer takes a chunk's scaled rows of hidden states.
            assert 4 * plan.buffer_size >= plan.rows * width * element_size
            assert plan.row_stride >= num_columns and plan.row_stride * element_size % 128 == 0


@pytest.mark.parametrize("num_rows", [256, 512, 1024, 2048, 4096])
def test_a_trained_llada_head_is_one_chunk_within_the_default_workspace(num_rows):
    plan = plan_gradients(num_rows, *LLADA, 2, DEFAULT_WORKSPACE_BYTES)
    assert plan.is_one_chunk and plan.columns % 2048 == 0


@pytest.mark.parametrize("model", [LLADA, DREAM], ids=str)
def test_pieces_are_aligned_and_even(model):
    for num_rows in (256, 4096, 8192):
        plan = plan_gradients(num_rows, *model, 2, DEFAULT_WORKSPACE_BYTES)
        columns = list(plan.column_chunks())
        assert all(s.start % 2048 == 0 for s in columns)
        rows = [s.stop - s.start for s in plan.row_chunks()]
        assert min(rows) > 0.7 * max(rows)


def test_a_ragged_vocabulary_keeps_its_end_apart():
    """So that every other piece of GPT-2's vocabulary is read in vectors."""
    columns = list(plan_gradients(64, 768, 50257, 2, DEFAULT_WORKSPACE_BYTES).column_chunks())
    assert columns[-1].start % 2048 == 0 and columns[-1].stop == 50257 and 50257 - columns[-1].start < 2048


def test_too_small_a_workspace_has_no_plan():
    assert plan_gradients(4096, *LLADA, 2, 60 << 20) is None
    assert plan_statistics(4096, *LLADA, 1 << 20) is None
    assert plan_gradients(8, *LLADA, 2, 64 << 20) is not None
