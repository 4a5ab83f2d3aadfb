"""Replace the forward of one module instance, in layers that come off again.

`replace_forward` puts a function in the place of a module's forward and hands it the one that was there before. The
layers of a module are kept on the instance, not in closures: a deep copy has its own, which call the copy. A pickled
module is loaded with its class's forward and no layers.

Others replace forwards too: accelerate's hooks keep the one that they call as `_old_forward`. A layer is found in
either place, so hooks may come and go before or after it. One that someone else's function has wrapped in the meantime
cannot be taken out of there; it then only passes calls on.
"""

from __future__ import annotations

import copy
import functools
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

# (module, the forward before, arguments of the call) -> what the call returns
Forward = Callable[..., Any]

_LAYERS = "_lift_kernels_forwards"
_REPLICATE = "_replicate_for_data_parallel"
_NAMES = ("_old_forward", "forward")  # the first is that of accelerate's hooks


@dataclass
class _Layer:
    """One replaced forward of a module."""

    owner: str
    number: int
    function: Forward
    options: Any
    outlives_patch: bool
    forward: Callable[..., Any] | None = None  # what was put on the instance
    former: Callable[..., Any] | None = None  # what the instance held before; None: the class's own
    is_active: bool = True


@dataclass
class _Layers:
    """The layers of a module, the outermost last."""

    layers: list[_Layer] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        return {"layers": []}  # bound functions are pickled by name, so only those of the class come back

    def __deepcopy__(self, memo: dict[int, Any]) -> _Layers:
        memo[id(self)] = twin = _Layers()
        for layer in self.layers:  # all but `function`, which may belong to an object that both call
            own = {name: copy.deepcopy(getattr(layer, name), memo) for name in ("options", "forward", "former")}
            twin.layers.append(replace(layer, **own))
        return twin


def replace_forward(
    module: nn.Module,
    owner: str,
    function: Forward,
    *,
    options: Any = None,
    signature: inspect.Signature | None = None,
    beneath_hooks: bool = False,
    outlives_patch: bool = False,
) -> None:
    """Let calls of `module` run `function(module, former, *args, **kwargs)`, `former` being the forward before.

    Args:
        module: the instance; others of its class stay as they are.
        owner: names the layer. A second call with the same owner replaces its function and options, in its place.
        function: what runs. It should hold no reference to the module: a copy would call the original.
        options: anything, for `options_of`; copied with the module.
        signature: what `inspect.signature` says, with `self`; by default that of the class's forward.
        beneath_hooks: run inside accelerate's hooks, which bring the module's weights, instead of around them.
        outlives_patch: stay when `remove_lift_kernels` takes the other layers off.
    """
    layers = module.__dict__.setdefault(_LAYERS, _Layers()).layers
    layer = _active_layer(module, owner)
    if layer is not None and _places(module, layer):
        layer.function, layer.options = function, options
        return
    if layer is not None:  # someone else's function wraps it, or has taken its place
        layer.is_active = False
    layer = _Layer(owner, 1 + max((other.number for other in layers), default=0), function, options, outlives_patch)
    place = "_old_forward" if beneath_hooks and "_old_forward" in module.__dict__ else "forward"
    layer.former = module.__dict__.get(place)
    layer.forward = module.__dict__[place] = types.MethodType(
        _numbered_forward(module, layer.number, signature), module
    )
    layers.append(layer)
    module.__dict__[_REPLICATE] = types.MethodType(_replicate_for_data_parallel, module)


def is_replaced(module: nn.Module, owner: str) -> bool:
    """Return whether the layer of `owner` is in force on this module."""
    return _active_layer(module, owner) is not None


def options_of(module: nn.Module, owner: str) -> Any:
    """Return the options of the layer of `owner`, which must be in force."""
    layer = _active_layer(module, owner)
    assert layer is not None
    return layer.options


def restore_forwards(model: nn.Module) -> None:
    """Take off the layers of every module of `model` but those that outlive the patch."""
    for module in model.modules():
        stack = module.__dict__.get(_LAYERS)
        if stack is None:
            continue
        for layer in reversed(stack.layers):
            layer.is_active = layer.is_active and layer.outlives_patch
            if not layer.is_active and _take_off(module, layer):
                stack.layers = [other for other in stack.layers if other is not layer]
        if not stack.layers:
            del module.__dict__[_LAYERS]
            module.__dict__.pop(_REPLICATE, None)


def _replicate_for_data_parallel(module: nn.Module) -> nn.Module:
    # A replica's forward would be the one bound to the original, with the original's weights. Called as torch's own.
    raise RuntimeError(
        f"torch.nn.DataParallel cannot copy a {type(module).__name__} that lift_kernels has patched. Start one process "
        "per GPU with torchrun or accelerate launch, or show this one a single GPU: CUDA_VISIBLE_DEVICES=0."
    )


def _numbered_forward(module: nn.Module, number: int, signature: inspect.Signature | None) -> Callable[..., Any]:
    own = type(module).forward

    @functools.wraps(own)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        layer = next((layer for layer in self.__dict__[_LAYERS].layers if layer.number == number), None)
        former = None if layer is None else layer.former
        if former is None:
            former = functools.partial(type(self).forward, self)
        if layer is None or not layer.is_active:
            return former(*args, **kwargs)
        return layer.function(self, former, *args, **kwargs)

    forward.__signature__ = signature or inspect.signature(own)  # type: ignore[attr-defined]
    return forward


def _active_layer(module: nn.Module, owner: str) -> _Layer | None:
    stack = module.__dict__.get(_LAYERS)
    layers = [] if stack is None else stack.layers
    return next((layer for layer in layers if layer.owner == owner and layer.is_active), None)


def _places(module: nn.Module, layer: _Layer) -> list[tuple[dict[str, Any], str]]:
    """Where the layer's forward is kept: on the instance, or as what another layer calls."""
    others = [vars(other) for other in module.__dict__[_LAYERS].layers]
    places = [(module.__dict__, name) for name in _NAMES] + [(other, "former") for other in others]
    return [(holder, name) for holder, name in places if holder.get(name) is layer.forward]


def _take_off(module: nn.Module, layer: _Layer) -> bool:
    """Put what was there before in the layer's place; False where that cannot be found."""
    places = _places(module, layer)
    for holder, name in places:
        if layer.former is None and name == "forward":
            del holder[name]
        elif layer.former is None and name == "_old_forward":
            holder[name] = types.MethodType(type(module).forward, module)
        else:
            holder[name] = layer.former
    return bool(places)
