"""What a training run logs about its tokens: sums kept on the device and read only when something is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lift.objectives import MODES, TrainingBatch

# One entry of a vector for each sum, so that all processes add theirs in one call, and one copy brings all to the host.
_SUMS = (
    "rows", "timestep", "rho", *MODES, "trained_tokens", "nll", "correct", "entropy", "rejected_tokens",
    "rejected_log_prob",
)  # fmt: skip


class StepStatistics:
    """Sums since the last log entry, over all micro-batches of all processes."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(
            len(_SUMS), dtype=torch.float64 if device.type != "mps" else torch.float32, device=device
        )

    def add(self, prepared: TrainingBatch, outputs: Any) -> None:
        """Count one micro-batch by the `outputs` of its patched forward. Nothing is read back from the device."""
        labels, stats = prepared.batch.labels, outputs.token_stats
        timestep, rho, order = prepared.draws.timestep, prepared.draws.rho, prepared.draws.order
        rejected, rejected_log_prob = prepared.rejected, prepared.rejected_log_prob
        if prepared.one_forward is not None and prepared.one_forward.learnability == "hard":
            is_kept = outputs.learnability
            rejected = (labels != -100) & ~is_kept
            labels, rejected_log_prob = labels.where(is_kept, -100), stats.log_prob
        zero = timestep.new_zeros(())
        is_trained = labels != -100
        no_modes = {name: zero for name in MODES}
        values = {
            "rows": zero + timestep.shape[0],
            "timestep": timestep.sum(),
            "rho": zero if rho is None else rho.sum(),
            **(no_modes if order is None else {name: (order == mode).sum() for name, mode in MODES.items()}),
            "trained_tokens": is_trained.sum(),
            "nll": -stats.log_prob.where(is_trained, 0).sum(),
            "correct": (is_trained & (stats.argmax == labels)).sum(),
            "entropy": stats.entropy.where(is_trained, 0).sum(),
            "rejected_tokens": zero if rejected is None else rejected.sum(),
            "rejected_log_prob": (
                zero if rejected is None or rejected_log_prob is None else rejected_log_prob.where(rejected, 0).sum()
            ),
        }
        self._sums += torch.stack([values[name].to(self._sums.dtype) for name in _SUMS])

    def take(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the log entry and start over; `reduce` adds the sums (S,) of all processes.

        nll, entropy and log-probabilities in nats per token; unweighted, unlike the loss.
        """
        sums = dict(zip(_SUMS, reduce(self._sums.clone()).tolist(), strict=True))
        self._sums.zero_()
        if not sums["rows"]:
            return {}
        entry = {"mean_t": sums["timestep"] / sums["rows"]}
        if num_moded := sum(sums[name] for name in MODES):
            entry |= {name: sums[name] / num_moded for name in MODES}
            entry["mean_rho"] = sums["rho"] / sums["rows"]
        if tokens := sums["trained_tokens"]:
            entry["nll"] = sums["nll"] / tokens
            entry["accuracy"] = sums["correct"] / tokens
            entry["entropy"] = sums["entropy"] / tokens
            entry["kept_log_prob"] = -sums["nll"] / tokens
        if sums["rejected_tokens"]:
            entry["rejected_log_prob"] = sums["rejected_log_prob"] / sums["rejected_tokens"]
        return entry
