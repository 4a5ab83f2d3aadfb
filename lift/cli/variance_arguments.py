"""The flags of `lift analyze --variance`: the options of training that a gradient depends on. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_type_hints

from lift.cli.measured_arguments import MeasuredArguments
from lift.errors import LiftError
from lift.fields import check_choice
from lift.objectives import METHODS, LiftOptions

OBJECTIVE = tuple(
    field.name for field in dataclasses.fields(LiftOptions) if field.name not in ("method", "mask_token_id")
)
"""Fields of `LiftOptions` that are not the command's in its own way."""


def with_objective(own: type[MeasuredArguments]) -> type[MeasuredArguments]:
    """Return the class of a command's flags with those of `OBJECTIVE` too."""
    hints, fields = get_type_hints(LiftOptions), []
    for field in dataclasses.fields(LiftOptions):
        if field.name in OBJECTIVE:
            first, _, rest = field.metadata["help"].partition(" ")
            first = first if first[:2].isupper() else first.lower()  # a name such as GIFT stays as it is
            metadata = {**field.metadata, "help": f"With variance: {first} {rest}"}
            fields.append((field.name, hints[field.name], dataclasses.field(default=field.default, metadata=metadata)))
    return dataclasses.make_dataclass(own.__name__, fields, bases=(own,))


def methods_of(words: Sequence[str]) -> list[str]:
    """Return the methods that a list of words names, several in one with commas between.

    Raises:
        LiftError: there is none of that name, or none at all.
    """
    names = [name.strip() for word in words for name in word.split(",")]
    for name in (found := list(dict.fromkeys(name for name in names if name))) or ("",):
        check_choice("variance", name, METHODS)
    return found


def objective_of(own: Any, method: str) -> dict[str, Any]:
    """Return the options of training by which `method` forms a gradient.

    A density of times is that of the methods that need one, where any of those that are measured does.
    """
    options = {name: getattr(own, name) for name in OBJECTIVE}
    if not METHODS[method].needs_density and any(METHODS[name].needs_density for name in own.variance):
        options["time_density"] = None
    return {"method": method, **options}


def check_objective(own: Any, words: Sequence[str]) -> None:
    """Check that the methods can be measured with these options, and that options are not given without methods.

    Args:
        own: the command's flags, of `with_objective`.
        words: of the command line, without files and presets.

    Raises:
        LiftError: they cannot, or are.
    """
    for method in own.variance or ():
        if METHODS[method].keeps_pool:
            raise LiftError(f"method={method!r} masks a row by what earlier steps have seen: leave it out of variance.")
        LiftOptions(**objective_of(own, method)).resolve_options()
    flags = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in words if word.startswith("--")}
    if own.variance is None and (idle := [name for name in OBJECTIVE if name in flags]):
        raise LiftError(f"{idle[0]} belongs to variance: pass --variance METHODS too, or leave it out.")
