"""What a rival is: a loss of a linear head that another package computes, and what it needs to run."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# (hidden_states (N, D), weight (V, D), targets (N,) int64 with -100 where ignored) -> mean loss (0-d), differentiable.
LossFunction = Callable[[Tensor, Tensor, Tensor], Tensor]
IGNORED = -100


@dataclass(frozen=True)
class Rival:
    """One implementation of `LossFunction`.

    Attributes:
        loss: imports its package when it is called.
        package: its name on a package index.
        modules: what it imports; each must be importable.
        attribute: a name that the last of `modules` must have, where older releases lack it.
        on_cpu: whether it computes on a CPU too, by the same call.
        least_capability: of the CUDA device, or None where any will do.
        only_capability: the one compute capability that it is written for, or None.
        token_losses: like `loss`, but of each token (N,), anything where ignored; None where it does not tell.
    """

    loss: LossFunction
    package: str
    modules: tuple[str, ...]
    attribute: str | None = None
    on_cpu: bool = False
    least_capability: tuple[int, int] | None = None
    only_capability: tuple[int, int] | None = None
    token_losses: LossFunction | None = None

    def obstacle(self, device: torch.device | str) -> str | None:
        """Return why it cannot run on `device`, in a few words, or None. Its package is imported to find out."""
        device = torch.device(device)
        if importlib.util.find_spec(self.modules[0].partition(".")[0]) is None:
            return "not installed"
        if device.type != "cuda" and not self.on_cpu:
            return "needs a CUDA device"
        try:
            module = [importlib.import_module(name) for name in self.modules][-1]
        except Exception as error:  # of whatever kind: a rival's import may fail on a driver, a version, a compiler
            return f"cannot be imported: {type(error).__name__}: {str(error).partition(chr(10))[0][:160]}"
        if self.attribute is not None and not hasattr(module, self.attribute):
            return f"{self.package} {self.version()} has no {self.attribute}"
        if self.least_capability is None or device.type != "cuda":
            return None
        capability = torch.cuda.get_device_capability(device)
        if capability < self.least_capability or self.only_capability not in (None, capability):
            return f"is not written for compute capability {'.'.join(map(str, capability))}"
        return None

    def version(self) -> str | None:
        """Return the version of its package, or None where none is installed."""
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None


def padded_rows(hidden_states: Tensor, targets: Tensor, multiple: int) -> tuple[Tensor, Tensor]:
    """Return both with ignored rows at the end, up to a multiple of rows; as they are where none are missing."""
    missing = -hidden_states.shape[0] % multiple
    if missing == 0:
        return hidden_states, targets
    return F.pad(hidden_states, (0, 0, 0, missing)), F.pad(targets, (0, missing), value=IGNORED)
