"""Learnability from memory: what the loss said about each token the last times it was trained."""

from __future__ import annotations

import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lift.errors import LiftError
from lift.learnability import shards
from lift.learnability.source import ScoreSource


class ScoreCache(ScoreSource):
    """A moving average of the gold log-probability of every (example, position), learned from the loss's forwards.

    The first observation is taken as it is, then average += (1 - decay) * (observation - average), in float32; one
    that is not finite is left out. It is an approximation: an average over the masks and times at which a token was
    trained, as old as its last epoch. Tokens that were never trained count as average ones: they score the mean of all
    observations so far, or 0 if there are none.

    Cost. 5 bytes a position, on disk with `path`. Observations wait on their device, 4 bytes a position of up to
    `max_pending` micro-batches, and move to the host when a batch asks for one of their examples, at `save`, or when
    the queue is full. Only that waits for an accelerator: with example ids on the host, as the trainer has them, it
    happens once in `max_pending` micro-batches of an epoch. Scores do not depend on when it happens.

    Several processes each see other examples. Each keeps a cache of its own, which it writes as its own shard; they
    exchange nothing while they run. `load` gives each its shard back, or, to another number of processes, the merge
    of all (see `shards.merge`).

    Args:
        num_examples: example ids are in [0, num_examples); gaps cost their rows.
        max_length: tokens of the longest padded row.
        path: folder for the working file, which has no name and ends with the process; None keeps it in memory.
        decay: weight in [0, 1) of the old average in the new one; 0 keeps the latest observation.
        max_pending: micro-batches that may wait on the device, at least 1.
        rank, num_processes: which process this is, of how many.

    Raises: LiftError if a number is out of range, or the working file finds no room.

    Source: this package's, in place of the scoring forward of LIFT (arXiv 2605.22939).
    """

    def __init__(
        self,
        num_examples: int,
        max_length: int,
        path: str | PathLike[str] | None = None,
        *,
        decay: float = 0.5,
        max_pending: int = 32,
        rank: int = 0,
        num_processes: int = 1,
    ) -> None:
        for name, number in (("num_examples", num_examples), ("max_length", max_length), ("max_pending", max_pending)):
            if number < 1:
                raise LiftError(f"{name} must be at least 1, got {number}.")
        if not 0 <= decay < 1:
            raise LiftError(f"decay must be at least 0 and below 1, got {decay}.")
        if not 0 <= rank < num_processes:
            raise LiftError(f"rank must lie between 0 and {num_processes - 1}, got {rank}.")
        self.decay = decay
        self.max_pending = max_pending
        self.rank = rank
        self.num_processes = num_processes
        self._value = _filled((num_examples, max_length), np.float32, np.nan, path)
        self._is_own = _filled((num_examples, max_length), np.bool_, False, path)
        # Sum and number of all observations: inherited from a load, and own, which stays on the device it came from.
        self._inherited = (0.0, 0)
        self._own_sum = torch.zeros((), dtype=torch.float64)
        self._own_count = torch.zeros((), dtype=torch.int64)
        self._pending: list[tuple[Tensor, Tensor]] = []  # ids (B,), observations (B, L) with nan where there is none

    def scores(self, example_id: Tensor, length: int, *, device: torch.device | None = None) -> Tensor:
        """Return the log-probability (B, length) float32, in nats, of the first tokens of the examples.

        `example_id` (B,) int64: on the host, or it is read back, which waits for its device. `device` of the result
        is that of example_id by default. Raises LiftError for an id or a length beyond the cache.
        """
        device = device or example_id.device
        self._check_length(length)
        host_id = example_id.cpu()
        self._check_ids(host_id)
        if any(ids.device.type != "cpu" or bool(torch.isin(ids, host_id).any()) for ids, _ in self._pending):
            self._take_pending()
        value = torch.from_numpy(np.asarray(self._value[host_id.numpy(), :length]))
        if device.type == "cuda":
            value = value.pin_memory()  # else the copy waits for what the device still computes
        value = value.to(device, non_blocking=True)
        total, count = self._inherited
        mean = (total + self._own_sum) / (count + self._own_count).clamp(min=1)
        return value.where(~value.isnan(), mean.to(device, torch.float32))

    @property
    def shape(self) -> tuple[int, int]:
        """(num_examples, max_length)."""
        num_examples, max_length = self._value.shape
        return num_examples, max_length

    def score_batch(self, example_id: Tensor, clean_ids: Tensor) -> Tensor:
        return self.scores(example_id, clean_ids.shape[1], device=clean_ids.device)

    def update(self, example_id: Tensor, positions: Tensor, log_prob: Tensor) -> None:
        """Take in what the loss computed; nothing is read back.

        Args:
            example_id: (B,) int64, best on the host. An example that occurs twice is updated twice, in order.
            positions: (B, L) bool, the trained tokens; elsewhere log_prob is not read.
            log_prob: (B, L) floating, log-probability of the clean token in nats.

        Raises: LiftError for shapes that do not fit, or an id or a length beyond the cache (ids on a device: when
            they come to the host).
        """
        if positions.shape != log_prob.shape or log_prob.dim() != 2 or example_id.shape != log_prob.shape[:1]:
            raise LiftError(
                f"a score cache takes example_id (B,), positions (B, L) and log_prob (B, L), got "
                f"{tuple(example_id.shape)}, {tuple(positions.shape)} and {tuple(log_prob.shape)}."
            )
        self._check_length(log_prob.shape[1])
        if example_id.device.type == "cpu":
            self._check_ids(example_id)
        log_prob = log_prob.detach().float()
        positions = positions & log_prob.isfinite()
        # float64 is missing on one device of torch's; there the sum is only as good as float32.
        dtype = torch.float32 if log_prob.device.type == "mps" else torch.float64
        self._own_sum = self._own_sum.to(log_prob.device, dtype) + log_prob.where(positions, 0).sum(dtype=dtype)
        self._own_count = self._own_count.to(log_prob.device) + positions.sum()
        self._pending.append((example_id.clone(), log_prob.where(positions, torch.nan)))
        if len(self._pending) >= self.max_pending:
            self._take_pending()

    def save(self, folder: str | PathLike[str]) -> None:
        """Write this process's shard into `folder`, whole or not at all. A copy of the cache, 5 bytes a position."""
        self._take_pending()
        totals = np.array([self._inherited, (float(self._own_sum), int(self._own_count))])
        shards.write_shard(Path(folder), self.rank, self.num_processes, self._value, self._is_own, totals)

    @classmethod
    def load(
        cls,
        folder: str | PathLike[str],
        num_examples: int,
        max_length: int,
        path: str | PathLike[str] | None = None,
        **options: Any,
    ) -> ScoreCache:
        """Return the cache that `save` wrote: this process's own, to the bit, or a merge if their number changed.

        Arguments are those of ScoreCache. Raises LiftError if the folder has no complete cache, or one of other sizes.
        """
        cache = cls(num_examples, max_length, path, **options)
        paths = shards.find_shards(Path(folder))
        totals = shards.read_totals(paths, (num_examples, max_length))
        is_same_run = len(paths) == cache.num_processes
        if is_same_run:
            paths, totals = paths[cache.rank : cache.rank + 1], totals[cache.rank : cache.rank + 1]
        for rows, value, is_own in shards.read_rows(paths, (num_examples, max_length)):
            cache._value[rows] = value[0] if is_same_run else shards.merge(value, is_own)
            cache._is_own[rows] = is_same_run and is_own[0]
        inherited, own = totals[0][0], np.sum([one[1] for one in totals], axis=0)
        if not is_same_run:
            inherited, own = inherited + own, np.zeros(2)
        cache._inherited = (float(inherited[0]), int(inherited[1]))
        cache._own_sum = torch.tensor(own[0], dtype=torch.float64)
        cache._own_count = torch.tensor(int(own[1]))
        return cache

    def _take_pending(self) -> None:
        pending, self._pending = self._pending, []
        for example_id, log_prob in pending:
            host_id = example_id.cpu()
            self._check_ids(host_id)
            # Row by row: an example may occur twice in a batch, and B is small.
            for row, observed in zip(host_id.tolist(), log_prob.cpu().numpy(), strict=True):
                (columns,) = np.nonzero(~np.isnan(observed))
                old, new = self._value[row, columns], observed[columns]
                average = old + np.float32(1 - self.decay) * (new - old)
                self._value[row, columns] = np.where(np.isnan(old), new, average)
                self._is_own[row, columns] = True

    def _check_ids(self, host_id: Tensor) -> None:
        num_examples = self._value.shape[0]
        if host_id.numel() and not 0 <= int(host_id.min()) <= int(host_id.max()) < num_examples:
            outside = int(host_id[(host_id < 0) | (host_id >= num_examples)][0])
            raise LiftError(
                f"example {outside} is outside the score cache of {num_examples} examples: make it with num_examples "
                "above the highest example_id."
            )

    def _check_length(self, length: int) -> None:
        if length > self._value.shape[1]:
            raise LiftError(
                f"a batch has rows of {length} tokens, more than the score cache's {self._value.shape[1]}: make it "
                f"with max_length={length} or more, padding included."
            )


def _filled(
    shape: tuple[int, int], dtype: npt.DTypeLike, fill: float, folder: str | PathLike[str] | None
) -> npt.NDArray[Any]:
    """An array in memory, or mapped onto a nameless file in `folder`, which no crash leaves behind."""
    if folder is None:
        return np.full(shape, fill, dtype)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            row = np.full(shape[1], fill, dtype)
            for _ in range(shape[0]):  # written, not assigned later: a full disk is then an error and not a SIGBUS
                file.write(row.data)
            file.flush()
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise LiftError(
            f"the score cache finds no place for {shape[0]} x {shape[1]} values in {folder} ({error.strerror}): choose "
            "a folder with more room, or path=None."
        ) from None
