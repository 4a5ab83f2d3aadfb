"""What a training step takes at its peak, in parts, and what would make it fit a card.

Weights, gradients and optimiser state are counted, activations measured (`saved_tensors`), the workspace of the fused
loss bounded. Left out: the CUDA context, what the allocator loses to fragments, buffers of DDP, shards of FSDP and
DeepSpeed (the estimate is that of one process that holds the whole model), and what an optimiser needs beside its state
while it steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from lift.models.gradient_checkpointing import enable_gradient_checkpointing, num_blocks
from lift.objectives import METHODS
from lift.training.optimiser_state import optimiser_bytes
from lift.training.saved_tensors import Activations, measure_activations, widest

# As in `lift_kernels.linear_cross_entropy`.
_WORKSPACE_BYTES = {"cpu": 256 << 20}
_ACCELERATOR_WORKSPACE_BYTES = 1 << 30
_TILE_BYTES = 16 << 20


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process, by what they are for."""

    weights: int
    """Of parameters and buffers."""

    gradients: int
    largest_gradient: int
    """Of one parameter: it lies beside the sum that it is added to."""

    optimiser: int
    activations: Activations
    plain_block: int
    """Activations of one row in one block without checkpointing: what a backward pass holds of the block it is in, and
    about what a scoring forward takes."""

    workspace_per_row: int
    workspace_most: int
    rows: int
    """Of a micro-batch, with their second views."""

    accumulation: int
    """Micro-batches of a step: from the second on, gradients lie there while activations grow."""

    @property
    def activation_bytes(self) -> int:
        """Activations of a micro-batch."""
        return self.activations.fixed + self.rows * self.activations.per_row

    @property
    def workspace(self) -> int:
        """The most that the fused loss takes for its tiles."""
        return min(self.workspace_most, self.rows * self.workspace_per_row + _TILE_BYTES)

    @property
    def scoring(self) -> int:
        """What a forward without gradient takes beside the workspace; no activations lie there meanwhile."""
        return self.rows * self.plain_block

    @property
    def peak(self) -> int:
        """Bytes at the peak of a step."""
        held = self.weights + self.optimiser + max(self.workspace, self.scoring)
        if self.accumulation == 1:  # gradients come as activations go
            return held + max(self.gradients, self.activation_bytes)
        return held + self.gradients + self.activation_bytes + self.largest_gradient


def estimate_memory(trainer: Any) -> MemoryEstimate:
    """Measure and count what a step of `trainer` takes.

    The trainer's model must not checkpoint its gradients; see `with_checkpointing`.
    """
    args, model = trainer.args, trainer.model
    head = model.get_output_embeddings()
    activations = measure_activations(trainer)
    workspace = _WORKSPACE_BYTES.get(args.device.type, _ACCELERATOR_WORKSPACE_BYTES)
    return MemoryEstimate(
        weights=_bytes(model.parameters()) + _bytes(model.buffers()),
        gradients=_bytes(p for p in model.parameters() if p.requires_grad),
        largest_gradient=max((p.nbytes for p in model.parameters() if p.requires_grad), default=0),
        optimiser=optimiser_bytes(args, model),
        activations=activations,
        plain_block=activations.per_row // num_blocks(model),
        workspace_per_row=4 * widest(trainer) * head.weight.shape[0],
        workspace_most=workspace,
        rows=args.per_device_train_batch_size * (2 if args.complementary else METHODS[args.method].num_views),
        accumulation=args.gradient_accumulation_steps,
    )


def with_checkpointing(estimate: MemoryEstimate, trainer: Any) -> MemoryEstimate:
    """Return the estimate with gradient checkpointing, which this switches on in the trainer's model.

    Raises:
        LiftError: the model has no blocks to checkpoint.
    """
    options: Any = trainer.args.gradient_checkpointing_kwargs
    enable_gradient_checkpointing(trainer.model, options)
    return replace(estimate, activations=measure_activations(trainer))


def with_rows(estimate: MemoryEstimate, rows: int) -> MemoryEstimate:
    """Return the estimate of micro-batches of fewer rows and steps of as many."""
    return replace(estimate, rows=rows, accumulation=estimate.accumulation * estimate.rows // rows)


def with_lora(estimate: MemoryEstimate, model: Any, rank: int, *, weights: str = "") -> MemoryEstimate:
    """Return the estimate with LoRA on all linear layers but the head.

    Args:
        estimate: of the model trained whole.
        model: that model.
        rank: of the adapters, whose weights are float32.
        weights: "bfloat16" or "4bit" where the frozen weights are held so.
    """
    head = model.get_output_embeddings()
    linear = [module for module in model.modules() if isinstance(module, nn.Linear) and module is not head]
    adapter = 4 * rank * sum(module.in_features + module.out_features for module in linear)
    frozen = estimate.weights
    if weights == "bfloat16":
        frozen = sum(2 * p.numel() if p.is_floating_point() else p.nbytes for p in model.parameters())
    elif weights == "4bit":  # NF4 and its scales, 8 bits for each 64 and 32 for each 256 of these
        numbers = sum(module.weight.numel() for module in linear)
        held = sum(p.nbytes for p in model.parameters()) - sum(module.weight.nbytes for module in linear)
        frozen = held + numbers * 4127 // 8000
    return replace(
        estimate,
        weights=frozen + adapter,
        gradients=adapter,
        largest_gradient=0,  # that of a small matrix
        optimiser=2 * adapter,
    )


def batch_sizes(rows: int) -> Iterator[int]:
    """Yield the divisors of `rows`, the largest first."""
    return (size for size in range(rows, 0, -1) if rows % size == 0)


def _bytes(tensors: Any) -> int:
    storages = {t.untyped_storage().data_ptr() or id(t): t.untyped_storage() for t in tensors}
    return sum(storage.nbytes() for storage in storages.values())
