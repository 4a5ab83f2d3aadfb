"""Guided logits: made of one row where the head is affine, and the same as of two."""

from __future__ import annotations

import pytest
import torch

from lift.sampling.guidance import guide, unguided_ids
from lift.sampling.heads import Head

WEIGHT, BIAS = torch.randn(11, 4, dtype=torch.float64), torch.randn(11, dtype=torch.float64)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_logits_are_those_without_the_text_plus_the_difference(softcap, dtype):
    def logits(rows):
        made = rows.double() @ WEIGHT.T + BIAS
        return made if softcap is None else (made / softcap).tanh() * softcap

    rows, without = torch.randn(2, 5, 4).to(dtype)
    guided, head = guide(rows, without, Head(logits, 11, softcap is None), 1.5)
    expected = logits(without) + 2.5 * (logits(rows) - logits(without))
    torch.testing.assert_close(head.logits(guided), expected)
    assert guided.dim() == (2 if softcap is None and dtype == torch.float64 else 3)


def test_the_given_text_is_masked():
    ids, is_given = torch.tensor([[3, 4, 9]]), torch.tensor([[True, False, False]])
    assert unguided_ids(ids, is_given, 9).tolist() == [[9, 4, 9]]
