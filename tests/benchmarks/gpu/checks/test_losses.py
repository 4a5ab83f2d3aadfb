from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.checks import losses
from benchmarks.gpu.checks.op_calls import VARIANTS
from lift_kernels import linear_cross_entropy
from tests.benchmarks.gpu.checks.broken_ops import a_thousandth_too_much, phantom_columns
from tests.benchmarks.support import HERE, SHAPE


@pytest.mark.parametrize("path", ["default", "minimal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_right_losses_and_gradients_pass(dtype, path):
    for variant in VARIANTS:
        assert not losses.losses_and_gradients(HERE, shape=SHAPE, dtype=dtype, path=path, variant=variant).failures


def test_a_wrong_loss_a_wrong_gradient_and_a_wrong_dtype_are_found(broken):
    options = {"shape": SHAPE, "dtype": torch.bfloat16, "path": "default"}
    broken(loss=a_thousandth_too_much)
    failures = losses.losses_and_gradients(HERE, **options).failures
    assert any("sum loss: off by" in failure for failure in failures)

    def scaled(h, *args, **o):
        h.register_hook(lambda gradient: gradient * 1.1)
        return linear_cross_entropy(h, *args, **o)

    broken(loss=scaled)
    failures = losses.losses_and_gradients(HERE, names=(("hidden_states",),), **options).failures
    assert len(failures) == 3 and all("gradient of hidden_states: rms error" in failure for failure in failures)


def test_a_count_of_targets_that_is_not_used_right_is_found(broken):
    broken(loss=lambda *a, num_targets=None, **o: linear_cross_entropy(*a, **o) * (1 if num_targets is None else 1.01))
    assert losses.numbers_of_rows(HERE, shape=(4, 8, 40), path="default").failures
    broken(loss=linear_cross_entropy)
    assert not losses.numbers_of_rows(HERE, shape=(4, 8, 40), path="default").failures


def test_rows_lost_at_the_end_of_many_are_found(broken):
    assert not losses.beyond_int32(HERE, shape=(100, 8, 60), path="default").failures

    def loses_last(h, w, t, **options):
        loss, stats = linear_cross_entropy(torch.cat([h[:-1], 0 * h[-1:]]), w, t, **options)
        return loss, stats

    broken(loss=loses_last)
    failures = losses.beyond_int32(HERE, shape=(100, 8, 60), path="default").failures
    assert [failure for failure in failures if "last rows" in failure]


def test_phantom_columns_are_found(broken):
    broken(loss=phantom_columns)
    assert losses.losses_and_gradients(HERE, shape=SHAPE, dtype=torch.float32, path="default").failures
