from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lift.objectives import cart, cart_batch, cart_weights, sft_batch
from tests.lift.support.clean_rows import MASK, PAD, clean_rows


def definition(is_visible: Tensor, p: float, positions: Tensor) -> Tensor:
    """The sum over the whole row, for some positions of it: (B, len(positions)) float64."""
    distance = (positions[:, None] - torch.arange(is_visible.shape[1])).abs()
    influence = torch.where(distance > 0, 0.5 * p * (1 - p) ** (distance.double() - 1).clamp(min=0), 0)
    return is_visible.double() @ influence.T


@settings(max_examples=60, deadline=None)
@example(length=1, p=0.1, seed=0)
@example(length=64, p=0.1, seed=0)
@example(length=65, p=0.5, seed=1)
@given(length=st.integers(1, 90), p=st.floats(1e-6, 1 - 1e-6), seed=st.integers(0, 2**20))
def test_weights_equal_the_definition(length, p, seed):
    is_visible = torch.rand(2, length, generator=torch.Generator().manual_seed(seed)) < 0.5
    truth = definition(is_visible, p, torch.arange(length))
    torch.testing.assert_close(cart_weights(is_visible, p, dtype=torch.float64), truth, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("p", [0.1, 1e-9, 1 - 1e-9])
def test_weights_of_a_long_row_are_exact(p):
    is_visible = torch.rand(2, 4096) < 0.3
    positions = torch.cat([torch.arange(0, 4096, 61), torch.tensor([63, 64, 65, 2047, 2048, 4095])])
    weights = cart_weights(is_visible, p, dtype=torch.float64)
    torch.testing.assert_close(weights[:, positions], definition(is_visible, p, positions), rtol=1e-12, atol=1e-300)
    single = cart_weights(is_visible, p)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, weights.float())


def test_a_lone_visible_token_decays_to_both_sides():
    is_visible = torch.zeros(1, 5, dtype=torch.bool)
    is_visible[0, 2] = True
    torch.testing.assert_close(cart_weights(is_visible, 0.5), torch.tensor([[0.125, 0.25, 0.0, 0.25, 0.125]]))
    assert cart_weights(is_visible[:, :0]).shape == (1, 0)


def test_memory_grows_with_the_length_not_its_square():
    class Elements(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            self.total += out.numel() if isinstance(out, Tensor) else 0
            return out

    is_visible = torch.ones(1, 4096, dtype=torch.bool)
    with Elements() as elements:
        cart_weights(is_visible)
    assert 4096 < elements.total < 128 * 4096  # all that was ever allocated: at 8 bytes, below 4 MiB


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_p_outside_its_range_is_an_error(p):
    with pytest.raises(ValueError, match="p must lie between 0 and 1"):
        cart_weights(torch.ones(1, 4, dtype=torch.bool), p)


def test_a_batch_is_that_of_sft_with_other_weights(rows):
    clean, maskable, ids = rows
    time = torch.linspace(0.1, 1, 64)
    names = {"mask_token_id": MASK, "seed": 3, "example_id": ids}
    batch, sft = cart_batch(clean, maskable, time, p=0.3, **names), sft_batch(clean, maskable, time, **names)
    assert torch.equal(batch.input_ids, sft.input_ids) and torch.equal(batch.labels, sft.labels)
    assert batch.denominator == sft.denominator
    truth = definition(sft.labels == -100, 0.3, torch.arange(40)) / time[:, None]
    torch.testing.assert_close(batch.token_weight, truth.float())


def test_padding_that_nobody_attends_to_is_no_context(rows):
    clean, maskable, ids = rows
    attention_mask = (torch.arange(40) < 30).long().expand(64, 40)
    batch = cart_batch(
        clean, maskable & (attention_mask == 1), torch.full((64,), 0.5), mask_token_id=MASK, seed=3, example_id=ids,
        attention_mask=attention_mask,
    )  # fmt: skip
    is_context = (batch.labels == -100) & (attention_mask == 1)
    torch.testing.assert_close(batch.token_weight, (definition(is_context, 0.1, torch.arange(40)) / 0.5).float())


@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_context_is_what_is_attended_to(pad_in_loss):
    """Of rows of unequal length: padding is context only where it is attended to, which is where it is trained."""
    rows = clean_rows("cart", pad_in_loss=pad_in_loss, cart_p=0.3)
    prepared = cart.build(rows)
    is_context = (prepared.batch.labels == -100) & (pad_in_loss | (rows.clean_ids != PAD))
    truth = definition(is_context, 0.3, torch.arange(rows.clean_ids.shape[1])) / rows.draws.timestep[:, None]
    torch.testing.assert_close(prepared.batch.token_weight, truth.float())
    assert torch.equal(prepared.maskable, rows.maskable)
    assert torch.equal(
        prepared.batch.labels, sft_batch(rows.clean_ids, rows.maskable, rows.draws.timestep, **rows.mask_draw).labels
    )


def test_tokens_before_the_row_count_as_if_they_stood_in_it():
    visible = torch.rand(3, 6) < 0.5
    before = torch.tensor([0, 4, 11])
    found = cart_weights(visible, 0.3, num_before=before, dtype=torch.float64)
    for row, number in enumerate(before.tolist()):
        whole = torch.cat([torch.ones(1, number, dtype=torch.bool), visible[row : row + 1]], 1)
        torch.testing.assert_close(found[row], cart_weights(whole, 0.3, dtype=torch.float64)[0, number:])
