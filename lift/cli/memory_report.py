"""The estimate of a step's peak memory in words, and what would fit it into cards of usual sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from rich.table import Table

from lift.errors import LiftError
from lift.training.memory_estimate import (
    MemoryEstimate,
    batch_sizes,
    estimate_memory,
    with_checkpointing,
    with_lora,
    with_rows,
)
from lift.training.saved_tensors import widest

_CARDS = (12, 24, 40, 80)  # GB
_USABLE = 0.9  # the rest is for what the estimate leaves out


def memory_lines(trainer: Any, *, checkpoints: bool, lora_rank: int | None) -> Iterator[Any]:
    """Yield what to print of the memory of a step.

    Args:
        trainer: a `LiftTrainer` whose model does not checkpoint its gradients; afterwards it may.
        checkpoints: whether the run does.
        lora_rank: of an adapter that could be trained instead; None where none can.
    """
    plain = estimate_memory(trainer)
    try:
        recomputing = with_checkpointing(plain, trainer)
    except LiftError:
        if checkpoints:
            raise
        recomputing = None
    used = recomputing if checkpoints and recomputing is not None else plain
    args = trainer.args
    yield f"\n[bold]memory at the peak of a step[/bold], about {shown(used.peak)}"
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    optim = getattr(args.optim, "value", args.optim)
    for name, size, remark in (
        ("weights", used.weights, ""),
        ("gradients", used.gradients, ""),
        ("optimiser state", used.optimiser, str(optim)),
        ("activations", used.activation_bytes, f"{used.rows} rows of {widest(trainer)} tokens, the widest"),
        ("workspace of the loss", used.workspace, "at most"),
        ("scoring forward", used.scoring, "while no activations lie there"),
    ):
        table.add_row(name, shown(size), remark)
    yield table
    if used.accumulation == 1:
        yield "(of gradients and activations the larger counts: the ones come as the others go)"
    choices = list(_choices(trainer, plain, recomputing, checkpoints, lora_rank))
    for card in _CARDS:
        yield f"{card} GB: {what_fits(choices, int(card * 2**30 * _USABLE), args)}"
    yield (
        "A card counts as full at 90 %: left out are the CUDA context, fragments of the allocator, buffers of DDP and "
        "shards of FSDP and DeepSpeed."
    )


def what_fits(choices: list[tuple[str, MemoryEstimate]], capacity: int, args: Any) -> str:
    """Return the first of `choices`, flags and the estimate with them, that fits `capacity` bytes, in words."""
    for flags, estimate in choices:
        for rows in batch_sizes(args.per_device_train_batch_size):
            share = args.per_device_train_batch_size // rows
            if with_rows(estimate, estimate.rows // share).peak <= capacity:
                batch = f"--per_device_train_batch_size {rows} --gradient_accumulation_steps "
                batch = f"{batch}{args.gradient_accumulation_steps * share}" if share > 1 else ""
                words = " ".join(word for word in (flags, batch) if word)
                return f"with {words}" if words else "fits"
    return "no"


def shown(size: int) -> str:
    """Return bytes as a number of GB or MB, powers of 1024."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.1f} MB"


def _choices(
    trainer: Any, plain: MemoryEstimate, recomputing: MemoryEstimate | None, checkpoints: bool, lora_rank: int | None
) -> Iterator[tuple[str, MemoryEstimate]]:
    """Yield what may be changed, the least first: flags beside those given, and the estimate with them."""
    checkpointing = "" if checkpoints else "--gradient_checkpointing true"
    if not checkpoints:
        yield "", plain
    if recomputing is not None:
        yield checkpointing, recomputing
    if lora_rank is None or hasattr(trainer.model, "peft_config"):
        return
    for weights, flag in (("", ""), ("bfloat16", "--dtype bfloat16"), ("4bit", "--load_in_4bit true")):
        if weights == "bfloat16" and trainer.model.dtype != torch.float32:
            continue
        for words, estimate in (("", plain), (checkpointing, recomputing)):
            if estimate is not None and not (checkpoints and estimate is plain):
                flags = " ".join(word for word in ("--use_peft true", flag, words) if word)
                yield flags, with_lora(estimate, trainer.model, lora_rank, weights=weights)
