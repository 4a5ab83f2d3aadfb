"""Raise for what a device finds wrong when the host next comes by: nothing waits for it, and the device stays alive."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class _Report(NamedTuple):
    is_there: Callable[[], bool]  # whether the flag has arrived; asking does not wait
    is_wrong: Tensor  # 0-d bool in the host's memory
    message: str


_reports: deque[_Report] = deque()
_lock = threading.Lock()


def report_later(is_wrong: Tensor, message: str) -> None:
    """Have `raise_reported` raise `message` if `is_wrong`, 0-d bool on an accelerator, turns out to be true.

    While a CUDA graph is captured there is no host to come by, and on other accelerators than CUDA no report.
    """
    if is_wrong.device.type == "cuda" and not torch.cuda.is_current_stream_capturing():
        _reports.append(_Report(*_sent_to_host(is_wrong), message))


def raise_reported() -> None:
    """Raise ValueError for the first thing reported wrong among what has arrived by now.

    While a CUDA graph is captured nothing is asked for: an event must not be queried then, and keeps until later.
    """
    if not _reports or (torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()):
        return
    with _lock:  # backward passes come from threads of their own
        while _reports and _reports[0].is_there():
            report = _reports.popleft()
            if report.is_wrong:
                _reports.clear()  # what came after it has most likely the same cause
                raise ValueError(report.message)


def _sent_to_host(flag: Tensor) -> tuple[Callable[[], bool], Tensor]:
    on_host = torch.empty((), dtype=torch.bool, device="cpu", pin_memory=True)
    on_host.copy_(flag, non_blocking=True)
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(flag.device))
    return event.query, on_host
