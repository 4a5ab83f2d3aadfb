"""Arguments that are DTensors: what every process holds whole is computed with, shards are refused."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def local(op: str, **values: Any) -> tuple[Any, ...]:
    """Return the values, in order, with each replicated DTensor as the plain tensor that this process holds.

    Its gradient is taken to be the same on every process.

    Raises:
        ValueError: a DTensor is sharded or a partial sum.
    """
    for name, value in values.items():
        if is_dtensor(value):
            _check_replicated(op, name, value)
    return tuple(value.to_local() if is_dtensor(value) else value for value in values.values())


def local_head(op: str, hidden_states: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
    """Return the three as `local` does; beside plain hidden states gradients of the head are averaged.

    Plain hidden states are each process's own rows, as under DistributedDataParallel, and so is what they add to the
    gradient of a parameter that all processes share.
    """
    if is_dtensor(hidden_states) or not (is_dtensor(weight) or is_dtensor(bias)):
        hidden_states, weight, bias = local(op, hidden_states=hidden_states, weight=weight, bias=bias)
        return hidden_states, weight, bias
    local(op, weight=weight, bias=bias)
    return hidden_states, *(whole(value) if is_dtensor(value) else value for value in (weight, bias))


def whole(parameter: Any) -> Tensor:
    """Return the whole of a parameter; the gradients of a DTensor are those of each process's own rows, averaged."""
    if not is_dtensor(parameter):
        plain: Tensor = parameter
        return plain
    from torch.distributed.tensor import Partial

    # Each process computes the gradient of its own rows. The default would take it for that of all rows.
    placements = [Partial("avg")] * parameter.device_mesh.ndim
    gathered: Tensor = parameter.full_tensor(grad_placements=placements)
    return gathered


def is_dtensor(value: Any) -> bool:
    """Return whether `value` is a DTensor, without loading torch.distributed."""
    return hasattr(value, "placements") and hasattr(value, "full_tensor")


def _check_replicated(op: str, name: str, value: Any) -> None:
    if not all(placement.is_replicate() for placement in value.placements):
        placements = ", ".join(map(str, value.placements))
        raise ValueError(
            f"{op}: {name} must be whole on every process, got a DTensor placed as {placements}. Patch a sharded model "
            f"with apply_lift_kernels, which gathers its head, or pass {name}.full_tensor()."
        )
