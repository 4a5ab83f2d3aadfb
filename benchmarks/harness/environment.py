"""What a number was measured with: versions, commit, processor, card and its clocks."""

from __future__ import annotations

import datetime
import importlib.util
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.run_config import RunConfig
from lift_kernels import __version__, backend_report

_PEERS = {"liger_kernel": "liger-kernel", "cut_cross_entropy": "cut-cross-entropy", "quack": "quack-kernels"}


def host_environment(commit: str | None = None) -> dict[str, Any]:
    """Return the facts of a run on a CPU. `commit` is what to note where git does not know one."""
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "commit": commit or _commit(),
        "lift_kernels": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
    }


def device_environment(config: RunConfig, commit: str | None = None) -> dict[str, Any]:
    """Return `host_environment` and the facts of the device that `config` names."""
    return {
        **host_environment(commit),
        "triton": backend_report().triton_version,
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name() if config.on_gpu else "cpu",
        "driver": query_card("driver_version")["driver_version"],
        "backend": config.backend,
        "peers": [package for module, package in _PEERS.items() if importlib.util.find_spec(module) is not None],
    }


def card_state() -> dict[str, str | None]:
    """Return clocks, power and heat of the card, which speeds depend on."""
    return query_card("clocks.sm", "clocks.mem", "power.draw", "power.limit", "temperature.gpu")


def query_card(*fields: str) -> dict[str, str | None]:
    """Return what nvidia-smi says of the first card; None where it says nothing."""
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader", "--id=0"]
    unknown: dict[str, str | None] = dict.fromkeys(fields)
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return unknown
    values = [value.strip() for value in result.stdout.strip().split(",")]
    is_answer = result.returncode == 0 and len(values) == len(fields)
    return dict(zip(fields, values, strict=True)) if is_answer else unknown


def _commit() -> str | None:
    """None without git, or outside a repository: a rented machine gets a bare copy of the files."""
    try:
        result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    except OSError:
        return None
    return result.stdout.strip() or None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
