"""The ops of this package, on the backend of the run or another, with the default workspace or less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import Case, Inputs
from benchmarks.ops.provider import Step, backward
from lift_kernels import linear_cross_entropy, linear_token_stats


@dataclass(frozen=True)
class LiftKernels:
    """`linear_cross_entropy` or `linear_token_stats`, as the case asks for.

    Attributes:
        gate_path: the path of the accuracy matrix that gates its speed; None: each case's own check is all.
        backend: None for that of the run.
        workspace_bytes: as in the op.
        suites_left_out: suites whose cases another provider measures the same way.
    """

    gate_path: str | None
    backend: str | None = None
    workspace_bytes: int | None = None
    suites_left_out: tuple[str, ...] = ()

    def takes(self, case: Case) -> bool:
        return case.suite not in self.suites_left_out

    def missing(self, config: RunConfig) -> str | None:
        return None

    def prepare(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        if case.is_statistics:
            return lambda: self.call(linear_token_stats, case, inputs, config)
        return lambda: backward(self.call(linear_cross_entropy, case, inputs, config))

    def call(self, op: Callable[..., Any], case: Case, inputs: Inputs, config: RunConfig, **options: Any) -> Any:
        """Call `op` on the inputs, with `options` besides."""
        return op(
            *inputs, num_targets=case.num_targets, backend=self.backend or config.backend,
            workspace_bytes=self.workspace_bytes, **options,
        )  # fmt: skip
