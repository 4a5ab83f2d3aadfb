"""What a provider is: an implementation under test, which prepares a step for one case."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from benchmarks.harness.run_config import RunConfig
from benchmarks.ops.cases import WORKS, Case, Inputs, Work

# Computes once. Of a loss: returns it, the mean over the targets, and leaves the gradients on the inputs. Of
# statistics: returns log_prob, lse, entropy, max_log_prob and argmax, of all tokens or of those with a target. Of
# sampling: token and log_prob, likewise.
Step = Callable[[], Any]


class Provider(Protocol):
    """One row of a comparison, the same on every device."""

    def takes(self, case: Case) -> bool:
        """Whether it computes what the case asks for; where it does not, the comparison has no row of it."""

    def missing(self, config: RunConfig) -> str | None:
        """Why it cannot run here, such as "not installed", or None."""

    def prepare(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        """Return the step, after whatever is done once and not timed. Called where nothing is missing."""

    def token_losses(self, case: Case, inputs: Inputs, config: RunConfig) -> Tensor | None:
        """Return the loss of each token (N,) as the step computes it, 0 where there is no target; None if unknown."""


@dataclass(frozen=True)
class Baseline:
    """A provider from functions."""

    prepare_step: Callable[[Case, Inputs, RunConfig], Step]
    works: Collection[Work] = WORKS
    is_taken: Callable[[Case], bool] = lambda case: True
    find_missing: Callable[[RunConfig], str | None] = lambda config: None
    losses: Callable[[Inputs], Tensor] | None = None

    def takes(self, case: Case) -> bool:
        return case.work in self.works and self.is_taken(case)

    def missing(self, config: RunConfig) -> str | None:
        return self.find_missing(config)

    def prepare(self, case: Case, inputs: Inputs, config: RunConfig) -> Step:
        return self.prepare_step(case, inputs, config)

    def token_losses(self, case: Case, inputs: Inputs, config: RunConfig) -> Tensor | None:
        return None if self.losses is None else self.losses(inputs)


def backward(loss: Any) -> Tensor:
    """Leave the gradients of `loss`, a 0-d tensor, on the inputs; return it detached."""
    loss.backward()
    detached: Tensor = loss.detach()
    return detached
