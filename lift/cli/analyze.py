"""`lift analyze`: what a model knows of masked tokens, as a table and a report."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lift.cli.analyze_arguments import parse
from lift.cli.heavy_imports import heavy_imports
from lift.cli.measured_arguments import Parsed
from lift.cli.output_folder import check_writable

logger = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> None:
    """Make the table, measure variances where they are asked for, and write figures and page; or compare two tables.

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


def warn_of_blocks(model: Any) -> None:
    """Warn where the table is of whole rows, and the model was trained to see no later block."""
    from lift.models.saved_record import block_size_of
    from lift.models.training_record import training_record
    from lift_kernels.models import family_of, unwrap_model

    family = family_of(unwrap_model(model))
    if block_size_of(training_record(model)) or (family is not None and family.attention == "block"):
        logger.warning(
            "the model writes text in blocks, and the table is of whole rows, in which it sees later tokens too: "
            "compare it with tables of its own kind alone"
        )


def _measure(parsed: Parsed, command: str) -> tuple[Any, bool]:
    """Make the table, and return it, and whether this is the first process."""
    with heavy_imports():
        from accelerate import PartialState

        from lift.analysis import analyze, choose_pairs
        from lift.cli.analyze_variance import measure_variances
        from lift.cli.measured_model import open_measured, processes
        from lift.evaluation.weights_digest import weights_digest
        from lift.objectives.forward_process import DISCRETE_TIMES

    own = parsed.own
    state = processes()
    measured = open_measured(parsed, command, state.process_index)
    dataset, loaded = measured.dataset, measured.loaded
    if state.process_index == 0:
        warn_of_blocks(loaded.model)
    if own.limit is not None:
        dataset = dataset.select(range(min(own.limit, len(dataset))))
    pairs = None if own.variance is None else choose_pairs(len(dataset), own.variance_rows, own.seed)
    table = analyze(
        loaded.model, dataset, own.output_dir or "", tokenizer=loaded.tokenizer, mask_token_id=loaded.mask_token_id,
        weights=weights_digest(loaded.model), ratios=own.ratios or DISCRETE_TIMES, seed=own.seed,
        batch_size=own.batch_size, facts=measured.facts, rank=state.process_index, num_processes=state.num_processes,
        wait=state.wait_for_everyone,
    )  # fmt: skip
    if pairs is not None:
        measure_variances(own, loaded, dataset, pairs, table, state=state, facts=measured.facts)
    PartialState().destroy_process_group()
    return table, state.process_index == 0
