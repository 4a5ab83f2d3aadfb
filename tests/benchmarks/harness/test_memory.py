from __future__ import annotations

import sys

import pytest
import torch

from benchmarks.harness.memory import MIB, cuda_peak_of, hand_back_freed, resident_peak_of


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_the_resident_peak_counts_memory_that_a_step_takes_and_frees_again():
    def step():
        buffer = bytearray(64 * MIB)
        buffer[:: 1 << 12] = b"x" * len(buffer[:: 1 << 12])  # every page is touched
        return "done"

    result, peak = resident_peak_of(step)
    assert result == "done" and 60 * MIB <= peak <= 90 * MIB
    assert resident_peak_of(lambda: None)[1] <= 8 * MIB  # the peak before is forgotten


@pytest.mark.skipif(sys.platform != "linux", reason="of the C library of Linux")
def test_freed_memory_that_is_handed_back_counts_again():
    def step():
        return [torch.ones(MIB // 4) for _ in range(64)]

    step(), step()  # the first teaches the allocator to keep blocks of this size
    hand_back_freed()
    assert resident_peak_of(step)[1] >= 60 * MIB


def test_extra_memory_counts_from_what_was_there(monkeypatch):
    log = []
    for name, value in (
        ("synchronize", None),
        ("reset_peak_memory_stats", None),
        ("memory_allocated", 100),
        ("max_memory_allocated", 175),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda name=name, value=value: log.append(name) or value)
    assert cuda_peak_of(lambda: log.append("step")) == 75
    assert log == [
        "synchronize",
        "reset_peak_memory_stats",
        "memory_allocated",
        "step",
        "synchronize",
        "max_memory_allocated",
    ]
