"""Statistics as torch sees them: schema, fake implementation, autograd and tracing."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops.linear_token_stats_op import token_stats
from lift_kernels.testing import Head


@pytest.mark.parametrize("runner_up", [False, True])
@pytest.mark.parametrize("names", [("hidden_states",), ("hidden_states", "weight", "bias")], ids=["frozen", "trained"])
@pytest.mark.parametrize("with_targets", [True, False])
def test_linear_token_stats_passes_opcheck(with_targets, names, runner_up):
    head = Head.random(12, 8, 40).trainable(*names)
    torch.library.opcheck(
        token_stats,
        (
            head.hidden_states, head.weight, head.bias, head.targets if with_targets else None, None, -100, None, None,
            1.0, None, True, runner_up, runner_up and with_targets, None, "torch",
        ),
    )  # fmt: skip
