"""Fields of option dataclasses: each with its help and its range, checked in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lift.errors import LiftError


def option(default: Any, help: str, *, within: str | None = None, published: Any = None) -> Any:
    """Return a dataclass field.

    Args:
        default: its default value, not mutable.
        help: a sentence or two for the command line.
        within: the interval of a number, such as "(0, 1]" or "[1, inf)"; None, where allowed, is not checked.
        published: the value that reproduces LIFT's published code, where that differs from the default.
    """
    metadata: dict[str, Any] = {"help": help}
    if within is not None:
        metadata["within"] = within
    if published is not None:
        metadata["published"] = published
        metadata["help"] += f" Published code: {published}."
    return dataclasses.field(default=default, metadata=metadata)


def check_fields(options: Any, of: type) -> None:
    """Check the fields of `options` that the dataclass `of`, a base of its class, declares.

    Raises:
        LiftError: one is none of the values of its Literal, or outside its interval; the sentence names it.
    """
    hints = get_type_hints(of)
    for field in dataclasses.fields(of):
        value = getattr(options, field.name)
        if get_origin(hints[field.name]) is Literal:
            check_choice(field.name, value, get_args(hints[field.name]))
        if value is not None and "within" in field.metadata:
            check_range(field.name, value, field.metadata["within"])


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise LiftError unless `value` is one of `choices`."""
    choices = tuple(choices)
    if value not in choices:
        raise LiftError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}.")


def check_range(name: str, value: float, interval: str) -> None:
    """Raise LiftError unless `value` lies in `interval`, such as "(0, 1]" or "[1, inf)"."""
    low, high = interval[1:-1].split(", ")
    takes_low, takes_high = interval[0] == "[", interval[-1] == "]"
    is_above = value >= float(low) if takes_low else value > float(low)
    is_below = value <= float(high) if takes_high else value < float(high)
    if is_above and is_below:
        return
    if high == "inf":
        wanted = f"at least {low}" if takes_low else f"above {low}"
    elif not takes_low and not takes_high:
        wanted = f"between {low} and {high}, both excluded"
    else:
        wanted = f"{'at least' if takes_low else 'above'} {low} and {'at most' if takes_high else 'below'} {high}"
    raise LiftError(f"{name} must be {wanted}, got {value}.")
