"""What a checkpoint says of the run that wrote it, so that a resume can say what it does otherwise."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from transformers.trainer_utils import has_length

from lift.atomic_write import atomic_write
from lift.errors import LiftError
from lift.objectives import LiftOptions
from lift.training.batch_options import BatchOptions

logger = logging.getLogger(__name__)

FILE = "lift_settings.json"

# The fields of TrainingArguments, of any release, that a step depends on. Not those that say how long the run is, where
# it writes and what it logs.
_SETTINGS = (
    "seed", "data_seed", "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio",
    "optim", "optim_args", "optim_target_modules", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon",
    "max_grad_norm", "bf16", "fp16", "neftune_noise_alpha", "dataloader_drop_last", "train_sampling_strategy",
    "group_by_length",
)  # fmt: skip
_SPLIT = ("per_device_train_batch_size", "gradient_accumulation_steps", "num_processes")
_LENGTH = ("max_steps", "num_train_epochs")
_COLUMNS = (
    "input_ids",
    "labels",
    "prompt_length",
    "example_id",
    "segment_lengths",
    "segment_prompt_lengths",
    "response_spans",
)
_MOST_ROWS = 1000  # that are read for the fingerprint, evenly spread


def write_settings(trainer: Any, folder: Path) -> None:
    """Leave the record of `trainer` in a checkpoint's folder, which is made if it is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / FILE) as file:
        file.write(json.dumps(settings_of(trainer), indent=2).encode() + b"\n")


def settings_of(trainer: Any) -> dict[str, Any]:
    """Return what a step of `trainer` depends on, as JSON gives it back.

    Keys: `settings`, by field; `split`, of a step into micro-batches; `length` of the run; `train_dataset`, the number
    of its rows and a fingerprint of their tokens; and `has_optimizer`.
    """
    args = trainer.args
    names = (*_SETTINGS, *(field.name for of in (LiftOptions, BatchOptions) for field in dataclasses.fields(of)))
    record = {
        "settings": {n: getattr(args, n) for n in names if hasattr(args, n) and not n.startswith("eval_")}
        | {
            "mask_token_id": trainer.mask_token_id,
            "pad_token_id": getattr(trainer.data_collator, "pad_token_id", None),
            "content of time_density": _density_digest(trainer),
        },
        "split": {
            "per_device_train_batch_size": args.per_device_train_batch_size,
            "gradient_accumulation_steps": args.gradient_accumulation_steps,
            "num_processes": args.world_size,
        },
        "length": {name: getattr(args, name) for name in _LENGTH},
        "train_dataset": fingerprint(trainer.train_dataset),
        "has_optimizer": not args.save_only_model,
    }
    plain: dict[str, Any] = json.loads(json.dumps(record, default=str))
    return plain


def _density_digest(trainer: Any) -> str | None:
    """Return a digest of the density that times are drawn by: its file may have changed under the same name."""
    points = trainer._batches.density_points
    return None if points is None else hashlib.blake2b(repr(points).encode(), digest_size=8).hexdigest()


def fingerprint(rows: Any) -> dict[str, Any]:
    """Return the number of `rows` and a digest of the tokens of at most a thousand of them, evenly spread.

    Rows without a length give neither.
    """
    if not has_length(rows):
        return {"rows": None, "digest": None}
    by_number: Any = rows
    digest = hashlib.blake2b(digest_size=8)
    num_rows = len(rows)
    for index in np.linspace(0, max(num_rows - 1, 0), min(num_rows, _MOST_ROWS)).round().astype(int).tolist():
        row = by_number[index]
        for column in _COLUMNS:
            if isinstance(row, Mapping) and row.get(column) is not None:
                digest.update(column.encode() + np.asarray(row[column], dtype=np.int64).tobytes())
    return {"rows": num_rows, "digest": digest.hexdigest()}


def compare_settings(trainer: Any, checkpoint: Path) -> None:
    """Warn, in one sentence, of what `trainer` does otherwise than the run that wrote `checkpoint`.

    Another length, and another split of steps that are equal but for it, are only mentioned. A checkpoint without a
    record is taken as it is.
    """
    before = _record_in(checkpoint)
    if before is None:
        return
    now = settings_of(trainer)
    changed = _changes(before, now, "settings")
    silent = _changes(before, now, "length")
    (silent if _is_same_step(before, now) else changed).extend(_changes(before, now, "split"))
    changed += _changes_of_rows(before.get("train_dataset", {}), now["train_dataset"])
    if not before.get("has_optimizer", True):
        changed.append("optimizer: it starts anew, as save_only_model left its state out")
    if changed:
        logger.warning(
            "the run that goes on from %s is not the one that wrote it, as these differ: %s.", checkpoint,
            "; ".join(changed),
        )  # fmt: skip
    if silent:
        logger.info("going on from %s with %s.", checkpoint, "; ".join(silent))


def check_attention(attention: str | None, checkpoint: Path, *, is_given: bool) -> None:
    """Refuse to go on in blocks, which nobody asked for, where the run that wrote `checkpoint` attended to whole rows.

    A record without attention, or none at all, is of a release that knew no blocks.

    Args:
        attention: of this run.
        checkpoint: what it goes on from.
        is_given: somebody chose it; else it is that of the model's family.

    Raises:
        LiftError: it does.
    """
    if is_given or attention != "block":
        return
    before = (_record_in(checkpoint) or {}).get("settings", {})
    if before.get("attention") != "block":
        raise LiftError(
            f"the run that wrote {checkpoint} attended to whole rows, and by default its model is now trained in "
            "blocks: set attention=full to go on as it began, or attention=block to go over to blocks."
        )


def _record_in(checkpoint: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((checkpoint / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> list[str]:
    """Name what both records know and is not the same."""
    old, new = before.get(key, {}), now[key]
    return [f"{name} {old[name]} -> {new[name]}" for name in new if name in old and old[name] != new[name]]


def _is_same_step(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a step has as many rows as it had, and does not depend on how they are split into micro-batches."""
    settings = now["settings"]
    of_micro_batch = (
        ("loss_normalizer", "micro_batch"), ("loss_normalizer", "trained"), ("mode_scope", "batch"),
        ("method", "confidence"),
    )  # fmt: skip
    depends = any(settings.get(name) == value for name, value in of_micro_batch)
    sizes = [np.prod([record.get("split", {}).get(name, 1) for name in _SPLIT]) for record in (before, now)]
    return bool(sizes[0] == sizes[1]) and not depends


def _changes_of_rows(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    if old.get("rows") is None or new["rows"] is None or old == new:
        return []
    other = "other " if old["rows"] == new["rows"] else ""
    return [f"train_dataset {old['rows']} rows -> {new['rows']} {other}rows"]
