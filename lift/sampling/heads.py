"""Read what a model says at some positions: its logits there, or the hidden states that its head takes.

The head is applied inside its own call, so that FSDP, ZeRO-3 and offloading have its weight at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn
from torch.nn import functional as F

from lift_kernels.models import ModelFamily, find_model_family, unwrap_model, vocab_size_of

Result = TypeVar("Result")


class PlainHead(NamedTuple):
    """A head that is a matrix and nothing else, as the ops of `lift_kernels` take it."""

    weight: Tensor
    """(V, D)."""

    bias: Tensor | None
    """(V,)."""

    logit_scale: float = 1.0
    logit_softcap: float | None = None


class Head(NamedTuple):
    """Makes logits (n, V) of rows (n, D), which are logits already where a model was asked for them."""

    logits: Callable[[Tensor], Tensor]
    vocab_size: int
    is_affine: bool
    """Logits of a weighted sum of rows, whose weights add up to 1, are that sum of their logits."""

    plain: PlainHead | None = None
    """The same head for ops that make no logits, where it is one they take."""


# (rows (N, D), head) -> whatever is made of them
Reader = Callable[[Tensor, Head], Result]


def read_logits(
    model: nn.Module, inputs: dict[str, Any], index: Tensor, reader: Reader[Result],
    look: Callable[[Any], None] = lambda output: None,
) -> Result:  # fmt: skip
    """Return reader(rows, head) of the logits at positions `index` (N,), those of a batch in one row.

    The model's output goes to `look`.
    """
    output = model(**inputs)
    look(output)
    logits = output.logits
    return reader(logits.flatten(0, 1)[index], Head(lambda rows: rows, logits.shape[-1], True))


def read_states(
    model: nn.Module, inputs: dict[str, Any], index: Tensor, reader: Reader[Result],
    look: Callable[[Any], None] = lambda output: None,
) -> Result:  # fmt: skip
    """As read_logits, from the hidden states of a model of a known family, without logits of all positions.

    A compiled model calls no hooks that came after it; its logits are read then.
    """
    inner = unwrap_model(model)
    family = find_model_family(inner)
    found: list[Result] = []
    is_reading = False

    def read(states: Tensor) -> Tensor:
        nonlocal is_reading
        if not is_reading:
            is_reading = True
            found.append(reader(states.flatten(0, 1)[index], _head_of(family, inner)))
        return states[:, :0]  # the logits that follow are those of no position

    if family.last_norm is None:
        hook = family.head(inner).register_forward_pre_hook(lambda _, args: (read(args[0]), *args[1:]))
    else:
        hook = family.last_norm(inner).register_forward_hook(lambda _, _args, states: read(states))
    try:
        output = model(**inputs)
    finally:
        hook.remove()
    look(output)
    if found:
        return found[0]
    logits = output.logits
    return reader(logits.flatten(0, 1)[index], Head(lambda rows: rows, logits.shape[-1], True))


def _head_of(family: ModelFamily, inner: Any) -> Head:
    module = family.head(inner)
    scale = None if family.logit_scale is None else family.logit_scale(inner)
    softcap = None if family.logit_softcap is None else family.logit_softcap(inner)

    def logits(rows: Tensor) -> Tensor:
        # Not by calling the module, whose hook this runs in; adapters on the head are part of its forward.
        made: Tensor = F.linear(rows, module.weight) if isinstance(module, nn.Embedding) else module.forward(rows)
        made = made if scale is None else made * scale
        return made if softcap is None else (made / softcap).tanh() * softcap

    return Head(logits, vocab_size_of(module), softcap is None, _plain(module, scale, softcap))


def _plain(module: Any, scale: float | None, softcap: float | None) -> PlainHead | None:
    """Return the head as a matrix, unless something is beside it (adapters), in it (quantised) or it lies in shards."""
    # FSDP2 derives a class of its own from that of a module, so the class itself says little.
    if type(module).forward not in (nn.Linear.forward, nn.Embedding.forward):
        return None
    bias = getattr(module, "bias", None)
    if any(type(value) not in (Tensor, nn.Parameter) for value in (module.weight, bias) if value is not None):
        return None
    if module.weight.dim() != 2 or len(module.weight) != vocab_size_of(module):  # ZeRO-3 leaves nothing here
        return None
    return PlainHead(module.weight, bias, 1.0 if scale is None else scale, softcap)
