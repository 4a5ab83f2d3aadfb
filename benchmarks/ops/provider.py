"""What a provider is: an implementation under test, which prepares a step for one case."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import Case, Inputs

# Computes once. Of a case of loss and gradients: returns the mean loss, and leaves the gradients on the inputs. Of a
# statistics case: returns log_prob, lse, entropy, max_log_prob and argmax, of all tokens or of those with a target.
Step = Callable[[], Any]


class Provider(Protocol):
    """One row of a comparison, the same on every device."""

    def takes(self, case: Case) -> bool:
        """Whether it computes what the case asks for; where it does not, the comparison has no row of it."""

    def missing(self, config: RunConfig) -> str | None:
        """Why it cannot run here, such as "not installed", or None. The row then says so."""

    def prepare(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        """Return the step, after whatever is done once and not timed. Called where nothing is missing."""


@dataclass(frozen=True)
class Baseline:
    """A provider from three functions."""

    prepare_step: Callable[[Case, Inputs, RunConfig], Step]
    is_taken: Callable[[Case], bool] = lambda case: True
    find_missing: Callable[[RunConfig], str | None] = lambda config: None

    def takes(self, case: Case) -> bool:
        return self.is_taken(case)

    def missing(self, config: RunConfig) -> str | None:
        return self.find_missing(config)

    def prepare(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        return self.prepare_step(case, inputs, config)


def is_loss(case: Case) -> bool:
    return not case.is_statistics


def backward(loss: Tensor) -> Tensor:
    """Leave the gradients of `loss` on the inputs; return it detached."""
    loss.backward()
    return loss.detach()


def not_installed(module: str) -> str | None:
    """Return "not installed" where `import module` would fail to find it, else None."""
    return "not installed" if importlib.util.find_spec(module) is None else None
