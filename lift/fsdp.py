"""What FSDP through accelerate needs beside its configuration file: sharding on CPUs, units that keep ties whole."""

from __future__ import annotations

import os
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


def choose_units(plugin: Any, model: Any) -> None:
    """Let `plugin` gather layer by layer: the model's `_no_split_modules` without those that hold an embedding.

    accelerate makes one unit of the input embedding, the head and the last norm, since the first two may be tied; it
    fails where the embedding already lies in a unit of its own, as ModernBERT's `_no_split_modules` have it. Classes
    that the user named are left alone.
    """
    if plugin.transformer_cls_names_to_wrap is not None:
        return
    embeddings = {model.get_input_embeddings(), model.get_output_embeddings()}
    holders = {type(module).__name__ for module in model.modules() if embeddings & set(module.modules())}
    names = getattr(model, "_no_split_modules", None) or []
    plugin.transformer_cls_names_to_wrap = [name for name in names if name not in holders]
