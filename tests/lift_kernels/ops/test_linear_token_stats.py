from __future__ import annotations

import inspect

import pytest
import torch

from lift_kernels import linear_token_stats, reference
from lift_kernels.ops.linear_token_stats import _Options
from lift_kernels.testing import DTYPES, Head, assert_nats_close
from tests.lift_kernels.ops.head_cases import DEFAULT, OPTIONS, SHAPES, SMALL


@pytest.mark.parametrize("workspace_bytes", [SMALL, DEFAULT], ids=["many-tiles", "one-tile"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_matches_float64_truth(dtype, shape, options, workspace_bytes):
    head, wide = Head.random(*shape, dtype), Head.random(*shape, dtype).double()
    for targets in (head.targets, None):
        stats = linear_token_stats(
            head.hidden_states, head.weight, targets, bias=head.bias, workspace_bytes=workspace_bytes, **options
        )
        *floats, argmax = reference.linear_token_stats(
            wide.hidden_states, wide.weight, targets, bias=wide.bias, **options
        )
        for ours, truth in zip(stats[:4], floats, strict=True):
            assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            assert_nats_close(ours=ours, truth=truth)
        assert torch.equal(stats.argmax, argmax)


@pytest.mark.parametrize("workspace_bytes", [SMALL, DEFAULT])
def test_ties_go_to_the_lowest_index(workspace_bytes):
    hidden_states, weight = torch.ones(3, 4), torch.zeros(1500, 4)
    weight[[7, 8, 1100]] = 1.0
    stats = linear_token_stats(hidden_states, weight, workspace_bytes=workspace_bytes)
    assert stats.argmax.tolist() == [7, 7, 7]


def test_entropy_of_known_distributions():
    uniform = linear_token_stats(torch.zeros(1, 4), torch.ones(1000, 4))
    torch.testing.assert_close(uniform.entropy, torch.tensor([1000.0]).log())
    sure = linear_token_stats(torch.full((1, 2), 100.0), torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    assert sure.entropy.item() == 0 and sure.max_log_prob.item() == 0


def test_ignored_tokens_cost_nothing_and_say_so():
    head = Head.random(12, 8, 50)
    targets = head.targets.where(torch.arange(12) % 2 == 0, -1)
    hidden_states = head.hidden_states.masked_fill((targets == -1)[:, None], float("nan"))
    stats = linear_token_stats(hidden_states, head.weight, targets.where(targets >= 0, -1), ignore_index=-1)
    ignored = targets < 0
    for values in stats[:4]:
        assert not values[ignored].any() and values.isfinite().all()
    assert (stats.argmax[ignored] == -1).all() and (stats.argmax[~ignored] >= 0).all()


def test_shapes_and_gradients():
    head = Head.random(24, 8, 50).trainable("hidden_states", "weight")
    stats = linear_token_stats(head.hidden_states.view(2, 3, 4, 8), head.weight, head.targets.view(2, 3, 4))
    assert all(values.shape == (2, 3, 4) and not values.requires_grad for values in stats)
    assert stats.argmax.dtype == torch.int64
    empty = linear_token_stats(torch.zeros(0, 8), head.weight)
    assert all(values.shape == (0,) for values in empty)


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("has_targets", [True, False])
def test_the_runner_up_is_the_second_most_likely_token(has_targets, backend):
    head = Head.random(13, 16, 300)
    targets = head.targets if has_targets else None
    stats = linear_token_stats(
        head.hidden_states, head.weight, targets, bias=head.bias, runner_up=True, backend=backend
    )  # fmt: skip
    wide = head.double()
    log_probs = reference.linear_logits(wide.hidden_states, wide.weight, wide.bias).log_softmax(-1)
    expected = log_probs.topk(2).values[:, 1]
    assert_nats_close(
        ours=stats.runner_up_log_prob, truth=expected.where(targets != -100, 0) if has_targets else expected
    )
    plain = linear_token_stats(head.hidden_states, head.weight, targets, bias=head.bias, backend=backend)
    assert len(plain) == 5 and all(map(torch.equal, stats[:5], plain))


def test_a_tie_has_a_runner_up_as_likely_and_a_single_entry_has_none():
    hidden_states, weight = torch.ones(3, 4), torch.zeros(1500, 4)
    weight[[7, 1100]] = 1.0
    stats = linear_token_stats(hidden_states, weight, runner_up=True)
    torch.testing.assert_close(stats.runner_up_log_prob, stats.max_log_prob)
    alone = linear_token_stats(hidden_states, weight[:1], runner_up=True)
    assert (alone.runner_up_log_prob == -torch.inf).all() and not alone.max_log_prob.any()


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("options", [{}, {"logit_scale": 0.5, "logit_softcap": 3.0}, {"exclude_index": 5}])
def test_the_rank_counts_what_is_more_likely_than_the_target(options, backend):
    head = Head.random(40, 16, 300)
    targets = head.targets.where(head.targets != 5, 6).view(4, 10)
    inputs = (head.hidden_states.view(4, 10, 16), head.weight, targets)
    stats = linear_token_stats(*inputs, bias=head.bias, rank=True, backend=backend, **options)
    wide = head.double()
    logits = reference.linear_logits(
        wide.hidden_states, wide.weight, wide.bias, options.get("logit_scale", 1.0), options.get("logit_softcap"),
        options.get("exclude_index"),
    ).view(4, 10, 300)  # fmt: skip
    is_target = targets != -100
    own = logits.gather(-1, targets.where(is_target, 0)[..., None])
    assert stats.rank.dtype == torch.int64 and 0 < is_target.sum() < 40
    assert torch.equal(stats.rank, (1 + (logits > own).sum(-1)).where(is_target, 0))
    with_runner_up = linear_token_stats(*inputs, bias=head.bias, runner_up=True, backend=backend, **options)
    assert all(map(torch.equal, stats[:6], with_runner_up))


def test_equals_are_no_more_likely_and_a_rank_is_that_of_targets():
    stats = linear_token_stats(torch.ones(2, 4), torch.zeros(9, 4), torch.tensor([0, 8]), rank=True)
    assert stats.rank.tolist() == [1, 1]
    with pytest.raises(ValueError, match="rank is that of targets: give targets"):
        linear_token_stats(torch.ones(2, 4), torch.zeros(9, 4), rank=True)


@pytest.mark.parametrize("runner_up", [False, True])
def test_differentiable_statistics_are_the_same_and_three_are_connected(runner_up):
    head = Head.random(24, 8, 50).trainable("hidden_states", "weight")
    inputs = (head.hidden_states.view(2, 3, 4, 8), head.weight, head.targets.view(2, 3, 4))
    plain = linear_token_stats(*inputs, runner_up=runner_up)
    stats = linear_token_stats(*inputs, runner_up=runner_up, differentiable=True)
    assert all(map(torch.equal, stats, plain)) and all(values.shape == (2, 3, 4) for values in stats)
    assert [values.requires_grad for values in stats] == [True] * 3 + [False] * (len(stats) - 3)
    with torch.no_grad():
        assert not linear_token_stats(*inputs, differentiable=True).entropy.requires_grad


@pytest.mark.parametrize("names", [("hidden_states",), ("weight", "bias")], ids=["frozen", "head-only"])
def test_differentiable_statistics_compile_as_one_graph(names):
    head = Head.random(30, 16, 200)

    def step(hidden_states, weight, bias):
        stats = linear_token_stats(hidden_states, weight, head.targets, bias=bias, differentiable=True)
        return (stats.entropy * stats.lse - stats.log_prob.exp()).sum()

    results = []
    for function in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        fresh = head.trainable(*names)
        function(fresh.hidden_states, fresh.weight, fresh.bias).backward()
        results.append(fresh.grads(*names))
    assert all(map(torch.equal, *results))


def test_double_backward_of_statistics_is_refused_by_name():
    head = Head.random(20, 8, 64).trainable("hidden_states")
    stats = linear_token_stats(head.hidden_states, head.weight, differentiable=True)
    with pytest.raises(RuntimeError, match=r"^linear_token_stats: double backward is not supported"):
        torch.autograd.grad(stats.entropy.sum(), head.hidden_states, create_graph=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(4, 8), torch.ones(20, 7)), r"linear_token_stats: weight must have shape \(V, D\)"),
        ((torch.ones(4, 8), torch.ones(20, 8), torch.zeros(3, dtype=torch.int64)), r"targets must have shape \(4,\)"),
        ((torch.ones(4, 8), torch.ones(20, 8), torch.full((4,), 20)), r"targets must lie in \[0, 20\)"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_token_stats(*arguments)


def test_type_checkers_know_every_option():
    parameters = inspect.signature(linear_token_stats).parameters.values()
    named = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} - {"runner_up", "rank"}  # of the overloads
    assert set(_Options.__annotations__) == named
