"""Fields of option dataclasses: each with its help and its range, checked in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lift.errors import LiftError


def option(default: Any, help: str, *, within: str | None = None, published: Any = None) -> Any:
    """Return a dataclass field.

    Args:
        default: its default value, not mutable.
        help: a sentence or two for the command line.
        within: the interval of a number, such as "(0, 1]", "[1, inf)" or "[1, inf) or -1"; None, where allowed, is
            not checked.
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
        LiftError: one is none of the values of its Literal, no number or not a whole one where it must be, or outside
            its interval; the sentence names it.
    """
    hints = get_type_hints(of)
    for field in dataclasses.fields(of):
        value, hint = getattr(options, field.name), hints[field.name]
        if get_origin(hint) is Literal:
            check_choice(field.name, value, get_args(hint))
        if value is not None and "within" in field.metadata:
            if float not in (hint, *get_args(hint)):
                check_whole(field.name, value)
            check_range(field.name, value, field.metadata["within"])


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raise LiftError unless `value` is one of `choices`."""
    choices = tuple(choices)
    if value not in choices:
        raise LiftError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}.")


def check_whole(name: str, value: object) -> None:
    """Raise LiftError unless `value` is a whole number, of whatever type."""
    if isinstance(value, bool) or not (
        isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    ):
        raise LiftError(f"{name} must be a whole number, got {value!r}.")


def check_range(name: str, value: object, interval: str) -> None:
    """Raise LiftError unless `value` is a number in `interval`, such as "(0, 1]", "[1, inf)" or "[1, inf) or -1"."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise LiftError(f"{name} must be a number, got {value!r}.")
    interval, _, other = interval.partition(" or ")
    if other and value == float(other):
        return
    low, high = interval[1:-1].split(", ")
    takes_low, takes_high = interval[0] == "[", interval[-1] == "]"
    number: Any = value
    is_above = number >= float(low) if takes_low else number > float(low)
    is_below = number <= float(high) if takes_high else number < float(high)
    if is_above and is_below:
        return
    if high == "inf":
        wanted = f"at least {low}" if takes_low else f"above {low}"
    elif not takes_low and not takes_high:
        wanted = f"between {low} and {high}, both excluded"
    else:
        wanted = f"{'at least' if takes_low else 'above'} {low} and {'at most' if takes_high else 'below'} {high}"
    raise LiftError(f"{name} must be {wanted}{f' or {other}' if other else ''}, got {value}.")
