"""What a number was measured with."""

from __future__ import annotations

import importlib.util
import subprocess
from typing import Any

import torch

from benchmarks.gpu.setting import Setting
from benchmarks.run import environment as host_environment
from lift_kernels import backend_report

_PEERS = {"liger_kernel": "liger-kernel", "cut_cross_entropy": "cut-cross-entropy", "quack": "quack-kernels"}


def environment(setting: Setting, commit: str | None) -> dict[str, Any]:
    facts = host_environment()
    facts["commit"] = commit or facts["commit"]
    report = backend_report()
    return {
        **facts,
        "triton": report.triton_version,
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name() if setting.on_gpu else "cpu",
        "driver": query("driver_version")["driver_version"],
        "backend": setting.backend,
        "peers": [package for module, package in _PEERS.items() if importlib.util.find_spec(module) is not None],
    }


def card_state() -> dict[str, str | None]:
    """Clocks, power and heat of the card, which speeds depend on."""
    return query("clocks.sm", "clocks.mem", "power.draw", "power.limit", "temperature.gpu")


def query(*fields: str) -> dict[str, str | None]:
    """What nvidia-smi says of the first card; None where it says nothing."""
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader", "--id=0"]
    unknown = dict.fromkeys(fields)
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return unknown
    values = [value.strip() for value in result.stdout.strip().split(",")]
    is_answer = result.returncode == 0 and len(values) == len(fields)
    return dict(zip(fields, values, strict=True)) if is_answer else unknown
