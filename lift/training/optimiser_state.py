"""How many bytes an optimiser keeps beside the weights, asked of the optimiser itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import Trainer

logger = logging.getLogger(__name__)


def optimiser_bytes(args: Any, model: Any) -> int:
    """Return the bytes of the state of `args.optim` after a step on the trained parameters of `model`.

    The optimiser takes its first step on tensors without memory. One that cannot (those of bitsandbytes need their
    device) is taken for Adam with two moments for each number, of one byte where its name says 8bit, else as large as
    the weights; the log says so.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    try:
        build, options = Trainer.get_optimizer_cls_and_kwargs(args, model)
        return _after_a_step(build, options, trained)
    except Exception as error:  # whatever an optimiser asks of its tensors
        width = 1 if "8bit" in str(args.optim) else None
        logger.info("the state of optim=%s is estimated as Adam's, as it takes no step here: %s", args.optim, error)
        return sum(2 * p.numel() * (width or p.element_size()) for p in trained)


def _after_a_step(build: Any, options: dict[str, Any], trained: Iterable[Tensor]) -> int:
    with FakeTensorMode():
        parameters = [nn.Parameter(torch.empty(p.shape, dtype=p.dtype)) for p in trained]
        for parameter in parameters:
            parameter.grad = torch.empty_like(parameter)
        optimiser = build(parameters, **options)
        optimiser.step()
        state = (value for values in optimiser.state.values() for value in values.values())
        return sum(value.nbytes for value in state if isinstance(value, Tensor))
