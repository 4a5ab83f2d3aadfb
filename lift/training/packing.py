"""Pack the training rows where the configuration asks for it."""

from __future__ import annotations

from typing import Any

from lift.data import is_packed, pack_dataset
from lift.errors import LiftError
from lift.models.attention import check_packable
from lift.training.progress import shows_progress


def packed_as_asked(rows: Any, args: Any, model_config: Any) -> Any:
    """The training rows, packed where `args.packing` asks for it.

    Raises:
        LiftError: the rows are packed and the arguments do not say so, or the model would mix packed examples.
    """
    if not getattr(args, "packing", False):  # other trainers' configurations have no such field
        if rows is not None and is_packed(rows):
            raise LiftError("train_dataset is packed: set packing=True and pad_in_loss=False.")
        return rows
    check_packable(model_config)
    if rows is None or is_packed(rows):
        return rows
    return pack_dataset(rows, max_length=args.max_length, show_progress=shows_progress(args))
