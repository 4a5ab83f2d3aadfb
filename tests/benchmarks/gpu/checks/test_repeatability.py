from __future__ import annotations

import itertools

import torch

from benchmarks.gpu.checks import repeatability
from lift_kernels import linear_cross_entropy, linear_token_stats
from tests.benchmarks.support import HERE, SHAPE


def test_a_race_is_found(broken):
    assert not repeatability.repeats(HERE, shape=SHAPE, path="minimal", times=3).failures
    calls = itertools.count()
    broken(loss=lambda *a, **o: linear_cross_entropy(*a, **o) * (1 + (next(calls) == 2) * 1e-6))
    failures = repeatability.repeats(HERE, shape=SHAPE, path="default", times=4).failures
    assert failures == ["sum, call 2, output 0: not equal to the last bit"]


def test_what_poisoned_memory_changes_is_found(broken, monkeypatch):
    assert not repeatability.poisoned_memory(HERE, shape=SHAPE, path="default").failures
    is_poisoned = []
    monkeypatch.setattr(repeatability, "_poison", lambda setting: is_poisoned.append(True))
    broken(stats=lambda *a, **o: linear_token_stats(*a, **o)._replace(lse=torch.full((20,), float(len(is_poisoned)))))
    assert [f for f in repeatability.poisoned_memory(HERE, shape=SHAPE, path="default").failures if "statistics" in f]


def test_a_gradient_scaled_in_place_is_found(broken):
    assert not repeatability.retained_graph(HERE, shape=SHAPE, path="default").failures

    class InPlace(torch.autograd.Function):
        @staticmethod
        def forward(ctx, h, w, b):
            ctx.gradients = [torch.ones_like(x) for x in (h, w, b)]
            return h.float().sum()

        @staticmethod
        def backward(ctx, grad):
            return tuple(gradient.mul_(2) for gradient in ctx.gradients)

    def loss(hidden_states, weight, targets, *, bias, workspace_bytes=None, **options):
        return InPlace.apply(hidden_states, weight, bias)

    broken(loss=loss)
    assert repeatability.retained_graph(HERE, shape=SHAPE, path="default").failures
