from __future__ import annotations

import pytest
import torch

from benchmarks.ops.cases import CASES
from benchmarks.ops.own_providers import LiftKernels
from tests.benchmarks.support import HERE, ON_GPU


def test_the_op_gets_the_backend_the_workspace_and_the_number_of_targets():
    case = CASES["smoke-sequence-frozen"]
    inputs = case.inputs()
    seen = {}

    def op(*arguments, **options):
        seen.update(options, arguments=arguments)

    LiftKernels("minimal", workspace_bytes=77).call(op, case, inputs, ON_GPU, return_stats=True)
    assert seen.pop("arguments") == inputs
    assert seen == {"backend": "triton", "workspace_bytes": 77, "num_targets": 4, "return_stats": True}
    LiftKernels(None, backend="torch").call(op, case, inputs, ON_GPU)
    assert (seen["backend"], seen["workspace_bytes"]) == ("torch", None)


@pytest.mark.parametrize("kind", ["frozen", "trained"])
def test_a_step_leaves_the_gradients_that_the_case_asks_for(kind):
    case = CASES[f"smoke-{kind}"]
    hidden_states, weight, targets = inputs = case.inputs()
    loss = LiftKernels(None).prepare(case, inputs, HERE)()
    logits = hidden_states.detach().double() @ weight.detach().double().T
    torch.testing.assert_close(loss.double(), torch.nn.functional.cross_entropy(logits, targets), atol=1e-5, rtol=0)
    assert hidden_states.grad is not None and (weight.grad is not None) == (kind == "trained")


def test_suites_that_another_provider_measures_the_same_way_are_left_out():
    provider = LiftKernels(None, suites_left_out=("cpu",))
    assert provider.takes(CASES["smoke-stats"]) and not provider.takes(CASES["cpu-32k-frozen"])
