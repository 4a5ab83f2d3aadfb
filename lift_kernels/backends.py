"""Which implementation runs on which device, and the sentence that says why."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import torch

BACKENDS = ("auto", "triton", "torch")
_NO_TRITON_KERNELS = "this release has no Triton kernels yet"


def resolve_backend(op: str, backend: str, device: torch.device) -> str:
    """Return the backend that `op` runs on `device`: today always "torch".

    Raises:
        ValueError: `backend` is not one of "auto", "triton", "torch".
        RuntimeError: `backend="triton"` was asked for where it cannot run; the message says why.
    """
    if backend not in BACKENDS:
        raise ValueError(f"{op}: backend must be one of {', '.join(map(repr, BACKENDS))}, got {backend!r}.")
    if backend == "triton":
        raise RuntimeError(
            f"{op}: backend='triton' cannot run on {device}: {_NO_TRITON_KERNELS}. Use backend='auto' or 'torch'."
        )
    return "torch"


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
    names = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    devices = tuple(
        (name, resolve_backend("backend_report", "auto", torch.device(name)), _NO_TRITON_KERNELS) for name in names
    )
    return BackendReport(torch.__version__, _installed_version("triton"), devices)


def _installed_version(package: str) -> str | None:
    if importlib.util.find_spec(package) is None:
        return None
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown version"
