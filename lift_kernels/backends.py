"""Which implementation runs on which device, and the sentence that says why."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cache

import torch

from lift_kernels.checks import check_backend

_OLDEST_TRITON = (3, 6)  # the oldest release that the kernels are verified with
_OLDEST_CAPABILITY = (8, 0)  # the first with bfloat16 matrix instructions


def resolve_backend(op: str, backend: str, device: torch.device, dtype: torch.dtype | None = None) -> str:
    """Return the backend, "triton" or "torch", that `op` runs on `device` for inputs of `dtype`.

    "auto" is Triton on a GPU that it supports and PyTorch everywhere else; what runs does not depend on whether it
    succeeds, and its exceptions reach the caller.

    Raises:
        ValueError, TypeError: `backend` is not one of "auto", "triton", "torch".
        RuntimeError: `backend="triton"` was asked for where it cannot run; the message says why.
    """
    check_backend(op, backend)
    if backend == "torch" or (backend == "auto" and device.type == "cpu"):
        return "torch"
    obstacle = _obstacle(device, dtype)
    if obstacle is None:
        return "triton"
    if backend == "triton":
        raise RuntimeError(f"{op}: backend='triton' cannot run on {device}: {obstacle}. Use backend='auto' or 'torch'.")
    return "torch"


def _obstacle(device: torch.device, dtype: torch.dtype | None) -> str | None:
    """Why Triton cannot run, or None."""
    version = _installed_version("triton")
    if version is None:
        return "triton is not installed"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < _OLDEST_TRITON:
        return f"triton {version} is older than {'.'.join(map(str, _OLDEST_TRITON))}"
    if dtype == torch.float64:
        return "its kernels compute in float32, and the inputs are float64"
    if device.type == "cpu":
        # Triton's interpreter: slow, and what the tests of the kernels run on where there is no GPU.
        return None if os.environ.get("TRITON_INTERPRET") == "1" else "Triton needs a GPU"
    if device.type != "cuda":
        return f"the kernels are not verified on {device.type} devices"
    if torch.version.hip is not None:
        name = torch.cuda.get_device_properties(device).gcnArchName
        return None if name.startswith("gfx9") else f"on AMD the kernels are for gfx9 (CDNA), and this is {name}"
    if torch.cuda.get_device_capability(device) < _OLDEST_CAPABILITY:
        return f"a GPU of compute capability {'.'.join(map(str, _OLDEST_CAPABILITY))} or newer is needed"
    return None


@dataclass(frozen=True)
class BackendReport:
    """What `backend_report` found; `print` it."""

    torch_version: str
    triton_version: str | None
    devices: tuple[tuple[str, str, str], ...]  # (device, backend, reason)

    def __str__(self) -> str:
        lines = [f"torch {self.torch_version}, triton {self.triton_version or 'not installed'}"]
        lines += [f"{device}: {backend} ({reason})" for device, backend, reason in self.devices]
        return "\n".join(lines)


def backend_report() -> BackendReport:
    """Say which backend each device of this machine gets, and why.

    Returns: a `BackendReport`; printing it gives one line for the versions and one per device.
    Triton is not loaded to find out.
    """
    devices = [("cpu", "torch", "Triton needs a GPU")]
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        name, obstacle = torch.cuda.get_device_name(device), _obstacle(device, None)
        devices.append((str(device), "triton", name) if obstacle is None else (str(device), "torch", obstacle))
    return BackendReport(torch.__version__, _installed_version("triton"), tuple(devices))


@cache
def _installed_version(package: str) -> str | None:
    if importlib.util.find_spec(package) is None:
        return None
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown version"
