"""Tensors that pass through a wrapped forward as they are."""

from __future__ import annotations

from typing import Any


class Uncast:
    """Holds tensors, in any nesting, among the arguments or the results of a forward.

    FSDP2 and DeepSpeed cast every floating tensor that they find there to their compute dtype. In bfloat16 a count of
    tokens is then off by up to 0.4 %, and scores that differ become ties. They look into tuples, mappings and
    dataclasses, but not into an object they do not know, such as this one.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


def uncast(value: Any) -> Any:
    """What an `Uncast` holds; anything else as it is."""
    return value.value if isinstance(value, Uncast) else value
