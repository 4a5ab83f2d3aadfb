"""The user's own rows: the `Task` of a run that names no built-in one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from lift.cli.arguments import DataArguments, ModelArguments
from lift.cli.loading import load_config, load_tokenizer
from lift.data import frame_of_rows, is_hub_id, prepare_dataset, resolve_mask_token_id
from lift.data.chosen_template import set_chat_template
from lift.data.loading import load_named_rows
from lift.data.row_names import RowNames
from lift.errors import LiftError
from lift.models import resolve_package_path
from lift.tasks import Metrics, Task
from lift.training import LiftConfig
from lift.training.progress import shows_progress

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_NUM_EVAL_ROWS = 100  # unless more or fewer are asked for


@dataclass
class OwnRows:
    """Rows that are scored by the evaluation loss alone, as nothing else is known of them."""

    description: str
    tokenizer: PreTrainedTokenizerBase
    train: Dataset
    eval: Dataset
    record: Mapping[str, str]

    def score(self, model: Any) -> Metrics:
        """Return nothing beyond the evaluation loss."""
        return {}

    def sentence(self, metrics: Metrics) -> str:
        """Say the evaluation loss."""
        return f"evaluation loss {metrics['eval_loss']:.3f}"

    def report(self, console: Console, model: Any, output: Path) -> None:
        """Show nothing: no example speaks for all."""

    def draw(
        self, before: Metrics, after: Metrics, output: Path, *, subtitle: str = "", formats: Sequence[str] = ("png",)
    ) -> None:
        """Draw nothing beyond the loss curve of every run."""


def open_rows(data: DataArguments, model: ModelArguments, config: LiftConfig) -> Task:
    """Load and tokenise the rows of `train_data`, and of `eval_data` or the last rows of `train_data` to evaluate on.

    Raises:
        LiftError: rows, columns, tokenizer or mask token are missing or do not fit.
    """
    train_data = _source(data.train_data or [])
    rows, names = load_named_rows(
        train_data, split=data.train_split, name=_hub_name(train_data, data), limit=data.max_train_rows
    )
    if data.eval_data is None:
        num_train = len(rows) - _num_held_out(data, len(rows))
        rows, eval_rows = rows.select(range(num_train)), rows.select(range(num_train, len(rows)))
        eval_names = names.after(num_train)
    else:
        eval_data = _source(data.eval_data)
        name = _hub_name(eval_data, data)
        limit = _NUM_EVAL_ROWS if data.num_eval_rows is None else data.num_eval_rows
        eval_rows, eval_names = load_named_rows(eval_data, split=data.eval_split, name=name, limit=limit)
        if len(eval_rows) < (data.num_eval_rows or 0):
            logger.warning(
                f"eval_data has {len(eval_rows)} rows, fewer than num_eval_rows={limit}: all are evaluated on."
            )
    tokenizer = load_tokenizer(model)
    set_chat_template(tokenizer, data.chat_template, data.template_kwargs())
    mask_token_id = None
    if config.corruption == "mask":
        mask_token_id = resolve_mask_token_id(tokenizer, config.mask_token_id, config=load_config(model, tokenizer))

    def prepare(dataset: Dataset, row_names: RowNames) -> Dataset:
        return prepare_dataset(
            dataset,
            tokenizer,
            max_length=config.max_length,
            truncation=data.truncation,
            prompt_boundary=data.prompt_boundary,
            assistant_turns=data.assistant_turns,
            data_format=data.data_format,
            prompt_column=data.prompt_column,
            completion_column=data.completion_column,
            messages_column=data.messages_column,
            mask_token_id=mask_token_id,
            row_names=row_names,
            show_progress=shows_progress(config),
        )

    frame = frame_of_rows(rows, data.data_format, data.prompt_column, data.completion_column, data.messages_column)
    prepared = prepare(rows, names), prepare(eval_rows, eval_names)
    return OwnRows(", ".join(data.train_data or []), tokenizer, *prepared, frame.record)


def _num_held_out(data: DataArguments, num_rows: int) -> int:
    named = f"train_data {', '.join(data.train_data or [])}"
    if num_rows < 2 and data.max_train_rows == num_rows:
        raise LiftError(
            f"max_train_rows={num_rows} takes one row of {named}, too few to hold any out: take more, or pass "
            "--eval_data."
        )
    if num_rows < 2:
        raise LiftError(f"{named} has one row, too few to hold any out: pass --eval_data.")
    if data.num_eval_rows is None:
        return min(_NUM_EVAL_ROWS, num_rows // 2)
    if data.num_eval_rows >= num_rows:
        taken = "" if data.max_train_rows != num_rows else f" that max_train_rows={num_rows} takes"
        raise LiftError(
            f"num_eval_rows={data.num_eval_rows} leaves none of the {num_rows} rows of train_data{taken} to train on: "
            "ask for fewer, or pass --eval_data."
        )
    return data.num_eval_rows


def _source(names: list[str]) -> str | list[str]:
    """Return what `load_rows` takes: a list is one of files, and a single name may be a Hub id too."""
    paths = [resolve_package_path(name) for name in names]
    return paths[0] if len(paths) == 1 else paths


def _hub_name(source: str | list[str], data: DataArguments) -> str | None:
    """A preset may name a Hub configuration beside a source that the user replaces by a local file."""
    return data.data_name if isinstance(source, str) and is_hub_id(source) else None
