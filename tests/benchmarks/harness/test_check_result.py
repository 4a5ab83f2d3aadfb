from __future__ import annotations

import pytest
import torch

from benchmarks.harness.check_result import CheckResult, relative_error


def test_a_result_keeps_every_failure_and_the_worst_number():
    result = CheckResult()
    truth = torch.tensor([1.0, 2.0], dtype=torch.float64)
    result.compare_nats("a", (truth + 3e-5).float(), truth)
    result.compare_nats("b", (truth + 1e-2).float(), truth)
    result.compare_nats("c", truth.float() * torch.nan, truth)
    result.compare_nats("d", truth.float(), truth)
    result.compare_exactly("e", truth, truth.float())
    result.compare_gradient("f", torch.zeros(3), torch.zeros(3).double(), torch.zeros(3))
    result.compare_gradient("g", torch.ones(3), torch.zeros(3).double(), torch.zeros(3))
    assert [failure.partition(":")[0] for failure in result.failures] == ["b", "c", "e", "g"]
    assert set(result.numbers) == {"nats"}  # a gradient of 0 has no relative error
    assert result.comparisons == 7 and result.numbers["nats"] != result.numbers["nats"]


def test_products_of_tensor_cores_may_be_off_by_a_share_of_their_logits():
    result, truth = CheckResult(), torch.tensor([5.0, 5.0], dtype=torch.float64)
    result.compare_nats("large logits", (truth + 3e-4).float(), truth, logit_size=torch.tensor([40.0, 40.0]))
    result.compare_nats("a small one", (truth + 3e-4).float(), truth, logit_size=torch.tensor([40.0, 4.0]))
    assert [failure.partition(":")[0] for failure in result.failures] == ["a small one"]


@pytest.mark.parametrize(("dtype", "is_right"), [(torch.float32, True), (torch.bfloat16, False)], ids=str)
def test_float32_gradients_may_be_off_as_much_as_logits_are(dtype, is_right):
    truth = torch.randn(1000).to(dtype).double()
    result = CheckResult()
    wrong = truth * (1 + (1e-6 if dtype == torch.float32 else 2e-2))
    result.compare_gradient("g", wrong.to(dtype), truth, truth.to(dtype))  # the plain one happens to be exact
    assert (not result.failures) == is_right
    for error in (1e-5 * truth, 1e-4 * torch.eye(1000)[truth.abs().argmax()] * truth):
        result = CheckResult()
        result.compare_gradient("g", (truth + error).float(), truth, truth.float())
        assert result.failures


def test_a_relative_error_is_that_of_the_whole_tensor():
    truth = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert relative_error(torch.tensor([3.0, 4.5]), truth) == pytest.approx(0.1)
