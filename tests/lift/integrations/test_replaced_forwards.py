"""All that replaces a forward of one model: in any order, and taken off by `remove_lift_kernels`."""

from __future__ import annotations

import copy
import random

import accelerate
import pytest
import torch
from accelerate.hooks import remove_hook_from_module

from lift import LiftOptions
from lift.integrations.loss_function import LiftLoss
from lift.models.gradient_checkpointing import enable_gradient_checkpointing
from lift.tasks import sudoku
from lift_kernels import apply_lift_kernels, remove_lift_kernels
from lift_kernels.integrations.liger import apply_to_instance
from lift_kernels.models import is_patched
from tests.lift_kernels.tiny_models import Sizes, build

STEPS = {
    "apply": apply_lift_kernels,
    "liger": lambda model: apply_to_instance(model=model),
    "LiftLoss": lambda model: LiftLoss(model, sudoku.build_tokenizer(), LiftOptions(method="sft")),
    "checkpointing": enable_gradient_checkpointing,
    "hooks": lambda model: accelerate.cpu_offload(model, execution_device="cpu"),
}
ORDERS = [random.Random(seed).sample(list(STEPS), len(STEPS)) for seed in range(8)]


@pytest.mark.parametrize("order", [*ORDERS, ["apply"], ["LiftLoss", "liger"]], ids="-".join)
def test_every_order_gives_the_same_loss_and_comes_off(order):
    torch.manual_seed(0)
    model = build("llada", torch.float64, Sizes(vocab=8)).train()
    ids = torch.randint(8, (2, 6))
    labels = ids.where(torch.rand(2, 6) < 0.5, -100)
    call = {"input_ids": ids, "labels": labels, "denominator": 5.0}
    expected = apply_lift_kernels(copy.deepcopy(model))(**call).loss.detach()
    logits, keys, forwards = model(ids).logits.detach(), list(model.state_dict()), own_forwards(model)
    for name in order:
        STEPS[name](model)
    for name in order:  # a second time changes nothing
        if name != "hooks":
            STEPS[name](model)
    for patched in (model, copy.deepcopy(model)):
        with torch.no_grad():
            torch.testing.assert_close(patched(**call).loss, expected)
            torch.testing.assert_close(patched(ids).logits, logits)
    assert list(model.state_dict()) == keys and is_patched(model)

    remove_lift_kernels(model)
    assert not is_patched(model)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, logits)
    remove_hook_from_module(model, recurse=True)
    left = {name for name, forward in own_forwards(model).items() if forward != forwards[name]}
    # Checkpointing is the run's own choice: it stays, on every block.
    blocks = {f"model.transformer.blocks.{i}" for i in range(len(model.model.transformer.blocks))}
    assert left == (blocks if "checkpointing" in order else set())


def own_forwards(model):
    return {name: module.forward for name, module in model.named_modules()}
