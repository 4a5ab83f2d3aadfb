from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lift_kernels.kernels.plan import DEFAULT_WORKSPACE_BYTES, even_columns, plan_gradients, plan_statistics

LLADA, DREAM = (4096, 126464), (3584, 152064)


def covered(slices, length: int) -> bool:
    edges = [0, *(s.stop for s in slices)]
    return [s.start for s in slices] == edges[:-1] and edges[-1] == length


@given(
    num_rows=st.integers(0, 20000), width=st.integers(1, 9000), num_columns=st.integers(1, 200_000),
    element_size=st.sampled_from([2, 4]), workspace=st.integers(1 << 10, 1 << 32), processors=st.integers(1, 200),
)  # fmt: skip
def test_every_logit_has_one_place_and_the_scratch_fits(
    num_rows, width, num_columns, element_size, workspace, processors
):
    sizes, weight_bytes = (num_rows, width, num_columns), num_columns * width * element_size
    statistics = plan_statistics(*sizes, workspace, processors)
    gradients = plan_gradients(*sizes, element_size, workspace, processors)
    deferring = plan_gradients(*sizes, element_size, workspace, processors, weight_bytes)
    for plan in (statistics, gradients, deferring):
        if plan is None:
            continue
        rows, columns = list(plan.row_chunks()), list(plan.column_chunks())
        assert covered(rows, num_rows) and covered(columns, num_columns)
        assert plan.buffer_size >= max((s.stop - s.start for s in rows), default=0) * plan.columns
        assert plan.buffer_size >= width
        kept = plan.rows * plan.row_stride * element_size if plan is not statistics else 0
        if plan is deferring:
            assert plan.exponentials_apart and kept <= weight_bytes
            kept = 0
        if even_columns(num_columns) < num_columns:
            kept += 64 * width * (4 + element_size)  # copies of the last rows, and their gradient
        assert 4 * plan.buffer_size + kept <= workspace
        if plan is not statistics:
            assert plan.buffer_size >= plan.hidden_rows * width and plan.hidden_rows > 0
            # Beside the exponentials, the buffer takes a chunk's scaled rows of hidden states.
            assert 4 * plan.buffer_size >= plan.rows * width * element_size
            assert plan.row_stride >= num_columns and plan.row_stride * element_size % 128 == 0


@pytest.mark.parametrize("num_rows", [256, 700, 1024, 2176, 4096])
def test_a_trained_llada_head_is_one_chunk_within_the_default_workspace(num_rows):
    for apart in (None, 2 * LLADA[0] * LLADA[1]):
        plan = plan_gradients(num_rows, *LLADA, 2, DEFAULT_WORKSPACE_BYTES, exponential_bytes=apart)
        assert plan.is_one_chunk and plan.columns % 256 == 0


@pytest.mark.parametrize("model", [LLADA, DREAM], ids=str)
def test_pieces_are_aligned_even_and_within_the_cache(model):
    gradients = (plan_gradients(n, *model, 2, DEFAULT_WORKSPACE_BYTES) for n in (256, 2600, 4096, 8192))
    statistics = (plan_statistics(n, *model, DEFAULT_WORKSPACE_BYTES) for n in (256, 2600, 8192, 40_000, 1 << 17))
    for plan in (*gradients, *statistics):
        columns = list(plan.column_chunks())
        assert all(s.start % 256 == 0 for s in columns)
        assert 4 * plan.rows * plan.columns <= (48 << 20) * 4096 // model[0]
        rows = [s.stop - s.start for s in plan.row_chunks()]
        assert min(rows) > 0.7 * max(rows)


@pytest.mark.parametrize("num_rows", [256, 1100, 2600, 3300])
def test_the_hidden_states_gradient_is_one_product(num_rows):
    for apart in (None, 2 * LLADA[0] * LLADA[1]):
        plan = plan_gradients(num_rows, *LLADA, 2, DEFAULT_WORKSPACE_BYTES, exponential_bytes=apart)
        assert plan.hidden_rows == plan.rows == num_rows


def test_exponentials_in_the_gradient_s_place_leave_the_workspace_to_the_logits():
    inside, apart = (
        plan_gradients(8192, *LLADA, 2, DEFAULT_WORKSPACE_BYTES, exponential_bytes=room)
        for room in (None, 2 * LLADA[0] * LLADA[1])
    )
    assert inside.num_chunks == apart.num_chunks == 2
    assert 4 * apart.buffer_size < DEFAULT_WORKSPACE_BYTES // 4
    assert inside.hidden_rows < inside.rows and apart.hidden_rows == apart.rows


@pytest.mark.parametrize("num_columns", [50257, 126349])
def test_the_end_of_an_odd_vocabulary_is_a_piece_apart(num_columns):
    columns = list(plan_gradients(1000, 768, num_columns, 2, DEFAULT_WORKSPACE_BYTES).column_chunks())
    assert columns[-1] == slice(num_columns // 64 * 64, num_columns)
    assert all((s.stop - s.start) % 64 == 0 for s in columns[:-1])


def test_too_small_a_workspace_has_no_plan():
    assert plan_gradients(4096, *LLADA, 2, 60 << 20) is None
    assert plan_statistics(4096, *LLADA, 1 << 20) is None
    assert plan_gradients(8, *LLADA, 2, 64 << 20) is not None
