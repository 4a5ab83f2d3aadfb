"""The flags of `lift train` that neither `LiftConfig` nor a task brings, as dataclasses. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lift.cli.json_mapping import parse_mapping
from lift.data import DATA_FORMATS
from lift.data.chosen_template import check_template_kwargs, read_chat_template, template_names
from lift.data.named_formats import check_data_format
from lift.errors import LiftError
from lift.fields import check_fields, option
from lift.models.lora import LoraArguments
from lift.report.figure import FORMATS, check_formats
from lift.tasks import TASKS


@dataclass
class ModelArguments(LoraArguments):
    """Which model to fine-tune, and whether whole or by a LoRA adapter."""

    model_name_or_path: str | None = option(
        None, "A folder, a Hub id, or package:NAME/FOLDER for weights inside an installed package."
    )
    model_config: str | None = option(
        None, "A configuration (mapping, JSON on the command line) to build a new model from instead."
    )
    tokenizer_name_or_path: str | None = option(None, "A folder or a Hub id; by default the model's own.")
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = option(
        "float32", "Of the weights; auto takes that of the saved ones."
    )
    trust_remote_code: bool = option(False, "Run Python code that comes with the model, as LLaDA's and Dream's does.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, ModelArguments)

    def check_model(self) -> None:
        """Raise LiftError unless there is one model, and it has what the other arguments take from it."""
        if self.model_name_or_path == "" or (self.model_name_or_path is None) == (self.model_config is None):
            raise LiftError("pass either --model_name_or_path or --model_config, and only one of them.")
        if self.dtype == "auto" and self.model_name_or_path is None:
            raise LiftError("dtype=auto takes that of saved weights, and model_config has none: name one.")
        if self.use_peft and self.model_name_or_path is None:
            raise LiftError(
                "use_peft needs a model that was saved, as only the adapter is kept: pass --model_name_or_path."
            )


@dataclass
class DataArguments:
    """Which rows to train on."""

    task: str | None = option(None, f"A built-in task that generates its own data: {', '.join(TASKS)}.")
    train_data: list[str] | None = option(
        None,
        "Files (.jsonl, .json, .csv, .tsv, also with .gz; .parquet): one, several, or a pattern in quotes. Or a saved "
        "data set's folder, or a Hub id.",
    )
    train_split: str | None = option(None, "Split of train_data, for instance train.")
    eval_data: list[str] | None = option(None, "Rows to evaluate on, as train_data; else rows of train_data.")
    eval_split: str | None = option(None, "Split of eval_data.")
    data_name: str | None = option(None, "Configuration of a Hub data set; unused for local files.")
    num_eval_rows: int | None = option(
        None,
        "Rows to evaluate on, of eval_data, or of the end of train_data, which then does not train on them; by default "
        "100, and at most half of train_data.",
        within="[1, inf)",
    )
    max_train_rows: int | None = option(None, "Use only the first rows.", within="[1, inf)")
    data_format: str | None = option(
        None, f"Format of a public data set's rows: {', '.join(DATA_FORMATS)}. By default the columns decide."
    )
    prompt_column: str | None = option(None, "Column of the prompts; by default prompt.")
    completion_column: str | None = option(None, "Column of the responses; by default completion.")
    messages_column: str | None = option(
        None, "Column of whole conversations; by default messages, if there are not also prompt and completion."
    )
    assistant_turns: Literal["last", "all"] = option(
        "last",
        "Answers of a conversation that are trained: the last, or all, as with TRL's assistant_only_loss.",
    )
    chat_template: str | None = option(
        None,
        f"Form of a conversation: {', '.join(template_names())}, or a file of Jinja; kept with the model. By default "
        "the tokenizer's own.",
    )
    chat_template_kwargs: str | None = option(
        None,
        'Variables of the chat template (mapping, JSON on the command line), such as {"enable_thinking": false}; kept '
        "with it.",
    )
    prompt_boundary: Literal["generation_prompt", "user_turn_newline"] = option(
        "generation_prompt",
        "Where a chat template's prompt ends: where a sampler starts, or before the assistant's header, as in the "
        "published code.",
    )
    truncation: Literal["right", "filter"] = option(
        "right", "What to do with longer rows: right cuts their response, filter drops them."
    )

    def __post_init__(self) -> None:
        check_fields(self, DataArguments)
        self.train_data, self.eval_data = _as_list(self.train_data), _as_list(self.eval_data)
        if self.data_format is not None:
            check_data_format(self.data_format)
        if self.chat_template is not None:
            read_chat_template(self.chat_template)
        check_template_kwargs(self.template_kwargs())

    def template_kwargs(self) -> dict[str, Any]:
        """Return the mapping that `chat_template_kwargs` writes; an empty one without it."""
        given = self.chat_template_kwargs
        return {} if given is None else parse_mapping("chat_template_kwargs", given)

    def check_source(self) -> None:
        """Raise LiftError unless the rows have one source, a task or data, and a split has data to be one of."""
        if self.task is not None and self.train_data is not None:
            raise LiftError("pass either --task or --train_data, not both.")
        if self.eval_split is not None and self.eval_data is None:
            raise LiftError(
                "eval_split belongs to eval_data: pass --eval_data too, train_data's or another, or leave it out."
            )
        if self.task is None and not any(self.train_data or ()):
            raise LiftError(
                f"no training data: pass --train_data FILE_OR_HUB_ID, --task {'|'.join(TASKS)}, or --preset NAME."
            )


def _as_list(source: str | list[str] | None) -> list[str] | None:
    """Return the names of a source, which code may give as one string."""
    return [source] if isinstance(source, str) else source


@dataclass
class RunArguments:
    """How this run treats its output folder, and when it ends before its last step."""

    overwrite_output_dir: bool = option(
        False,
        "Start anew, and delete output_dir with all an earlier run left there, once the first step is taken.",
    )
    dry_run: bool = option(
        False,
        "Load everything and show what would be trained: lengths, rows as the model sees them, steps and memory; train "
        "nothing, write nothing. output_dir may be left out.",
    )
    early_stopping_patience: int | None = option(
        None,
        "Stop when this many evaluations in a row brought no better metric_for_best_model, and go back to the best "
        "checkpoint. Unless they are set, the metric is eval_loss, load_best_model_at_end is true, and each evaluation "
        "has its checkpoint.",
        within="[1, inf)",
    )

    figure_formats: list[str] | None = option(
        None, f"Formats of the run's pictures, some of {', '.join(FORMATS)}; by default png."
    )

    eval_tasks: str | None = option(
        None,
        "Tasks of lift eval, with commas between, to score the model on as it trains; the scores, with n and 95 % "
        "interval, go to report_to. The training is the same with and without.",
    )
    eval_task_every: int | None = option(
        None, "Optimiser steps between two scores of eval_tasks; by default a tenth of the run.", within="[1, inf)"
    )
    eval_task_files: list[str] | None = option(
        None, "TASK=FILE ...: local rows of a task of eval_tasks, in place of the Hub's."
    )
    eval_task_sampling: str | None = option(
        None,
        "How eval_tasks are answered (mapping, JSON on the command line): settings of lift eval, such as "
        '{"sampler": "llada", "gen_length": 128}.',
    )
    eval_task_limit: int = option(100, "Use the first documents of a task of eval_tasks only.", within="[1, inf)")

    def __post_init__(self) -> None:
        check_fields(self, RunArguments)
        check_formats(self.figure_formats or ())
        for name in ("eval_task_every", "eval_task_files", "eval_task_sampling"):
            if getattr(self, name) is not None and not self.eval_tasks:
                raise LiftError(f"{name} belongs to eval_tasks: name the tasks too, or leave it out.")
        self.task_sampling()

    def task_sampling(self) -> dict[str, Any]:
        """Return the mapping that `eval_task_sampling` writes; an empty one without it."""
        given = self.eval_task_sampling
        return {} if given is None else parse_mapping("eval_task_sampling", given)
