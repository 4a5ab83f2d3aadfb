"""Peak memory of one step of a provider: on the CUDA device, or in a process of its own.

`python -m benchmarks.ops.peak_memory PROVIDER CASE THREADS` is that process: earlier peaks would hide a new one.
"""

from __future__ import annotations

import dataclasses
import json
import sys

import torch

from benchmarks.harness.memory import cuda_peak_of, hand_back_freed, resident_peak_of
from benchmarks.harness.own_process import answer_of
from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import Case
from benchmarks.ops.provider import Step
from benchmarks.ops.providers import PROVIDERS


def peak_of(provider: str, case: Case, step: Step, config: RunConfig) -> int | None:
    """Return bytes beyond those before the step, gradients included; None where they are not counted."""
    if config.on_gpu:
        return cuda_peak_of(step)
    if sys.platform != "linux" or config.is_smoke:  # a process takes seconds to begin
        return None
    return peak_in_a_process(provider, case)


def peak_in_a_process(provider: str, case: Case) -> int:
    """Prepare the step anew on the CPU of another process, and count resident bytes there."""
    peak: int = answer_of(__name__, provider, case.name, str(torch.get_num_threads()))
    return peak


def _peak_here(provider: str, case: Case) -> int:
    config = RunConfig(torch.device("cpu"), "torch")
    small = dataclasses.replace(case, model="smoke", num_tokens=16)
    PROVIDERS[provider].prepare(small, small.inputs(), config)()  # libraries load and pools open before
    step = PROVIDERS[provider].prepare(case, case.inputs(), config)
    hand_back_freed()  # what making the inputs left behind
    return resident_peak_of(step)[1]


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    print(json.dumps(_peak_here(sys.argv[1], Case.of_name(sys.argv[2]))))
