from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift.objectives import EASY, HARD, MIDDLE, complementary_batch, denoising_batch
from lift.objectives.complementary import maskable_of_views

MASK = 9


def views(seed, dtype=torch.float32, time_scaling=True, **names):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(MASK, (4, 12), generator=generator)
    maskable = torch.rand(4, 12, generator=generator) < 0.7
    is_kept = maskable & (torch.rand(4, 12, generator=generator) < 0.5)
    time = torch.tensor([0.25, 0.5, 0.9, 1.0], dtype=dtype)
    first = denoising_batch(clean, is_kept, maskable, time, mask_token_id=MASK, time_scaling=time_scaling)
    both = complementary_batch(
        first, clean, maskable, time, mask_token_id=MASK, time_scaling=time_scaling, **names
    )  # fmt: skip
    return clean, maskable, is_kept, first, both


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**20))
def test_two_views_train_every_maskable_token_once(seed):
    clean, maskable, is_kept, first, both = views(seed)
    assert torch.equal(both.input_ids[:4], first.input_ids) and torch.equal(both.labels[:4], first.labels)
    assert torch.equal(both.token_weight[:4], first.token_weight)
    is_second = both.labels[4:] != -100
    assert torch.equal(is_second, maskable & ~is_kept)
    assert torch.equal(both.labels[4:], clean.where(is_second, -100))
    assert torch.equal(both.input_ids[4:], clean.masked_fill(is_second, MASK))
    torch.testing.assert_close(both.token_weight[4:, 0], torch.tensor([4 / 3, 2.0, 10.0, 1000.0]))
    assert both.denominator == 2 * maskable.sum()


def test_only_middle_rows_have_a_second_view():
    order = torch.tensor([MIDDLE, EASY, HARD, MIDDLE])
    clean, maskable, is_kept, _, both = views(0, order=order)
    is_middle = (order == MIDDLE)[:, None]
    assert torch.equal(both.labels[4:] != -100, maskable & ~is_kept & is_middle)
    assert torch.equal(both.input_ids[5:7], clean[1:3])
    assert both.denominator == maskable.sum() + maskable[[0, 3]].sum()


def test_without_time_scaling_both_views_weigh_one():
    *_, both = views(0, time_scaling=False)
    assert (both.token_weight == 1).all()


def test_the_published_form_counts_one_view_and_rounds_its_time():
    _, maskable, *_, exact = views(0, torch.float64)
    *_, published = views(0, torch.float64, published=True)
    assert published.denominator == maskable.sum() and exact.denominator == 2 * maskable.sum()
    assert published.token_weight.dtype == torch.float64
    rounded = 1 / (1 - torch.tensor(0.9, dtype=torch.float32)).double()
    assert published.token_weight[6, 0] == rounded and exact.token_weight[6, 0] == 1 / (1 - 0.9)


def test_nothing_to_mask_divides_by_one():
    clean, time = torch.zeros(1, 3, dtype=torch.int64), torch.ones(1)
    nothing = torch.zeros(1, 3, dtype=torch.bool)
    first = denoising_batch(clean, nothing, nothing, time, mask_token_id=MASK)
    assert complementary_batch(first, clean, nothing, time, mask_token_id=MASK).denominator == 1


def test_a_row_of_the_middle_mode_may_be_masked_in_both_views():
    maskable = torch.tensor([[True, False], [True, True], [False, True]])
    both = maskable_of_views(maskable, torch.tensor([MIDDLE, EASY, MIDDLE]))
    assert both.tolist() == [*maskable.tolist(), [True, False], [False, False], [False, True]]


@pytest.mark.parametrize("published", [True, False])
def test_what_may_be_masked_is_what_the_loss_divides_by(published):
    order = torch.tensor([MIDDLE, EASY, HARD, MIDDLE])
    _, maskable, *_, both = views(2, order=order, published=published)
    views_masked = maskable_of_views(maskable, order)
    assert both.labels.shape == views_masked.shape and not ((both.labels != -100) & ~views_masked).any()
    assert both.denominator == (maskable if published else views_masked).sum()
