"""One check: what it calls, its record, and the speeds that it gates."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.error_record import describe_error
from benchmarks.harness.run_config import RunConfig

CROSS_ENTROPY, STATISTICS = "linear_cross_entropy", "linear_token_stats"
LIFT, CORRUPTION, SELECTION = "lift_cross_entropy", "corrupt_tokens", "select_tokens"
PATHS = ("default", "minimal")


@dataclass(frozen=True)
class Check:
    """One function to call. `gates`: speeds of `op` by `path` are marked unless it passes."""

    name: str
    op: str
    run: Callable[[RunConfig], CheckResult]
    path: str = "default"
    dtype: str | None = None
    gates: bool = True
    needs_gpu: bool = False


def run_check(check: Check, config: RunConfig) -> dict[str, Any]:
    """Run one check and return its record: its status, its numbers and, where something is wrong, a sentence."""
    record: dict[str, Any] = {
        "check": check.name, "op": check.op, "path": check.path, "dtype": check.dtype, "gates": check.gates,
    }  # fmt: skip
    if check.needs_gpu and not config.on_gpu:
        return {**record, "status": "skipped", "sentence": "needs a CUDA device"}
    start = time.monotonic()
    try:
        torch.manual_seed(0)
        result = check.run(config)
        config.synchronize()
    except Exception as error:
        record |= {"status": "error", **describe_error(error)}
    else:
        record |= {"numbers": result.numbers, "comparisons": result.comparisons}
        if result.failures:
            first, count = result.failures[0], len(result.failures)
            sentence = f"{first} ({count} of {result.comparisons} comparisons failed)"
            record |= {"status": "failed", "sentence": sentence, "failures": result.failures[:20]}
        elif result.comparisons == 0:
            record |= {"status": "failed", "sentence": "compared nothing"}
        else:
            record["status"] = "passed"
    return {**record, "seconds": round(time.monotonic() - start, 2)}


def gate(records: list[dict[str, Any]], op: str, path: str, dtype: str) -> str:
    """Return "green", "red" or "unchecked": what marks speeds of `op` by `path` for inputs of `dtype`."""
    relevant = [
        record["status"]
        for record in records
        if (record["op"], record["path"]) == (op, path) and record["gates"] and record["dtype"] in (None, dtype)
    ]
    if any(status in ("failed", "error") for status in relevant):
        return "red"
    return "green" if "passed" in relevant else "unchecked"
