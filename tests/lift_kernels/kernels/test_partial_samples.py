from __future__ import annotations

import math

import torch

from lift_kernels.kernels.partial_samples import PartialSamples


def part(logits: list[float], keys: list[float], first: int) -> tuple[list[float], int]:
    """What a part of these columns leaves: five numbers and a token."""
    largest = max(logits, default=-math.inf)
    others = [(z - largest) / math.log(2) for z in logits]
    others.remove(0.0)
    ahead = keys.index(max(keys))
    sums = sum(2**z for z in others), sum(z * 2**z for z in others)
    return [largest, *sums, keys[ahead], logits[ahead]], first + ahead


def test_parts_merge_to_what_the_whole_row_has():
    logits = [0.5, 3.0, -1.0, 3.0, 2.0, 2.5]
    keys = [0.0, 1.0, 4.0, 2.0, 4.0, 3.0]  # the same key ahead in two parts
    parts = [part(logits[i : i + 2], keys[i : i + 2], i) for i in (0, 2, 4)]
    # And one before them that has no logit but -inf.
    values = torch.tensor(
        [[-3.4028234663852886e38, 0.0, 0.0, -math.inf, -math.inf], *(numbers for numbers, _ in parts)]
    )
    token = torch.tensor([[0, *(token for _, token in parts)]], dtype=torch.int32)
    merged = PartialSamples(values.t()[:, None].contiguous(), token).merge()
    log_p = torch.tensor(logits, dtype=torch.float64).log_softmax(0)
    assert merged.token.tolist() == [2]
    torch.testing.assert_close(merged.log_prob[0].double(), log_p[2], rtol=1e-6, atol=0)
    torch.testing.assert_close(merged.entropy[0].double(), -(log_p.exp() * log_p).sum(), rtol=1e-6, atol=0)


def test_the_rest_of_a_row_that_is_nearly_certain_keeps_its_digits():
    values = torch.tensor([[80.0, 0.0, 0.0, 80.0, 80.0], [50.0, 0.0, 0.0, 50.0, 50.0]])
    merged = PartialSamples(values.t()[:, None].contiguous(), torch.tensor([[3, 9]], dtype=torch.int32)).merge()
    assert merged.token.tolist() == [3]
    assert math.isclose(merged.log_prob.item(), -math.log1p(math.exp(-30)), rel_tol=1e-5)
