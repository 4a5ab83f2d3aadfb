"""Gradient checkpointing changes what is kept, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lift import LiftConfig, LiftError, LiftTrainer
from lift.models.gradient_checkpointing import enable_gradient_checkpointing
from lift.models.lora import LoraArguments, add_lora
from lift.tasks import sudoku
from tests.lift.support.llada_layout import Block, llada_layout
from tests.lift.support.tiny import tiny_config, tiny_model, tiny_rows

IDS = torch.tensor([[2, 3, 4, 5, 6, 7, 1, 1], [3, 1, 4, 1, 5, 2, 6, 5]])
LORA = LoraArguments(use_peft=True, lora_target_modules=["q_proj", "v_proj"], lora_r=4, lora_dropout=0.3)


def with_random_adapter(model: nn.Module) -> nn.Module:
    model = add_lora(model, LORA).double()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zeros at first, which would make the gradient of lora_A 0
            nn.init.normal_(parameter)
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "from outside": lambda: llada_layout(dropout=0.3).double(),
    "from outside, adapter": lambda: with_random_adapter(llada_layout(dropout=0.3)),
    "own": lambda: tiny_model(dropout=0.3).double(),
}


def gradients(model: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    model.train().zero_grad()
    torch.manual_seed(seed)
    model(IDS).logits.square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def saved_bytes(model: nn.Module) -> int:
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.train()(IDS).logits.sum().backward()
    return sum(storages.values())


@pytest.mark.parametrize("name", MODELS)
def test_gradients_and_dropout_are_the_same_to_the_bit(name):
    model = MODELS[name]()
    before, other_masks = gradients(model), gradients(model, seed=1)
    assert before and not all(torch.equal(before[n], other_masks[n]) for n in before)  # dropout is on
    enable_gradient_checkpointing(model)
    after = gradients(model)
    assert before.keys() == after.keys() and all(torch.equal(before[n], after[n]) for n in before)


@pytest.mark.parametrize("name", MODELS)
def test_activations_of_the_blocks_are_not_kept(name):
    model = MODELS[name]()
    before = saved_bytes(model)
    enable_gradient_checkpointing(model)
    assert saved_bytes(model) < before / 3


def test_names_classes_and_copies_stay_whole():
    model = llada_layout(dropout=0.3).double()
    names, twin = list(model.state_dict()), copy.deepcopy(model)
    enable_gradient_checkpointing(model)
    assert list(model.state_dict()) == names and all(type(block) is Block for block in model.blocks)
    assert [n for n, _ in model.named_modules()] == [n for n, _ in twin.named_modules()]
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(2)
        for parameter in twin.parameters():
            parameter.mul_(2)
    expected = gradients(twin)
    assert all(torch.equal(expected[n], g) for n, g in gradients(copied).items())
    assert all(p.grad is None for p in model.parameters())


def test_only_training_with_gradients_recomputes():
    model = llada_layout()
    enable_gradient_checkpointing(model)
    block = model.blocks[0]
    with torch.no_grad():
        model.train()(IDS)
    model.eval()(IDS).logits.sum().backward()
    assert block.num_calls == 2
    gradients(model)
    assert block.num_calls == 4


def test_a_forward_that_the_block_had_before_still_runs():
    model = llada_layout()
    block, seen = model.blocks[1], []
    inner = block.forward

    def spy(*args, **kwargs):
        seen.append(len(args))
        return inner(*args, **kwargs)

    block.forward = spy
    enable_gradient_checkpointing(model)
    enable_gradient_checkpointing(model)  # a second time changes nothing
    gradients(model)
    assert len(seen) == 2


def test_every_n_layers_checkpoints_every_nth_block():
    model = llada_layout()
    enable_gradient_checkpointing(model, {"every_n_layers": 2})
    gradients(model)
    assert [block.num_calls for block in model.blocks] == [2, 1, 2]


def test_what_cannot_be_done_is_said():
    with pytest.raises(LiftError, match="Linear has no gradient checkpointing of its own and no"):
        enable_gradient_checkpointing(nn.Linear(2, 2))
    with pytest.raises(LiftError, match="leave offload out"):
        enable_gradient_checkpointing(llada_layout(), {"offload": True})


def trained(tmp_path, model: nn.Module, **options) -> list[Tensor]:
    args = tiny_config(tmp_path, max_steps=2, **options)
    rows, tokenizer = tiny_rows(), sudoku.build_tokenizer()
    LiftTrainer(model=model, args=args, train_dataset=rows, processing_class=tokenizer).train()
    return [p.detach() for p in model.parameters()]


@pytest.mark.parametrize(
    "build", [lambda: llada_layout(dropout=0.1), lambda: tiny_model(dropout=0.1)], ids=["outside", "own"]
)
@pytest.mark.parametrize("adapter", [False, True], ids=["full", "adapter"])
def test_the_trainer_trains_to_the_same_bits(tmp_path, build, adapter):
    def model() -> nn.Module:
        torch.manual_seed(0)
        return add_lora(build(), LoraArguments(use_peft=True, lora_dropout=0.1)) if adapter else build()

    checkpointed, plain = model(), model()
    base = checkpointed.get_base_model() if adapter else checkpointed
    weights = trained(tmp_path / "a", checkpointed, gradient_checkpointing=True)
    assert all(map(torch.equal, weights, trained(tmp_path / "b", plain)))
    if hasattr(base, "blocks"):
        plain_base = plain.get_base_model() if adapter else plain
        # Two forwards a step, scoring and training; the latter is run again.
        assert base.blocks[0].num_calls == 3 / 2 * plain_base.blocks[0].num_calls
    else:
        assert all(layer.gradient_checkpointing for layer in base.model.layers)


def test_both_names_of_the_option_work_and_reentrant_is_off(tmp_path):
    config = LiftConfig(str(tmp_path), use_cpu=True, gradient_checkpointing=True)
    assert config.gradient_checkpointing_kwargs == {"use_reentrant": False}
    if hasattr(config, "activation_checkpointing"):
        assert config.activation_checkpointing and config.activation_checkpointing_kwargs == {"use_reentrant": False}
        assert LiftConfig(str(tmp_path), use_cpu=True, activation_checkpointing=True).gradient_checkpointing
    assert not LiftConfig(str(tmp_path), use_cpu=True).gradient_checkpointing
    own = LiftConfig(
        str(tmp_path), use_cpu=True, gradient_checkpointing=True, gradient_checkpointing_kwargs='{"every_n_layers": 2}'
    )
    assert own.gradient_checkpointing_kwargs == {"use_reentrant": False, "every_n_layers": 2}
