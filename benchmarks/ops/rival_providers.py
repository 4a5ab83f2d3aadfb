"""The rivals of `benchmarks.rivals` as providers of the loss and its gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import Case, Inputs
from benchmarks.ops.provider import Step, backward
from benchmarks.rivals.rival import Rival


@dataclass(frozen=True)
class RivalProvider:
    """One rival."""

    rival: Rival

    def takes(self, case: Case) -> bool:
        return case.work == "loss"

    def missing(self, config: RunConfig) -> str | None:
        return self.rival.obstacle(config.device)

    def prepare(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        return lambda: backward(self.rival.loss(*inputs))

    def token_losses(self, case: Case, inputs: Inputs, config: RunConfig) -> Tensor | None:
        if self.rival.token_losses is None:
            return None
        with torch.no_grad():
            return self.rival.token_losses(*inputs)
