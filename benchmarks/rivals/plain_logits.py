"""All logits in memory, softmax in float32: what a model's own head does, as it is and by torch.compile."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.rivals.rival import LossFunction, Rival


def float32_logits(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden_states, weight).float(), targets)


def compiled_float32_logits(hidden_states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Compiled anew for each shape, seconds each."""
    return _compiled("inductor" if hidden_states.is_cuda else "eager")(hidden_states, weight, targets)


@cache
def _compiled(backend: str) -> LossFunction:
    return torch.compile(float32_logits, dynamic=False, backend=backend)


PLAIN, COMPILED = "logits in float32", "logits in float32, torch.compile"
RIVALS = {
    PLAIN: Rival(float32_logits, "torch", ("torch",), on_cpu=True),
    COMPILED: Rival(compiled_float32_logits, "torch", ("torch",), on_cpu=True),
}
