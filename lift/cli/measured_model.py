"""A model and the rows that it is asked about: what `lift analyze` and `lift measure-t` begin with."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from lift.cli.measured_arguments import Parsed
from lift.errors import LiftError

if TYPE_CHECKING:
    from lift.evaluation.loaded_model import LoadedModel


class Measured(NamedTuple):
    """What was loaded, and what a record says of it."""

    loaded: LoadedModel
    dataset: Any
    """Of `lift.data.prepare_dataset`."""

    facts: dict[str, Any]
    """Plain data: command, time, model, rows, dtype, device, versions."""


def processes() -> Any:
    """Return the processes of a launch; on a machine without an accelerator they join by gloo."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.accelerator.is_available())


def open_measured(parsed: Parsed, command: str, process_index: int) -> Measured:
    """Load the model, patched, and the rows.

    Raises: LiftError for rows or a model that cannot be loaded, or a model that fills in no masks.
    """
    import transformers

    from lift.cli.run_environment import software
    from lift.evaluation.loaded_model import load
    from lift.sampling.renoised import writes_by_renoising

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    own = parsed.own
    task = _open_rows(parsed, process_index)
    loaded = load(
        own.model, tokenizer=task.tokenizer, peft=own.peft, dtype=own.dtype, trust_remote_code=own.trust_remote_code,
        mask_token_id=own.mask_token_id,
    )  # fmt: skip
    if writes_by_renoising(loaded.model):
        raise LiftError(
            f"{own.model} rewrites random tokens and fills in no masks, of which this command asks: choose a model "
            "that was trained with a mask token."
        )
    parameter = next(loaded.model.parameters())
    facts = {
        "command": command, "time": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}", "model": own.model,
        "adapter": own.peft, "description": f"{task.description}, rows to {own.rows} on",
        "dtype": str(parameter.dtype).removeprefix("torch."), "device": str(parameter.device.type),
        "versions": software()["versions"],
    }  # fmt: skip
    facts = {name: fact for name, fact in facts.items() if fact is not None}
    return Measured(loaded, task.train if own.rows == "train" else task.eval, facts)


def _open_rows(parsed: Parsed, process_index: int) -> Any:
    """Return the task that `lift train` would open with the same flags."""
    from lift.cli.arguments import ModelArguments
    from lift.cli.own_rows import open_rows
    from lift.tasks import open_task

    own = parsed.own
    # What opening rows reads of a run's configuration.
    config: Any = SimpleNamespace(
        seed=own.seed, max_length=own.max_length, mask_token_id=own.mask_token_id, disable_tqdm=False,
        process_index=process_index, corruption="mask",
    )  # fmt: skip
    if parsed.data.task is not None:
        return open_task(parsed.data.task, parsed.task, config)
    model = ModelArguments(
        model_name_or_path=own.model, tokenizer_name_or_path=own.tokenizer_name_or_path, dtype=own.dtype,
        trust_remote_code=own.trust_remote_code,
    )  # fmt: skip
    return open_rows(parsed.data, model, config)
