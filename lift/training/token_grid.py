"""What a training run keeps and puts back, by time and by frequency of the token: sums kept on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lift.learnability.bands import BANDS
from lift.objectives import MIDDLE, TrainingBatch
from lift.training.statistics import selection_of

NUM_TIMES = 4
"""Equal parts of [0, 1]."""

# `kept` counts the trained tokens of rows that select by a score: middle rows keep the same share of every band.
_SUMS = ("trained", "log_prob", "kept", "rejected", "rejected_log_prob")


class TokenGrid:
    """Sums since the last log entry over the cells (time, band), over all micro-batches of all processes.

    Args:
        bands: (V,) int64, see `lift.training.token_bands`; None where frequencies are not known.
        device: where the sums are.
    """

    def __init__(self, bands: Tensor | None, device: torch.device) -> None:
        self._bands = None if bands is None else bands.to(device)
        dtype = torch.float64 if device.type != "mps" else torch.float32
        self._sums = torch.zeros(len(_SUMS), NUM_TIMES * len(BANDS), dtype=dtype, device=device)
        self.latest: dict[str, NDArray[np.float64]] = {}
        """Means over the tokens of the last entry, each (time, band), NaN where there are none: `log_prob`, and of
        methods that select by a score `kept_share`."""

    def add(self, prepared: TrainingBatch, outputs: Any) -> None:
        """Count one micro-batch, of second views nothing. Nothing is read back from the device."""
        blocks, draws = prepared.blocks, prepared.draws
        shape = prepared.batch.labels.shape if blocks is None else blocks.number.shape
        num_rows = len(draws.timestep) if blocks is None else shape[0]
        selection = selection_of(prepared, outputs)
        labels, log_prob = selection.labels[:num_rows], outputs.token_stats.log_prob[:num_rows]

        def of_tokens(values: Tensor) -> Tensor:  # from one for each row, or for each block
            if blocks is None:
                return values[:, None].expand(num_rows, shape[1])
            return blocks.unfold(values[:, None].expand(-1, blocks.size))

        rejected, rejected_log_prob = selection.rejected, selection.rejected_log_prob
        is_trained = labels != -100
        is_rejected = torch.zeros_like(is_trained) if rejected is None else rejected[:num_rows]
        is_ranked = torch.zeros_like(is_trained)
        if draws.order is not None and rejected is not None:
            is_ranked = of_tokens(draws.order) != MIDDLE
        values = {
            "trained": is_trained,
            "log_prob": log_prob.where(is_trained, 0),
            "kept": is_trained & is_ranked,
            "rejected": is_rejected,
            # NaN of a method whose scores are no log-probabilities, so that no mean is made of them.
            "rejected_log_prob": torch.full_like(log_prob, math.nan).where(is_rejected, 0)
            if rejected_log_prob is None
            else rejected_log_prob[:num_rows].where(is_rejected, 0),
        }
        cell = (of_tokens(draws.timestep) * NUM_TIMES).long().clamp(0, NUM_TIMES - 1) * len(BANDS)
        if self._bands is not None:
            token = prepared.batch.labels[:num_rows]
            # What is not masked stands in the input as it is.
            cell = cell + self._bands[token.where(token != -100, prepared.batch.input_ids[:num_rows])]
        stacked = torch.stack([values[name].to(self._sums.dtype).flatten() for name in _SUMS])
        self._sums.index_add_(1, cell.flatten(), stacked)

    def take(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Return the log entry and start over; `reduce` adds the sums of all processes.

        Log-probabilities in nats per token, of what is trained as trained and of what is put back as scored; shares of
        the tokens that were scored. `t_0.25` is [0.25, 0.5) in time.
        """
        found = np.array(reduce(self._sums.clone()).tolist()).reshape(len(_SUMS), NUM_TIMES, len(BANDS))
        self._sums.zero_()
        self.latest = dict(_means(found)) if found.any() else {}
        entry: dict[str, float] = {}
        for time in range(NUM_TIMES):
            entry |= _entry(f"t_{time / NUM_TIMES:.2f}", found[:, time].sum(1))
        if self._bands is not None:
            for band, name in enumerate(BANDS):
                key = "frequency_" + name.removesuffix(" %").replace(" ", "_") + "_percent"
                entry |= _entry(key, found[:, :, band].sum(1))
        return entry


def _means(sums: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    trained, log_prob, kept, rejected, _ = sums
    with np.errstate(invalid="ignore"):
        yield "log_prob", log_prob / trained
        if (kept + rejected).any():
            yield "kept_share", kept / (kept + rejected)


def _entry(name: str, sums: NDArray[np.float64]) -> dict[str, float]:
    trained, log_prob, kept, rejected, rejected_log_prob = sums.tolist()
    entry = {}
    if trained:
        entry[f"{name}_log_prob"] = log_prob / trained
    if kept + rejected:
        entry[f"{name}_kept_share"] = kept / (kept + rejected)
    if rejected and not math.isnan(rejected_log_prob):
        entry[f"{name}_rejected_log_prob"] = rejected_log_prob / rejected
    return entry
