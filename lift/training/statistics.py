"""What a training run logs about its tokens: sums kept on the device and read only when something is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lift.objectives import MODES, TrainingBatch
from lift.objectives.blocks import Blocks

# One entry of a vector for each sum, so that all processes add theirs in one call, and one copy brings all to the host.
_SUMS = ("rows", "timestep", "rho", "trained_tokens", "nll", "correct", "entropy")
# And these for each mode, one mode after the other.
_SUMS_OF_MODE = ("rows", "kept_tokens", "kept_log_prob", "rejected_tokens", "rejected_log_prob")


class Selection(NamedTuple):
    """What the rows of a micro-batch train, and what of the tokens that they scored they do not."""

    labels: Tensor  # (B, L), -100 where nothing is trained
    rejected: Tensor | None  # (B, L) bool
    rejected_log_prob: Tensor | None  # (B, L)


def selection_of(prepared: TrainingBatch, outputs: Any) -> Selection:
    """Return what was selected before the forward, or, of one-forward LIFT, by the loss itself."""
    labels = prepared.batch.labels
    if prepared.one_forward is None or prepared.one_forward.learnability != "hard":
        return Selection(labels, prepared.rejected, prepared.rejected_log_prob)
    is_kept = outputs.learnability
    rejected = (labels != -100) & ~is_kept
    return Selection(labels.where(is_kept, -100), rejected, outputs.token_stats.log_prob)


class StepStatistics:
    """Sums since the last log entry, over all micro-batches of all processes."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(
            len(_SUMS) + len(MODES) * len(_SUMS_OF_MODE),
            dtype=torch.float64 if device.type != "mps" else torch.float32,
            device=device,
        )

    def add(self, prepared: TrainingBatch, outputs: Any) -> None:
        """Count one micro-batch by the `outputs` of its patched forward. Nothing is read back from the device."""
        stats = outputs.token_stats
        timestep, rho, order = prepared.draws.timestep, prepared.draws.rho, prepared.draws.order
        labels, rejected, rejected_log_prob = selection_of(prepared, outputs)
        zero = timestep.new_zeros(())
        is_trained = labels != -100
        values = {
            "rows": zero + timestep.shape[0],
            "timestep": timestep.sum(),
            "rho": zero if rho is None else rho.sum(),
            "trained_tokens": is_trained.sum(),
            "nll": -stats.log_prob.where(is_trained, 0).sum(),
            "correct": (is_trained & (stats.argmax == labels)).sum(),
            "entropy": stats.entropy.where(is_trained, 0).sum(),
        }
        self._sums[: len(_SUMS)] += torch.stack([values[name].to(self._sums.dtype) for name in _SUMS])
        if order is not None:
            put_back = torch.zeros_like(is_trained) if rejected is None else rejected
            self._add_modes(order, prepared.blocks, (is_trained, stats.log_prob), (put_back, rejected_log_prob))

    def _add_modes(
        self, order: Tensor, blocks: Blocks | None, kept: tuple[Tensor, Tensor], rejected: tuple[Tensor, Tensor | None]
    ) -> None:  # fmt: skip
        """Add what rows (B,), or blocks (U,), of each mode keep and put back: tokens, and their log-probabilities.

        Kept are (B, L), or (2B, L) with the second views of complementary masks; so may be the rejected.
        """
        dtype = self._sums.dtype
        is_mode = torch.stack([order == mode for mode in MODES.values()])  # (modes, B) or (modes, U)
        rows = [torch.ones_like(order, dtype=dtype)]
        for is_in, log_prob in (kept, rejected):
            of_tokens = [is_in, torch.zeros_like(is_in) if log_prob is None else log_prob.where(is_in, 0)]
            if blocks is None:
                rows += [values.sum(1, dtype=dtype).view(-1, len(order)).sum(0) for values in of_tokens]
            else:
                of_rows = [values.view(-1, *blocks.number.shape).sum(0, dtype=dtype) for values in of_tokens]
                rows += [blocks.fold(values, 0).sum(1) for values in of_rows]
        # No product with 0 and 1, by which a row without a finite value would reach the other modes.
        self._sums[len(_SUMS) :] += torch.stack(rows).where(is_mode[:, None], 0).sum(2).flatten()

    def take(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the log entry and start over; `reduce` adds the sums (S,) of all processes.

        nll, entropy and log-probabilities in nats per token; unweighted, unlike the loss. Those of a mode are of what
        its rows keep, as trained, and of what they put back, as scored; middle rows, chosen at random, are not scored.
        """
        found = reduce(self._sums.clone()).tolist()
        self._sums.zero_()
        sums, of_modes = dict(zip(_SUMS, found[: len(_SUMS)], strict=True)), found[len(_SUMS) :]
        step = len(_SUMS_OF_MODE)
        modes = {
            name: dict(zip(_SUMS_OF_MODE, of_modes[place * step : (place + 1) * step], strict=True))
            for place, name in enumerate(MODES)
        }
        if not sums["rows"]:
            return {}
        entry = {"mean_t": sums["timestep"] / sums["rows"]}
        if num_moded := sum(mode["rows"] for mode in modes.values()):
            entry |= {name: mode["rows"] / num_moded for name, mode in modes.items()}
            entry["mean_rho"] = sums["rho"] / sums["rows"]
        if tokens := sums["trained_tokens"]:
            entry["nll"] = sums["nll"] / tokens
            entry["accuracy"] = sums["correct"] / tokens
            entry["entropy"] = sums["entropy"] / tokens
        for name, mode in modes.items():
            for kind in ("kept", "rejected"):
                if tokens := mode[f"{kind}_tokens"]:
                    entry[f"{name}_{kind}_log_prob"] = mode[f"{kind}_log_prob"] / tokens
        return entry
