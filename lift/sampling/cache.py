"""Keys and values of a model's layers, kept from one forward to the next: the prefix and dual caches of Fast-dLLM.

With full attention a kept key is as of its block's first forward, so that what is written may differ from what it is
without a cache. With block-causal attention a finished block never changes, and nor does what is written.

Source: Fast-dLLM, arXiv 2505.22618; block diffusion, arXiv 2503.09573.
"""

from __future__ import annotations

import inspect
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from lift.errors import LiftError
from lift_kernels.models import family_of, unwrap_model


class KeptKeys(Protocol):
    """What is kept of one version of the rows."""

    def begin(self, start: int, end: int, *, keep: bool) -> dict[str, Any]:
        """Return the arguments of a forward that is fed columns `start` to `end`, and keep its keys if told to."""

    def look(self, output: Any) -> None:
        """Take what the forward returned.

        Raises: LiftError if it did not touch its cache.
        """


class BlockCache(DynamicCache):
    """A cache of transformers whose entries stand at columns: a forward's take the place of those that are kept."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._window = (0, 0)
        self._is_kept = self._is_used = False

    def begin(self, start: int, end: int, *, keep: bool) -> dict[str, Any]:
        self._window, self._is_kept, self._is_used = (start, end), keep, False
        return {"past_key_values": self, "use_cache": True}

    def look(self, output: Any) -> None:
        if not self._is_used:
            raise _refusal(self._name, "does not use the past_key_values that it is given")

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Return keys and values (B, heads, columns, D) of a layer: those before, the new ones, those behind."""
        self._is_used = True
        new = (key_states, value_states)
        if layer_idx in self._kept:
            start, end = self._window
            keys, values = (
                torch.cat([old[..., :start, :], fresh, old[..., end:, :]], dim=-2)
                for old, fresh in zip(self._kept[layer_idx], new, strict=True)
            )
            new = (keys, values)
        if self._is_kept:
            self._kept[layer_idx] = new
        return new

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        """Return the column of the first token that is fed."""
        return self._window[0]


class PairCache:
    """The same as pairs (B, heads, columns, D) of each layer, which LLaDA's code takes: those before what it is fed.

    Fast-dLLM's copy of that code takes all pairs and `replace_position` (B, T) bool, which says what they give way to.
    """

    def __init__(self, name: str, replaces: bool) -> None:
        self._name, self._replaces = name, replaces
        self._kept: Any = None
        self._is_kept = False

    def begin(self, start: int, end: int, *, keep: bool) -> dict[str, Any]:
        self._is_kept = keep
        if self._kept is None or start == 0:
            return {"use_cache": True}
        num_rows, _, width, _ = self._kept[0][0].shape
        if end == width:
            return {"past_key_values": [tuple(part[..., :start, :] for part in pair) for pair in self._kept]}
        if not self._replaces:
            raise _refusal(self._name, "takes no replace_position, which cache='dual' needs", "cache='prefix'")
        is_fed = torch.zeros(num_rows, width, dtype=torch.bool, device=self._kept[0][0].device)
        is_fed[:, start:end] = True
        return {"past_key_values": self._kept, "replace_position": is_fed}

    def look(self, output: Any) -> None:
        if not self._is_kept:
            return
        self._kept = getattr(output, "past_key_values", None)
        if self._kept is None:
            raise _refusal(self._name, "returns no past_key_values")


def new_cache(model: nn.Module) -> KeptKeys:
    """Return an empty cache of the kind that the model's code takes.

    Raises: LiftError if it takes none.
    """
    inner = unwrap_model(model)
    name, parameters = type(inner).__name__, inspect.signature(type(inner).forward).parameters
    if not {"past_key_values", "use_cache"} <= set(parameters):
        raise _refusal(name, "takes no past_key_values")
    family, replaces = family_of(inner), "replace_position" in parameters
    if replaces or (family is not None and family.last_norm is not None):
        return PairCache(name, replaces)
    return BlockCache(name)


def _refusal(name: str, what: str, remedy: str = "cache=None") -> LiftError:
    return LiftError(f"generate: {name} {what}: set {remedy}.")
