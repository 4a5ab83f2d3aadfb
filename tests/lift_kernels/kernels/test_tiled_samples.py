from __future__ import annotations

import pytest
import torch

from lift_kernels.fallback.sampling import sample_rows
from lift_kernels.kernels import tiled_statistics
from lift_kernels.kernels.launch_configs import Launch
from lift_kernels.kernels.tiled_samples import tiled_samples
from lift_kernels.linear_head import Draws, LinearHead
from lift_kernels.testing import Head

pytestmark = pytest.mark.usefixtures("poison_new_tensors")

SMALL = Launch({"BLOCK_N": 16, "BLOCK_V": 32, "BLOCK_D": 16}, num_warps=4, num_stages=2, fuses=False)
PARTS = {"a part a tile": 1024, "two tiles a part": 4, "one part": 1}


def draws(num_rows: int, temperature: float) -> Draws:
    number = torch.arange(num_rows)
    return Draws(2**63 - 2, 2**40 + number // 3, 2**32 - 1 - number, temperature)


# 33 rows in tiles of 16, two tiles to a group; 20 dimensions in steps of 16; 200 columns in tiles of 32.
@pytest.mark.parametrize("most_parts", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_tokens_are_the_fallbacks_whatever_the_parts(temperature, most_parts, monkeypatch):
    monkeypatch.setattr(tiled_statistics, "_MOST_PARTS", most_parts)
    monkeypatch.setattr(tiled_statistics, "_ROW_TILES_PER_GROUP", 2)
    head = Head.random(33, 20, 200, torch.bfloat16)
    linear = LinearHead(head.weight, head.bias, 1.5, 5.0, exclude_index=64)
    ours = tiled_samples(head.hidden_states, linear, draws(33, temperature), launch=SMALL)
    true = sample_rows(head.hidden_states, linear, draws(33, temperature), workspace_bytes=None)
    assert torch.equal(ours.token, true.token)
    torch.testing.assert_close(ours.log_prob, true.log_prob, rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(ours.entropy, true.entropy, rtol=1e-6, atol=2e-6)


def test_of_equal_logits_in_different_parts_the_first_is_taken():
    weight = torch.zeros(200, 1)
    weight[[40, 41, 170]] = 4.0
    found = tiled_samples(torch.ones(2, 1), LinearHead(weight), draws(2, 0.0), launch=SMALL)
    assert found.token.tolist() == [40, 40]


def test_no_rows_are_drawn_from():
    found = tiled_samples(torch.ones(0, 4), LinearHead(torch.ones(6, 4)), draws(0, 1.0))
    assert [value.shape for value in found] == [(0,)] * 3
