from __future__ import annotations

from dataclasses import replace

import torch

from lift_kernels.kernels.plan import Plan, row_stride
from lift_kernels.kernels.row_chunks import Scratch, joined, row_chunk
from lift_kernels.kernels.softmax_rows import finish_rows
from lift_kernels.testing import Head
from tests.lift_kernels.kernels.head_truth import linear_head, statistics

# 5 rows at a time, of 331 columns 64 at a time; the last 11 are a product of their own.
PLAN = Plan(num_rows=5, width=17, num_columns=331, rows=5, columns=64, buffer_size=5 * 64)


def test_pieces_of_a_chunk_leave_statistics_and_exponentials_of_all_columns():
    head = Head.random(5, 17, 331, torch.bfloat16, ignored=0)
    linear = linear_head(head, bias=True, scale=1.5)
    scratch = Scratch.allocate(head.weight, PLAN, 1 << 20, exponentials=True)
    partial = row_chunk(head.hidden_states, linear, head.targets, PLAN, scratch, all_stats=True)
    lse, log_prob = statistics(head, linear)
    stats = partial.merge()
    torch.testing.assert_close(stats.lse, lse, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(stats.log_prob, log_prob, rtol=1e-6, atol=1e-5)
    factor, _ = finish_rows(partial, linear)
    probabilities = scratch.exponentials[:, :331].float() * factor[:, None] / 1.5
    others = -torch.expm1(log_prob.double())
    torch.testing.assert_close(probabilities.double().sum(1), others, rtol=2e-3, atol=0)
    assert not probabilities.gather(1, head.targets[:, None]).any()
    assert not scratch.exponentials[:, 331:].any()  # a product takes them in


def test_exponentials_lie_apart_where_they_outlive_the_call():
    weight = torch.zeros(331, 17, dtype=torch.bfloat16)
    for is_apart in (False, True):
        scratch = Scratch.allocate(weight, replace(PLAN, exponentials_apart=is_apart), 1 << 20, exponentials=True)
        assert scratch.exponentials.shape == (5, row_stride(331)) and scratch.exponentials.dtype == torch.bfloat16
        kept, freed = scratch.exponentials.untyped_storage(), scratch.buffer.untyped_storage()
        assert (kept.data_ptr() != freed.data_ptr()) == is_apart
        assert not is_apart or kept.nbytes() == 5 * row_stride(331) * 2
    assert Scratch.allocate(weight, PLAN, 1 << 20, exponentials=False).exponentials is None


def test_chunks_of_no_rows_join_to_empty_statistics():
    assert [values.shape for values in joined([], torch.device("cpu"))[:5]] == [(0,)] * 5
