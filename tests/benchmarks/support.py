"""What tests of several rooms run on: this CPU, a tiny shape, and gates that are green."""

from __future__ import annotations

import torch

from benchmarks.harness.run_config import RunConfig

HERE = RunConfig(torch.device("cpu"), "torch")
SMOKE = RunConfig(torch.device("cpu"), "torch", is_smoke=True)
SMOKE_KERNELS = RunConfig(torch.device("cpu"), "triton", is_smoke=True)
ON_GPU = RunConfig(torch.device("cuda"), "triton")
SHAPE = (20, 16, 300)  # N, D, V
GREEN = {"default": "green", "minimal": "green"}
