"""Arguments of transformers that LIFT's trainers would take and not honour: one table, each with what to do instead.

Not in it are those that work, and those that are about speed or memory alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lift.errors import LiftError


class _Field(NamedTuple):
    harmless: tuple[Any, ...]
    """The values that ask for nothing."""

    reason: str
    """What follows `NAME=VALUE` in the sentence."""


_NO_METRICS = "is for compute_metrics, and LIFT's evaluation gives its loss alone, without logits: leave it out."
_OWN_EVALUATION = "would take the evaluation away from LIFT's, which draws the masks: leave it out."
_OWN_KERNELS = "would patch the model a second time, whose loss LIFT fuses already: leave it out."

# Fields of TrainingArguments, of any release from 4.57; one that a release lacks asks for nothing.
_FIELDS = {
    "label_smoothing_factor": _Field(
        (0,), "has no effect, as LIFT's fused loss has no label smoothing: leave it at 0."
    ),
    "label_names": _Field(
        ([], ["labels"]), "names columns, and LIFT makes the labels itself, of the tokens that it masks: leave it out."
    ),
    "include_inputs_for_metrics": _Field((False,), _NO_METRICS),
    "include_for_metrics": _Field(([],), _NO_METRICS),
    "batch_eval_metrics": _Field((False,), _NO_METRICS),
    "eval_do_concat_batches": _Field((True,), "is about predictions, and LIFT's evaluation makes none: leave it out."),
    "eval_use_gather_object": _Field((False,), "is about predictions, and LIFT's evaluation makes none: leave it out."),
    "past_index": _Field((-1,), "is for models that read from left to right: leave it at -1."),
    "use_cache": _Field((False,), "is for models that read from left to right: leave it out."),
    "use_legacy_prediction_loop": _Field((False,), _OWN_EVALUATION),
    "jit_mode_eval": _Field((False,), _OWN_EVALUATION),
    "use_liger_kernel": _Field((False,), _OWN_KERNELS),
    "liger_kernel_config": _Field((), _OWN_KERNELS),
}

# The same for fields that have no effect, or a wrong one, in several processes alone.
_FIELDS_OF_SEVERAL_PROCESSES = {
    "average_tokens_across_devices": _Field(
        (True,), "has no effect, as LIFT counts the tokens of all processes: leave it out, or set loss_normalizer."
    ),
}
_LOADER_OF_SEVERAL_PROCESSES = {
    "dispatch_batches": _Field(
        (False,), "hands rows out without their names, which the noise is drawn by: set it to false."
    ),
    "even_batches": _Field(
        (True,), "leaves processes without a batch while the others wait for their gradients: leave it at true."
    ),
}

_CALLABLES = {
    "compute_loss_func": "LiftTrainer has its own loss: leave compute_loss_func out, or use transformers.Trainer.",
    "compute_metrics": (
        "compute_metrics would never be called, as LIFT's evaluation gives its loss alone, without logits: leave it "
        "out, and score what the model generates, in a callback's on_evaluate for instance."
    ),
    "preprocess_logits_for_metrics": (
        "preprocess_logits_for_metrics would never be called, as LIFT's evaluation makes no logits: leave it out."
    ),
}


def check_supported(args: Any) -> None:
    """Check that training arguments ask for nothing that LIFT's trainers do not do.

    Args:
        args: `transformers.TrainingArguments` or what derives from it.

    Raises:
        LiftError: a field has no effect here, or a wrong one; the sentence names it.
    """
    _check_fields(args, _FIELDS)
    if args.world_size > 1:
        _check_fields(args, _FIELDS_OF_SEVERAL_PROCESSES)
        _check_fields(args.accelerator_config, _LOADER_OF_SEVERAL_PROCESSES, prefix="accelerator_config.")
    if args.fp16 and args.device.type == "cpu":
        raise LiftError("fp16=True has no effect on a CPU: leave it out, or set bf16=True.")
    if args.include_num_input_tokens_seen == "non_padding" and getattr(args, "packing", False):
        raise LiftError(
            "include_num_input_tokens_seen=non_padding would count pairs of tokens in packed rows: set it to all."
        )
    _check_parallelism(getattr(args, "parallelism_config", None))


def check_callables(given: Mapping[str, Any]) -> None:
    """Raise LiftError if the arguments `given` to a trainer have a function that it would never call."""
    for name, sentence in _CALLABLES.items():
        if given.get(name) is not None:
            raise LiftError(sentence)


def check_full_evaluation(args: Any) -> None:
    """Raise LiftError where an evaluation would leave the weights that are trained after it in a narrow dtype."""
    for name in ("bf16_full_eval", "fp16_full_eval"):
        if getattr(args, name):
            raise LiftError(
                f"{name}=True rounds the weights themselves, and training would go on with what is left of them: set "
                f"{name[:4]}=True instead, or evaluate in a trainer without train_dataset."
            )


def _check_fields(args: Any, fields: Mapping[str, _Field], *, prefix: str = "") -> None:
    for name, field in fields.items():
        value = getattr(args, name, None)
        if value is not None and value not in field.harmless:
            raise LiftError(f"{prefix}{name}={value} {field.reason}")


def _check_parallelism(config: Any) -> None:
    for kind in ("tp", "cp", "sp"):
        if (size := getattr(config, f"{kind}_size", None) or 1) > 1:
            raise LiftError(
                f"parallelism_config with {kind}_size={size} splits rows or layers over processes, and LIFT trains "
                "whole rows on each: use data parallelism, FSDP or DeepSpeed."
            )
