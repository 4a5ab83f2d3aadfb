"""Take hidden states and head as the ops on a linear head compute with them."""

from __future__ import annotations

from torch import Tensor

from lift_kernels import checks
from lift_kernels.ops.autocast import apply_autocast


def head_inputs(
    op: str, hidden_states: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return the three checked, cast where torch.autocast is on, and as plain tensors where they are DTensors.

    Raises:
        ValueError, TypeError: they make no linear layer, or lie in shards; the message names the argument.
        RuntimeError: a derivative in forward mode or of torch.func is asked for.
    """
    hidden_states, weight, bias = checks.local_head(op, hidden_states, weight, bias)
    tensors = {"hidden_states": hidden_states, "weight": weight, "bias": bias}
    for name, tensor in tensors.items():
        if tensor is not None or name != "bias":
            checks.check_floating(op, name, tensor)
    checks.refuse_transforms(op, *tensors.values())
    checks.check_same_device(op, **tensors)
    hidden_states, weight, bias = apply_autocast(hidden_states, weight, bias)
    checks.check_linear(op, hidden_states, weight, bias)
    return hidden_states, weight, bias
