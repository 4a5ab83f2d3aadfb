"""All that a measurement knows of what is inside the package: the one place to look where a name there has changed.

Functions of the package are called by the names of their parameters, so that one more of them that has a default does
not end a measurement. Everything else goes through the public ops.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from benchmarks.harness.run_config import RunConfig
from lift_kernels.linear_head import LinearHead, NeedsGrad

_PRODUCTS = ("mm", "addmm", "mm_", "addmm_", "matmul")
_TRANSPOSED_PRODUCT = "mkldnn._linear_pointwise"  # the fallback's logits where a processor multiplies bfloat16


def head_backend(config: RunConfig) -> Any:
    """Return the `linear_head.HeadBackend` of the run."""
    if config.backend == "triton":
        from lift_kernels.kernels import linear_cross_entropy as backend
    else:
        from lift_kernels.fallback import linear_cross_entropy as backend  # type: ignore[no-redef]
    return backend


def gradient_former(
    config: RunConfig, inputs: tuple[Tensor, Tensor, Tensor], *, trained: bool, may_defer: bool
) -> tuple[Callable[[], Any], NeedsGrad]:
    """Return a step that forms `Gradients` of the mean loss, and which ones; `inputs` as `Shape.inputs` gives them."""
    hidden_states, weight, targets = inputs
    needs_grad = NeedsGrad(hidden_states=True, weight=trained, bias=False)
    known: dict[str, Any] = {
        "hidden_states": hidden_states, "head": LinearHead(weight), "targets": targets, "needs_grad": needs_grad,
        "token_weight": torch.full((len(targets),), 1 / len(targets), device=weight.device), "workspace_bytes": None,
        "all_stats": False, "may_defer": may_defer,
    }  # fmt: skip
    backend = head_backend(config)
    return lambda: call_by_name(backend.loss_gradients, known)[2], needs_grad


def products_of(config: RunConfig, inputs: tuple[Tensor, Tensor, Tensor], *, trained: bool) -> list[tuple[int, ...]]:
    """Return (M, K, N) of the matrix products that `loss_gradients` takes, in order."""
    form, _ = gradient_former(config, inputs, trained=trained, may_defer=False)
    with torch.no_grad(), _Products() as seen:
        form()
    return seen.sizes


class _Products(TorchFunctionMode):
    """Notes the size of every matrix product that is called in its context."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _PRODUCTS:
            a, b = [value for value in args if isinstance(value, Tensor)][-2:]
            self.sizes.append((a.shape[0], a.shape[1], b.shape[1]))
        elif str(func) == _TRANSPOSED_PRODUCT:
            a, b = args[:2]
            self.sizes.append((a.shape[0], a.shape[1], b.shape[0]))
        return func(*args, **(kwargs or {}))


def row_kernel_launcher(logits: list[Tensor], targets: Tensor, exponentials: Tensor) -> Callable[[int, int], None]:
    """Return `launch(i, j)`: logits[i] (N, K) float32 as the j-th piece of a head without bias or softcap.

    As a loss of targets (N,) asks for it: exponentials (N, V) are written, and no other statistics are wanted.
    """
    from lift_kernels.kernels.launch_configs import launch_config
    from lift_kernels.kernels.partial_statistics import PartialStatistics
    from lift_kernels.kernels.softmax_rows import softmax_rows

    (num_rows, columns), vocab_size = logits[0].shape, exponentials.shape[1]
    known: dict[str, Any] = {
        "head": LinearHead(exponentials.new_empty(vocab_size, 8)), "targets": targets, "exponentials": exponentials,
        "statistics": PartialStatistics.empty(num_rows, 1, targets.device),
        "launch": launch_config("softmax_rows", exponentials.dtype, targets.device, num_rows),
        "all_stats": False, "runner_up": False,
    }  # fmt: skip

    def launch(number: int, place: int) -> None:
        piece = slice(place * columns, (place + 1) * columns)
        call_by_name(softmax_rows, {**known, "products": logits[number], "columns": piece})

    return launch


def call_by_name(function: Any, known: dict[str, Any]) -> Any:
    """Call `function` with those of `known` that it takes; TypeError names what it needs besides."""
    parameters = inspect.signature(function).parameters.values()
    unknown = [p.name for p in parameters if p.name not in known and p.default is p.empty]
    if unknown:
        raise TypeError(f"{function.__name__} needs {', '.join(unknown)}, which this measurement does not know")
    return function(**{p.name: known[p.name] for p in parameters if p.name in known})
