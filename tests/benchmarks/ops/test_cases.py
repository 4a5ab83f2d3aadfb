from __future__ import annotations

import pytest
import torch

from benchmarks.ops.cases import HEADS, MODELS, WITHOUT_GRADIENT, WORKS, Case, cases, target_rows

EVERY = list(cases(["smoke", "llada-8b"], [16, 64], [0.15, 1.0], WORKS, HEADS))


def test_what_takes_no_gradient_has_no_head_to_train():
    assert len(EVERY) == 2 * 2 * 2 * 6
    assert len(set(EVERY)) == len(EVERY) == len({case.name for case in EVERY})
    assert all(case.head == "frozen" for case in EVERY if case.work in WITHOUT_GRADIENT)


@pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)
def test_a_name_says_everything(case):
    assert Case.of_name(case.name) == case


@pytest.mark.parametrize("name", ["", "no-such-16-0.5-loss-frozen", "llada"])
def test_an_unknown_name_is_an_error(name):
    with pytest.raises(ValueError, match="no case is named"):
        Case.of_name(name)


@pytest.mark.parametrize("model", MODELS)
def test_the_heads_are_those_of_the_models(model):
    case = Case(model, 64, 0.5, "loss", "trained")
    assert (case.width, case.vocab_size) == MODELS[model]
    assert case.flops == 2 * 3 * 32 * case.width * case.vocab_size


@pytest.mark.parametrize("masked", [0.15, 0.5, 1.0])
@pytest.mark.parametrize("head", HEADS)
def test_inputs_are_the_same_each_time_and_mask_the_share_asked_for(masked, head):
    case = Case("smoke", 64, masked, "loss", head)
    first, second = case.inputs(), case.inputs("cpu")
    assert all(map(torch.equal, first, second))
    assert first.hidden_states.requires_grad and first.weight.requires_grad == (head == "trained")
    masked_of_rows = (first.targets.view(case.num_rows, -1) != -100).sum(1)
    assert masked_of_rows.unique().numel() == 1
    assert masked_of_rows.sum() == case.num_targets == pytest.approx(64 * masked, abs=2)


def test_draws_are_of_the_tokens_with_a_target_and_need_one_product():
    case = Case("smoke", 64, 0.5, "sampling")
    inputs = case.inputs()
    assert not inputs.hidden_states.requires_grad and case.flops == 2 * 32 * case.width * case.vocab_size
    index = target_rows(inputs)
    assert (inputs.targets[index] >= 0).all() and len(index) == 32


def test_lift_keeps_some_of_what_is_masked_and_trains_on_that():
    case = Case("smoke", 64, 0.5, "lift")
    rows = case.lift_rows()
    assert rows.num_keep.tolist() == [5] * 4 and case.num_targets == 32 and case.num_trained == 20
    assert {-1, 0, 1} == set(rows.order.tolist()) and ((rows.timestep > 0) & (rows.timestep <= 1)).all()
    assert case.flops == 2 * (32 + 20) * case.width * case.vocab_size
