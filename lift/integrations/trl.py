"""TRL's `SFTTrainer` for masked diffusion: its data formats and chat templates, LIFT's forward process and loss.

TRL's own loss predicts the next token, and its `compute_loss_func` is deprecated in favour of a subclass. This is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

try:
    from trl import SFTConfig, SFTTrainer
except ImportError as error:
    raise ImportError("lift.integrations.trl needs TRL: pip install 'trl>=1'.") from error

from lift.errors import LiftError
from lift.integrations.labelled_rows import LabelledRowsCollator
from lift.objectives import LiftOptions
from lift.training import LiftTrainer


@dataclass
class LiftSFTConfig(LiftOptions, SFTConfig):
    """`trl.SFTConfig` plus `LiftOptions`.

    Raises:
        LiftError: a field is outside its range; the sentence names it.
    """

    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must stay False: the noise of a row is a function of its column example_id."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.resolve_options()
        if self.remove_unused_columns:
            raise LiftError("remove_unused_columns must be False: the noise of a row is a function of its example_id.")
        if self.packing or self.padding_free:
            raise LiftError("packing and padding_free must be False: the loss takes one example a row.")
        if self.loss_type != "nll":
            raise LiftError(f"loss_type={self.loss_type} is TRL's own loss: leave it at nll, and choose method.")


class LiftSFTTrainer(LiftTrainer, SFTTrainer):
    """`LiftTrainer` on what `trl.SFTTrainer` accepts: prompt and completion, messages, text.

    All of a row that TRL would train (`completion_only_loss`, `assistant_only_loss`) may be masked, and with
    `pad_in_loss` so may padding.

    Args:
        model: loaded, not its name.
        train_dataset, eval_dataset, kwargs: see `trl.SFTTrainer`.
        args: `LiftSFTConfig`.
        processing_class: the tokenizer.

    Raises:
        LiftError: as `LiftTrainer`; or a row has no tokens that may be masked.
    """

    @staticmethod
    def make_collator(args: Any, pad_token_id: int, **options: Any) -> LabelledRowsCollator:
        return LabelledRowsCollator(pad_token_id, pad_to_multiple_of=args.pad_to_multiple_of, **options)

    def _prepare_dataset(self, *args: Any, **kwargs: Any) -> Any:
        return super()._prepare_dataset(*args, **kwargs).map(_numbered, with_indices=True)


def _numbered(row: dict[str, Any], index: int) -> dict[str, int]:
    is_trained = [label != -100 for label in row["labels"]]
    return {"example_id": index, "prompt_length": is_trained.index(True) if any(is_trained) else len(is_trained)}
