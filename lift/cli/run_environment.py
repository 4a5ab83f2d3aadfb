"""`environment.json` in a run's folder: what each of its starts ran with, and on."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

FILE = "environment.json"

_PACKAGES = (
    "lift-kernels", "torch", "triton", "transformers", "datasets", "accelerate", "tokenizers", "safetensors", "numpy",
    "peft", "bitsandbytes", "deepspeed", "lm-eval", "math-verify",
)  # fmt: skip


def environment(command: str, args: Any, model: Any, *, step: int) -> dict[str, Any]:
    """Return the facts of one start, which name neither host nor user.

    Args:
        command: the command line.
        args: training arguments.
        model: what is trained.
        step: the optimiser step that the start goes on from.
    """
    return {
        "time": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": command,
        "step": step,
        "seed": args.seed,
        "num_processes": args.world_size,
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "mixed_precision": "bf16" if args.bf16 else "fp16" if args.fp16 else "no",
    } | software()


def software() -> dict[str, Any]:
    """Return what a run stands on: versions, the state of the working directory, and the machine."""
    return {
        "python": platform.python_version(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
        "git": git_state(),
        "machine": _machine(),
    }


def git_state() -> dict[str, Any] | None:
    """Return the commit of the working directory, and whether tracked files differ from it; None outside of git."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "is_dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def _machine() -> dict[str, Any]:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        memory = None
    return {
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "memory_bytes": memory,
        "cuda": torch.version.cuda,
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*words: str) -> str:
    try:
        result = subprocess.run(["git", *words], capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
