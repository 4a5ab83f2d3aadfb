"""Set up FSDP through accelerate: shard on CPUs too, and keep parameters that modules share in one unit."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import distributed

from lift.errors import LiftError


def shard_on_cpu(accelerator: Any, plugin_arguments: dict[str, Any] | None = None) -> None:
    """Make an `accelerate.Accelerator` shard by FSDP2 where FSDP is asked for and the device is a CPU.

    accelerate (1.15, `AcceleratorState`) makes a run an FSDP run only where its processes hold GPUs or the like; on
    CPUs it drops the plug-in and trains with DDP, in silence. All that follows works on CPUs as it is. So the run is
    declared an FSDP run here and takes the very path that it takes on GPUs, which our tests then exercise.

    Args:
        accelerator: before it has prepared anything. One on a GPU is left alone, and so is one without FSDP.
        plugin_arguments: of `FullyShardedDataParallelPlugin`; by default what `accelerate launch` put into the
            environment.

    Raises:
        LiftError: FSDP1, processes that no launcher started, or a GPU beside the CPU, which FSDP2 would prefer.
    """
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    is_wanted = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    state = accelerator.state
    if not is_wanted or state.device.type != "cpu" or state.distributed_type == DistributedType.FSDP:
        return
    plugin = FullyShardedDataParallelPlugin(**(plugin_arguments or {}))
    if getattr(plugin, "fsdp_version", 1) != 2:
        raise LiftError("FSDP1 does not train on CPUs: set fsdp_version: 2, or leave FSDP out.")
    if torch.accelerator.is_available():
        raise LiftError("FSDP2 on CPUs needs the GPUs hidden: set CUDA_VISIBLE_DEVICES='', or leave --use_cpu out.")
    if not distributed.is_initialized():
        raise LiftError("FSDP2 needs a launcher, also for one process: start with accelerate launch or torchrun.")
    if state.mixed_precision != "no":
        plugin.set_mixed_precision(state.mixed_precision)
    # Both states share one dictionary each; these are the very assignments that a GPU run makes.
    state.fsdp_plugin, state.distributed_type = plugin, DistributedType.FSDP
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP


def choose_units(accelerator: Any, model: Any) -> None:
    """Decide what an FSDP `accelerator` gathers at once, so that parameters that are shared lie in one unit.

    The layers are the model's `_no_split_modules`, unless the user named classes, without those that hold an embedding:
    accelerate (1.15) makes one unit of the input embedding, the head and the last norm, and fails where an embedding
    lies in a unit already, as in BERT and ModernBERT. It also fails where another module holds a parameter of these
    two, as BERT's does with the head's bias; they then stay in the root, which too is gathered during a whole forward.
    """
    plugin = accelerator.state.fsdp_plugin
    embeddings = {model.get_input_embeddings(), model.get_output_embeddings()}
    if plugin.transformer_cls_names_to_wrap is None:
        holders = {type(module).__name__ for module in model.modules() if embeddings & set(module.modules())}
        names = getattr(model, "_no_split_modules", None) or []
        plugin.transformer_cls_names_to_wrap = [name for name in names if name not in holders]
    inside = {module for embedding in embeddings for module in embedding.modules()}
    shared = {parameter for embedding in embeddings for parameter in embedding.parameters()}
    others = (module for module in model.modules() if module not in inside)
    if any(parameter in shared for module in others for parameter in module.parameters(recurse=False)):
        accelerator.prepare = _without_embeddings(accelerator.prepare, model)


def _without_embeddings(prepare: Callable[..., Any], model: Any) -> Callable[..., Any]:
    """Return `prepare` with `model` naming no embeddings meanwhile, which would be given a unit of their own."""

    def prepare_in_root(*objects: Any, **options: Any) -> Any:
        model.get_input_embeddings = model.get_output_embeddings = lambda: None
        try:
            return prepare(*objects, **options)
        finally:
            del model.get_input_embeddings, model.get_output_embeddings

    return prepare_in_root
