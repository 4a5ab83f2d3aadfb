"""Arguments that are Python numbers, flags and names."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

import torch

_LEAST_TEMPERATURE = 1e-30
BACKENDS = ("auto", "triton", "torch")


def check_bool(op: str, name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be a bool, got {type(value).__name__}.")


def check_int(op: str, name: str, value: object, low: int, end: int) -> None:
    """Raise unless `value` is an int in [low, end); a tensor is refused, as an accelerator's would be read back."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Integral, torch.SymInt)):
        raise TypeError(f"{op}: {name} must be an int, got {type(value).__name__}. Convert it with int().")
    if not low <= value < end:  # type: ignore[operator]
        raise ValueError(f"{op}: {name} must lie in [{low}, {end}), got {value}.")


def check_positive(op: str, name: str, value: object) -> None:
    """Raise unless `value` is a number above 0 and finite."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, torch.SymInt, torch.SymFloat)):
        raise TypeError(f"{op}: {name} must be a float, got {type(value).__name__}. Convert it with float().")
    if not 0 < value < math.inf:  # type: ignore[operator]
        raise ValueError(f"{op}: {name} must be positive and finite, got {value}.")


def check_temperature(op: str, temperature: object) -> None:
    """Raise unless `temperature` is 0, or a number above it whose inverse is finite in float32."""
    value = _float(op, "temperature", temperature)
    if value != 0:
        check_positive(op, "temperature", temperature)
        if value < _LEAST_TEMPERATURE:
            raise ValueError(
                f"{op}: temperature must be 0 or at least {_LEAST_TEMPERATURE}, got {temperature}. Pass 0 for the most "
                "likely token."
            )


def check_share(op: str, name: str, value: object) -> None:
    """Raise unless `value` is a number in (0, 1]."""
    if not 0 < _float(op, name, value) <= 1:
        raise ValueError(f"{op}: {name} must lie in (0, 1], got {value}.")


def _float(op: str, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{op}: {name} must be a float, got {type(value).__name__}. Convert it with float().")
    return float(value)


def check_choice(op: str, name: str, value: object, choices: Sequence[str]) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{op}: {name} must be a str, got {type(value).__name__}.")
    if value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"{op}: {name} must be one of {listed}, got {value!r}.")


def check_backend(op: str, backend: object) -> None:
    check_choice(op, "backend", backend, BACKENDS)
