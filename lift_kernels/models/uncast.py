"""Tensors that pass through a wrapped forward as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Uncast:
    """Holds tensors, in any nesting, among the arguments or the results of a forward.

    FSDP2 and DeepSpeed cast every floating tensor that they find there to their compute dtype. In bfloat16 a count of
    tokens is then off by up to 0.4 %, and scores that differ become ties. They do not look into an object they do not
    know, such as this one.
    """

    value: Any


def uncast(value: Any) -> Any:
    """What an `Uncast` holds; anything else as it is."""
    return value.value if isinstance(value, Uncast) else value
