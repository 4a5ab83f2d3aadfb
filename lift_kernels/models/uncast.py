"""Keep tensors exact on their way through a wrapped forward."""

from __future__ import annotations

from typing import Any


class Uncast:
    """Holds tensors, in any nesting, that a wrapper must not cast on their way into a forward or out of it.

    FSDP2 and DeepSpeed cast every floating tensor among a forward's arguments and results to their compute dtype. In
    bfloat16 a count of tokens is then off by up to 0.4 %, and scores that differ become ties. They look into tuples,
    mappings and dataclasses, but not into an object they do not know, such as this one. `.value` is what it holds.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


def uncast(value: Any) -> Any:
    """Return what an `Uncast` holds; anything else as it is."""
    return value.value if isinstance(value, Uncast) else value
