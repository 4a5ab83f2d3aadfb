"""What a device finds wrong is raised when the host next comes by, and never waited for."""

from __future__ import annotations

import pytest
import torch

from lift_kernels.ops import late_errors
from lift_kernels.ops.late_errors import _Report, raise_reported, report_later


@pytest.fixture
def reports(monkeypatch):
    """An empty queue."""
    monkeypatch.setattr(late_errors, "_reports", late_errors.deque())
    return late_errors._reports


def test_what_has_not_arrived_is_not_waited_for(reports):
    arrived = []
    reports.append(_Report(lambda: bool(arrived), torch.tensor(True), "the first"))
    reports.append(_Report(lambda: True, torch.tensor(True), "the second"))
    raise_reported()  # reports come in the order of the stream
    arrived.append(True)
    with pytest.raises(ValueError, match="the first"):
        raise_reported()
    raise_reported()  # an error is raised once


def test_what_was_right_is_forgotten(reports):
    reports.extend(_Report(lambda: True, torch.tensor(False), "nothing") for _ in range(3))
    raise_reported()
    assert not reports


def test_only_cuda_reports(reports):
    report_later(torch.tensor(True), "read on the spot")
    assert not reports


def test_nothing_is_asked_for_while_a_graph_is_captured(reports, monkeypatch):
    def query():
        raise RuntimeError("operation not permitted when stream is capturing")

    reports.append(_Report(query, torch.tensor(True), "a warm-up step's"))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    raise_reported()
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    reports[0] = reports[0]._replace(is_there=lambda: True)
    with pytest.raises(ValueError, match="a warm-up step's"):
        raise_reported()
