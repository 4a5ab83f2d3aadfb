"""The ops of this package, on the backend of the run or another, with the default workspace or less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import SEED, Case, Inputs, target_rows
from benchmarks.ops.provider import Step, backward
from lift_kernels import (
    lift_cross_entropy,
    linear_cross_entropy,
    linear_sample,
    linear_token_stats,
    select_tokens,
)


@dataclass(frozen=True)
class LiftKernels:
    """`linear_token_stats`, `linear_sample`, `linear_cross_entropy` or `lift_cross_entropy`, as the case asks for.

    Attributes:
        backend: None for that of the run.
        workspace_bytes: as in the op.
        in_two_calls: scores and selects first, then takes the loss of what is kept.
        on_cpu: whether it is another row than the default there.
    """

    backend: str | None = None
    workspace_bytes: int | None = None
    in_two_calls: bool = False
    on_cpu: bool = True

    def takes(self, case: Case) -> bool:
        return case.work == "lift" or not self.in_two_calls

    def missing(self, config: RunConfig) -> str | None:
        return None if config.on_gpu or self.on_cpu else "the default, on a CPU"

    def prepare(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        options = self._options(case, config)
        if case.work == "statistics":
            return lambda: linear_token_stats(*inputs, **options)
        if case.work == "sampling":
            return self._sampling_step(case, inputs, config)
        if case.work == "loss":
            return lambda: backward(linear_cross_entropy(*inputs, **options))
        by_row = Inputs(
            *(tensor.unflatten(0, (case.num_rows, -1)) if i != 1 else tensor for i, tensor in enumerate(inputs))
        )
        rows = case.lift_rows(config.device)
        if not self.in_two_calls:
            return lambda: backward(lift_cross_entropy(*by_row, *rows, seed=SEED, **options))

        def step() -> Tensor:
            scores = linear_token_stats(*by_row, **options).log_prob
            is_kept = select_tokens(scores, by_row.targets != -100, rows.num_keep, rows.order, seed=SEED)
            loss = linear_cross_entropy(
                by_row.hidden_states, by_row.weight, by_row.targets.where(is_kept, -100),
                token_weight=(1 / rows.timestep)[:, None].expand(by_row.targets.shape),
                denominator=case.num_targets, **options | {"num_targets": case.num_trained},
            )  # fmt: skip
            return backward(loss)

        return step

    def _sampling_step(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        index = target_rows(inputs)
        row_ids, positions = index // (case.num_tokens // case.num_rows), index % (case.num_tokens // case.num_rows)
        backend, workspace_bytes = self.backend or config.backend, self.workspace_bytes
        return lambda: linear_sample(
            inputs.hidden_states[index], inputs.weight, temperature=1.0, seed=SEED, row_ids=row_ids,
            positions=positions, backend=backend, workspace_bytes=workspace_bytes,
        )[:2]  # fmt: skip

    def token_losses(self, case: Case, inputs: Inputs, config: RunConfig) -> Tensor:
        _, stats = linear_cross_entropy(*inputs, return_stats=True, **self._options(case, config))
        return -stats.log_prob

    def _options(self, case: Case, config: RunConfig) -> dict[str, Any]:
        return {
            "num_targets": case.num_targets,
            "backend": self.backend or config.backend,
            "workspace_bytes": self.workspace_bytes,
        }
