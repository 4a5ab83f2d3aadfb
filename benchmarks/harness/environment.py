"""What a number was measured with: versions, commit, processor, card and its clocks."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.run_config import RunConfig
from lift_kernels import __version__, backend_report

_PEERS = ("liger-kernel", "cut-cross-entropy", "quack-kernels", "trl", "nvidia-cutlass-dsl")
# They change what the allocators, cuBLAS and Triton do.
_SETTINGS = (
    "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES",
    "NVIDIA_TF32_OVERRIDE", "THP_MEM_ALLOC_ENABLE", "TRITON_INTERPRET",
)  # fmt: skip


def host_environment(commit: str | None = None) -> dict[str, Any]:
    """Return the facts of a run on a CPU. `commit` is what to note where git does not know one."""
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "commit": commit or _commit(),
        "lift_kernels": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": _processor(),
        "instructions": " ".join([torch.backends.cpu.get_cpu_capability(), *_bfloat16_instructions()]),
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
        "peers": {package: version for package in _PEERS if (version := _version(package)) is not None},
        "settings": {name: os.environ[name] for name in _SETTINGS if name in os.environ},
        **_card(config),
    }


def machine_load() -> float:
    """Return the mean number of processes that ran or waited in the last minute: of a quiet machine, those measured."""
    return round(os.getloadavg()[0], 1)


def _card(config: RunConfig) -> dict[str, Any]:
    if not config.on_gpu:
        return {}
    properties = torch.cuda.get_device_properties(config.device)
    return {
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_mib": properties.total_memory >> 20,
        "second_level_cache_mib": getattr(properties, "L2_cache_size", 0) >> 20,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


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


def _bfloat16_instructions() -> list[str]:
    """Return the processor's instructions for products of bfloat16, on which the ratio of their times depends."""
    info = Path("/proc/cpuinfo")
    known = set(info.read_text().split()) if info.exists() else set()
    return [name for name in ("avx512_bf16", "amx_bf16") if name in known]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
