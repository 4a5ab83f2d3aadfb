"""The arms of a comparison: methods with their flags, and the first one again with the steps that others cost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lift.errors import LiftError
from lift.fields import check_choice
from lift.objectives import METHODS

_SAME_COST = 0.015  # a difference of steps that no comparison could show
_NOT_OF_A_METHOD = ("method", "seed", "output_dir", "max_steps", "num_train_epochs")


@dataclass(frozen=True)
class Arm:
    """A way to train, run with every seed."""

    name: str
    """As it was asked for, such as lift3:one_forward=true; with the factor of its steps, such as sft x1.22."""

    method: str

    flags: tuple[str, ...] = ()
    """Of `lift train`, such as --one_forward=true."""

    factor: float = 1.0
    """Steps relative to those of the configuration."""

    @property
    def file_name(self) -> str:
        """The name without what a shell would ask to quote."""
        return re.sub(r"[^\w.+=-]+", "-", self.name)


def parse_methods(text: str) -> list[Arm]:
    """Return the arms of METHOD[:FLAG=VALUE...],...

    Raises:
        LiftError: fewer than two, one twice, an unknown method, or a flag that is not its own.
    """
    arms = [_parse(word.strip()) for word in text.split(",") if word.strip()]
    names = [arm.file_name for arm in arms]
    if len(arms) < 2:
        raise LiftError(f"--methods must name at least two, with commas between, got {text!r}.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise LiftError(f"--methods names {twice[0]} twice: leave one out.")
    return arms


def _parse(word: str) -> Arm:
    method, *pairs = word.split(":")
    check_choice("--methods", method, METHODS)
    for pair in pairs:
        flag, equals, _ = pair.partition("=")
        if not equals or not flag.isidentifier():
            raise LiftError(f"--methods must have FLAG=VALUE behind a colon, got {pair!r} in {word}.")
        if flag in _NOT_OF_A_METHOD:
            raise LiftError(f"--methods: {flag} is what the comparison sets for every run: leave it out of {word}.")
    return Arm(word, method, tuple(f"--{pair}" for pair in pairs))


def equal_compute(arms: Sequence[Arm], costs: Mapping[str, float]) -> dict[str, Arm]:
    """Return, by the names of the arms of another cost than the first, the first one with the steps of this cost.

    Args:
        arms: the first is the one that the others are compared with.
        costs: of a step of each arm, by its name.
    """
    first = arms[0]
    ratios = {arm.name: round(costs[arm.name] / costs[first.name], 2) for arm in arms[1:]}
    return {
        name: replace(first, name=f"{first.name} x{ratio:.2f}", factor=ratio)
        for name, ratio in ratios.items() if abs(ratio - 1) > _SAME_COST
    }  # fmt: skip
