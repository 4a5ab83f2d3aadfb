"""The user's own rows: the `Task` of a run that names no built-in one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset

from lift.cli.arguments import DataArguments, ModelArguments
from lift.cli.loading import load_config, load_tokenizer
from lift.data import is_hub_id, load_rows, prepare_dataset, resolve_mask_token_id
from lift.errors import LiftError
from lift.models import resolve_package_path
from lift.tasks import Metrics, Task
from lift.training import LiftConfig
from lift.training.progress import shows_progress

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedTokenizerBase


@dataclass
class OwnRows:
    """Rows that are scored by the evaluation loss alone, as nothing else is known of them."""

    description: str
    tokenizer: PreTrainedTokenizerBase
    train: Dataset
    eval: Dataset

    def score(self, model: Any) -> Metrics:
        """Return nothing beyond the evaluation loss."""
        return {}

    def sentence(self, metrics: Metrics) -> str:
        """Say the evaluation loss."""
        return f"evaluation loss {metrics['eval_loss']:.3f}"

    def report(self, console: Console, model: Any, output: Path) -> None:
        """Show nothing: no example speaks for all."""

    def draw(self, before: Metrics, after: Metrics, output: Path) -> None:
        """Draw nothing beyond the loss curve of every run."""


def open_rows(data: DataArguments, model: ModelArguments, config: LiftConfig) -> Task:
    """Load and tokenise the rows of `train_data`, and of `eval_data` or the last rows of `train_data` to evaluate on.

    Raises:
        LiftError: rows, columns, tokenizer or mask token are missing or do not fit.
    """
    train_data = resolve_package_path(str(data.train_data))
    rows = load_rows(train_data, split=data.train_split, name=_hub_name(train_data, data), limit=data.max_train_rows)
    if data.eval_data is None:
        num_eval = min(data.num_eval_rows, len(rows) // 2)
        if num_eval < 1:
            raise LiftError(
                f"train_data {data.train_data} has {len(rows)} rows, too few to hold any out: pass --eval_data."
            )
        rows, eval_rows = rows.select(range(len(rows) - num_eval)), rows.select(range(len(rows) - num_eval, len(rows)))
    else:
        eval_data = resolve_package_path(data.eval_data)
        name = _hub_name(eval_data, data)
        eval_rows = load_rows(eval_data, split=data.eval_split, name=name, limit=data.num_eval_rows)
    tokenizer = load_tokenizer(model)
    mask_token_id = resolve_mask_token_id(tokenizer, config.mask_token_id, config=load_config(model, tokenizer))

    def prepare(dataset: Dataset) -> Dataset:
        return prepare_dataset(
            dataset,
            tokenizer,
            max_length=config.max_length,
            truncation=data.truncation,
            prompt_boundary=data.prompt_boundary,
            data_format=data.data_format,
            prompt_column=data.prompt_column,
            completion_column=data.completion_column,
            messages_column=data.messages_column,
            mask_token_id=mask_token_id,
            show_progress=shows_progress(config),
        )

    return OwnRows(str(data.train_data), tokenizer, train=prepare(rows), eval=prepare(eval_rows))


def _hub_name(source: str, data: DataArguments) -> str | None:
    """A preset may name a Hub configuration beside a source that the user replaces by a local file."""
    return data.data_name if is_hub_id(source) else None
