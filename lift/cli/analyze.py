"""`lift analyze`: what a model knows of masked tokens, as a table and a report."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lift.cli.analyze_arguments import Parsed, parse
from lift.cli.output_folder import check_writable


def run(arguments: Sequence[str]) -> None:
    """Make the table, and write figures and page; or compare two tables.

    Raises:
        LiftError: bad input, a model that cannot be loaded, or tables that do not compare.
    """
    parsed = parse(arguments)
    folder = Path(str(parsed.own.output_dir))
    check_writable(folder)
    from lift.analysis import AnalysisTable, write_report

    if parsed.own.compare is not None:
        page = write_report([AnalysisTable(Path(path)) for path in parsed.own.compare], folder)
    else:
        table, is_first = _measure(parsed, shlex.join(["lift", "analyze", *arguments]))
        if not is_first:
            return
        page = write_report([table], folder)
    print(f"the report: {page}")


def _measure(parsed: Parsed, command: str) -> tuple[Any, bool]:
    """Make the table, and return it, and whether this is the first process."""
    import transformers
    from accelerate import PartialState

    from lift.analysis import analyze
    from lift.cli.run_environment import software
    from lift.evaluation.loaded_model import load
    from lift.evaluation.weights_digest import weights_digest
    from lift.objectives.forward_process import DISCRETE_TIMES

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    own = parsed.own
    state = _processes()
    task = _open_rows(parsed, state.process_index)
    dataset = task.train if own.rows == "train" else task.eval
    if own.limit is not None:
        dataset = dataset.select(range(min(own.limit, len(dataset))))
    loaded = load(
        own.model, tokenizer=task.tokenizer, peft=own.peft, dtype=own.dtype, trust_remote_code=own.trust_remote_code,
        mask_token_id=own.mask_token_id,
    )  # fmt: skip
    parameter = next(loaded.model.parameters())
    facts = {
        "command": command, "time": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}", "model": own.model,
        "adapter": own.peft, "description": f"{task.description}, rows to {own.rows} on",
        "dtype": str(parameter.dtype).removeprefix("torch."), "device": str(parameter.device.type),
        "versions": software()["versions"],
    }  # fmt: skip
    table = analyze(
        loaded.model, dataset, own.output_dir or "", tokenizer=loaded.tokenizer, mask_token_id=loaded.mask_token_id,
        weights=weights_digest(loaded.model), ratios=own.ratios or DISCRETE_TIMES, seed=own.seed,
        batch_size=own.batch_size, facts={name: fact for name, fact in facts.items() if fact is not None},
        rank=state.process_index, num_processes=state.num_processes, wait=state.wait_for_everyone,
    )  # fmt: skip
    PartialState().destroy_process_group()
    return table, state.process_index == 0


def _processes() -> Any:
    """Return the processes of a launch; on a machine without an accelerator they join by gloo."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.accelerator.is_available())


def _open_rows(parsed: Parsed, process_index: int) -> Any:
    """Return the task that `lift train` would open with the same flags."""
    from lift.cli.arguments import ModelArguments
    from lift.cli.own_rows import open_rows
    from lift.tasks import open_task

    own = parsed.own
    # What opening rows reads of a run's configuration.
    config: Any = SimpleNamespace(
        seed=own.seed, max_length=own.max_length, mask_token_id=own.mask_token_id, disable_tqdm=False,
        process_index=process_index,
    )  # fmt: skip
    if parsed.data.task is not None:
        return open_task(parsed.data.task, parsed.task, config)
    model = ModelArguments(
        model_name_or_path=own.model, dtype=own.dtype, trust_remote_code=own.trust_remote_code
    )  # fmt: skip
    return open_rows(parsed.data, model, config)
