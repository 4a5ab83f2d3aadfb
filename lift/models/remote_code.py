"""Load checkpoints that bring their own model code, which was mostly written for transformers 4.

Under transformers 5 the published code of LLaDA, Dream, LLaDA-MoE and LLaDA2 fails to import, to build or to load, or
loads with arbitrary rotary frequencies; Dream's cannot be saved under 4.57 either. This makes up for what changed.
It changes transformers itself only while code is imported or a model is loaded.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from torch import Tensor

from lift.errors import LiftError
from lift.models.transformers_versions import is_transformers_4

# Arguments that newer transformers pass to methods which the published code overrides without them.
_ADDED_ARGUMENTS = {
    "tie_weights": {"missing_keys", "recompute_mapping"},
    "_set_gradient_checkpointing": {"every_n_layers"},
    "validate": {"strict", "user_set_attributes"},  # of a GenerationConfig; strict already in 4.57
}
_REMOTE_PACKAGE = "transformers_modules"  # where transformers imports the code of checkpoints


@contextmanager
def names_of_transformers_4() -> Iterator[None]:
    """Provide the names that the published code takes from transformers 4, and afterwards remove them again."""
    if is_transformers_4():
        yield
        return
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.utils import import_utils

    has_default = "default" in ROPE_INIT_FUNCTIONS
    has_fx = hasattr(import_utils, "is_torch_fx_available")
    if not has_default:
        ROPE_INIT_FUNCTIONS["default"] = _default_rope
    if not has_fx:
        import_utils.is_torch_fx_available = lambda: True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if not has_default:
            del ROPE_INIT_FUNCTIONS["default"]
        if not has_fx:
            del import_utils.is_torch_fx_available  # type: ignore[attr-defined]


def load_remote_model(name_or_path: str, config: Any, auto_class: str, **options: Any) -> Any:
    """Return the model that `config.auto_map[auto_class]` names, with its weights.

    Args:
        name_or_path: A folder or a Hub id.
        config: Its configuration, which has an `auto_map`.
        auto_class: For instance "AutoModelForCausalLM".
        options: Passed on to `from_pretrained`.
    """
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    load = getattr(transformers, auto_class).from_pretrained
    if not hasattr(config, "use_cache"):
        config.use_cache = False  # which transformers 5 no longer sets from the keyword arguments
    with names_of_transformers_4():
        model_class = get_class_from_dynamic_module(config.auto_map[auto_class], name_or_path)
        _ignore_added_arguments(model_class)
        if is_transformers_4():
            return load(name_or_path, config=config, trust_remote_code=True, **options)
        _adapt_tied_weights(model_class, config)
        model = load(name_or_path, config=config, trust_remote_code=True, **options)
        _restore_buffers(model)
    return model


def _default_rope(config: Any, device: Any = None, seq_len: int | None = None, **_: Any) -> tuple[Tensor, float]:
    """Return rotary frequencies theta^(-2i/d), i = 0 .. d/2 - 1, d the rotary share of a head (arXiv 2104.09864)."""
    theta = getattr(config, "rope_theta", None) or config.rope_parameters["rope_theta"]
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dim = int(head_dim * getattr(config, "partial_rotary_factor", 1.0))
    exponent = torch.arange(0, dim, 2, dtype=torch.int64).to(device=device, dtype=torch.float32) / dim
    return 1.0 / theta**exponent, 1.0


def _adapt_tied_weights(model_class: Any, config: Any) -> None:
    """Declare which weights are tied in the form of transformers 5, for `from_pretrained` and `save_pretrained`."""
    if not hasattr(model_class, "all_tied_weights_keys"):
        model_class.all_tied_weights_keys = {}  # `post_init` sets it, which LLaDA's class never calls
    if isinstance(model_class._tied_weights_keys, list):  # now a mapping to the weight each is tied to
        if getattr(config, "tie_word_embeddings", False):
            raise LiftError(
                f"{model_class.__name__} ties its head to its embedding as transformers 4 did: install "
                "'transformers<5' to load it."
            )
        model_class._tied_weights_keys = None


def _ignore_added_arguments(model_class: Any) -> None:
    """Let the class, what it derives from, and the generation configs of its module ignore `_ADDED_ARGUMENTS`."""
    named = vars(sys.modules[model_class.__module__]).values()
    generation_configs = [x for x in named if isinstance(x, type) and issubclass(x, transformers.GenerationConfig)]
    for owner in [*model_class.__mro__, *generation_configs]:
        if owner.__module__.startswith(_REMOTE_PACKAGE):
            for method, added in _ADDED_ARGUMENTS.items():
                _ignore(owner, method, added)


def _ignore(owner: Any, method: str, arguments: set[str]) -> None:
    """Let a method that was overridden before these arguments existed be called with them."""
    function: Callable[..., Any] | None = vars(owner).get(method)
    if function is None:
        return
    parameters = inspect.signature(function).parameters
    unknown = arguments - parameters.keys()
    if not unknown or any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return

    @functools.wraps(function)
    def tolerant(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **{name: value for name, value in kwargs.items() if name not in unknown})

    setattr(owner, method, tolerant)


def _restore_buffers(model: Any) -> None:
    """Compute again what no checkpoint holds, such as rotary frequencies.

    transformers 5 builds a model on the meta device and leaves its non-persistent buffers uninitialised, unless
    `_init_weights` of the class fills them, which code for transformers 4 does not.
    """
    from accelerate import init_empty_weights
    from transformers.initialization import no_init_weights

    names = [name for name, _ in model.named_non_persistent_buffers()]
    if not names:
        return
    with no_init_weights(), init_empty_weights(include_buffers=False):
        fresh = type(model)(model.config)
    for name in names:
        parent, _, buffer = name.rpartition(".")
        module, truth = model.get_submodule(parent), fresh.get_submodule(parent)
        with torch.no_grad():
            getattr(module, buffer).copy_(getattr(truth, buffer))
        for attribute, value in vars(truth).items():
            if isinstance(value, Tensor):  # LLaDA2 and Dream keep the frequencies a second time, outside the buffers
                setattr(module, attribute, value.to(getattr(module, buffer).device))
