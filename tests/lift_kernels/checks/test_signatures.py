"""Every argument of every public op is checked by its type, and by its value where that is on the host."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch

import lift_kernels
from lift_kernels import TokenStats
from tests.lift_kernels.op_calls import CALLS, OPS, B, D, L, V, call, labels

# What no argument is, and of what is something to one argument, the word of its annotation.
KINDS = {
    "None": (None, "None"), "bool": (True, "bool"), "int": (7, "int"), "float": (0.5, "float"), "text": ("text", "str"),
    "list": ([1, 2], ""), "dict": ({}, ""), "object": (object(), ""), "array": (np.ones((B, L)), ""),
    "class": (torch.Tensor, ""), "tensor": (torch.ones(B, L), "Tensor"), "scalar": (torch.tensor(2), "Tensor"),
    "complex": (torch.ones(B, L, dtype=torch.complex64), ""), "complex number": (1j, ""),
    "sparse": (torch.eye(V, D).to_sparse(), ""),
    "nested": (torch.nested.nested_tensor([torch.ones(2, D), torch.ones(3, D)], layout=torch.jagged), ""),
}  # fmt: skip


def parameters(name):
    return inspect.signature(getattr(lift_kernels, name)).parameters


def admits(annotation: str, word: str) -> bool:
    words = annotation.split(" | ")
    return word in words or (word == "int" and "float" in words)  # an int is a float to Python's typing


def test_the_calls_give_every_argument():
    for name in CALLS:
        assert set(CALLS[name]()) == set(parameters(name)) and call(name) is not None
    public = {name for name in lift_kernels.__all__ if inspect.isfunction(getattr(lift_kernels, name))}
    others = {"apply_lift_kernels", "backend_report", "register_model_family", "remove_lift_kernels"}
    assert public == set(OPS) | others


@pytest.mark.parametrize(("name", "argument"), [(name, argument) for name in CALLS for argument in CALLS[name]()])
def test_a_value_of_another_kind_is_a_type_error_that_names_function_and_argument(name, argument):
    annotation = parameters(name)[argument].annotation
    wrong = [value for value, word in KINDS.values() if not admits(annotation, word)]
    assert len(wrong) > 8
    for value in wrong:
        with pytest.raises(TypeError, match=rf"^{name}: {argument} must "):
            call(name, **{argument: value})


ANY_TENSOR = {"hidden_states", "weight", "bias"}  # too large to look through, and nothing of them is out of range
ANY_FLAG = {
    "time_scaling",
    "return_stats",
    "return_learnability",
    "runner_up",
    "rank",
    "differentiable",
    "maskable",
    "is_masked",
}
ANY_NAME = {"row_ids"}  # rows of one id draw the same, on purpose
NUMBERS = (math.nan, 0.0, -1.0, math.inf, -math.inf)
WRONG = {
    "ignore_index": (2**63, -(2**63) - 1),
    "exclude_index": (-1, 2**63),
    "num_targets": (-1, 3, 2**64),
    "logit_scale": NUMBERS,
    "logit_softcap": NUMBERS,
    "temperature": NUMBERS,
    "denominator": (*NUMBERS, 0, *(torch.tensor(value) for value in NUMBERS[1:]), torch.ones(2), torch.ones((), requires_grad=True)),
    "workspace_bytes": (0, -1, 10, 2**63),
    "backend": ("cuda", "", "Torch"),
    "reduction": ("avg", "MEAN", ""),
    "learnability": ("sharp", ""),
    "seed": (-1, 2**63),
    "mask_token_id": (-1, 2**63),
    "targets": (labels().where(labels() != 7, V), labels().where(labels() != 7, -1), torch.zeros(B, L + 1).long()),
    "labels": (labels().where(labels() != 7, V), labels().where(labels() != 7, -1), torch.zeros(B, L + 1).long()),
    "token_weight": (
        torch.full((B, L), math.nan), torch.full((B, L), math.inf), torch.ones(B), torch.ones(B, L, requires_grad=True),
    ),
    "timestep": (
        torch.tensor([0.5, 1.5, 0.5]), torch.zeros(B), torch.full((B,), -0.5), torch.full((B,), math.nan), torch.ones(B, 1),
        torch.full((B,), 0.5, requires_grad=True),
    ),
    "row_weight": (torch.full((B,), math.nan), torch.full((B,), math.inf), torch.ones(B, L), torch.ones(B, requires_grad=True)),
    "num_keep": (torch.tensor([2, 1, 1]), torch.tensor([-1, 1, 1]), torch.ones(B, 1).long()),
    "order": (torch.tensor([1, 2, 1]), torch.tensor([1, 1, -2]), torch.ones(2).long()),
    "score": (torch.full((B, L), math.nan), torch.ones(B)),
    "mask_prob": (torch.full((B,), -0.5), torch.full((B,), math.nan), torch.full((B, L), -math.inf), torch.ones(L)),
    "input_ids": (torch.zeros(L).long(),),
    "top_k": (0, -1, 2**63),
    "top_p": (*NUMBERS, 1.5),
    "positions": (torch.full((L,), -1), torch.full((B, L), 2**32), torch.ones(B).long()),
}  # fmt: skip
WRONG_THERE = {("linear_sample", "temperature"): (math.nan, -1.0, math.inf, 1e-31)}  # 0 is the most likely token
READ = [
    (name, argument) for name in CALLS for argument in CALLS[name]() if argument not in ANY_TENSOR | ANY_FLAG | ANY_NAME
]


@pytest.mark.parametrize(("name", "argument"), READ)
def test_a_value_out_of_range_is_a_value_error_that_names_function_and_argument(name, argument):
    for value in WRONG_THERE.get(
        (name, argument), WRONG[argument]
    ):  # an argument without an entry has no check yet: give it both
        if name == "LinearCrossEntropyLoss" and value == 10:
            continue  # how much a head needs is known when there is one
        with pytest.raises(ValueError, match=rf"^{name}: {argument}(\[[0-9, ]+\])? (must|belongs)"):
            call(name, **{argument: value})


@pytest.mark.parametrize("learnability", ["hard", "soft"])
def test_num_keep_is_read_for_either_learnability(learnability):
    with pytest.raises(ValueError, match=r"^lift_cross_entropy: num_keep\[0\] must lie between 0 and 1"):
        call("lift_cross_entropy", num_keep=torch.tensor([2, 1, 1]), learnability=learnability)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_errors_name_the_function_for_every_reduction(reduction):
    options = {"reduction": reduction, "denominator": None}
    wrong = {"targets": labels().where(labels() != 7, V), "num_targets": 3, "workspace_bytes": 10}
    for argument, value in wrong.items():
        with pytest.raises(ValueError, match=f"^linear_cross_entropy: {argument} must"):
            call("linear_cross_entropy", **options, **{argument: value})
    if reduction != "mean":
        with pytest.raises(ValueError, match=r"^linear_cross_entropy: denominator belongs to reduction='mean'"):
            call("linear_cross_entropy", reduction=reduction)


def test_numbers_of_numpy_are_numbers():
    plain = call("linear_cross_entropy")
    numpy = call(
        "linear_cross_entropy", num_targets=np.int64(11), logit_scale=np.float32(0.5), denominator=np.float64(7),
        ignore_index=np.int32(-100), workspace_bytes=np.int64(1 << 20), logit_softcap=np.float64(3),
    )  # fmt: skip
    assert torch.equal(plain[0], numpy[0])


def test_weights_of_ignored_tokens_may_be_anything():
    """Such as 1/t where there is no time."""
    weight = CALLS["linear_cross_entropy"]()["token_weight"]
    dirty = weight.clone()
    dirty[0, 1:] = math.nan
    assert torch.equal(
        call("linear_cross_entropy", token_weight=dirty)[0], call("linear_cross_entropy", token_weight=weight)[0]
    )


def test_a_denominator_that_is_nan_says_that_the_loss_is_none():
    assert call("linear_cross_entropy", denominator=torch.tensor(math.nan))[0].isnan()


def test_a_negative_ignore_index_or_one_within_the_vocabulary_is_a_meaning():
    for ignore_index in (-1, 0, 7):
        targets = torch.where(CALLS["linear_token_stats"]()["targets"] < 0, ignore_index, 5)
        stats = call("linear_token_stats", targets=targets, ignore_index=ignore_index, runner_up=False, rank=False)
        assert isinstance(stats, TokenStats) and (stats.argmax[0, 1:] == -1).all()
