"""`lift analyze --variance`: gradients by the trainer's own objectives, one method after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

from accelerate.utils import gather_object
from datasets import Dataset
from tqdm.auto import tqdm

from lift.analysis import AnalysisTable, GradientVariance, VarianceRecord, measure_variance
from lift.analysis.variance_figure import HEADER, variance_rows
from lift.cli.text_table import text_table
from lift.cli.variance_arguments import OBJECTIVE, objective_of
from lift.evaluation.loaded_model import LoadedModel
from lift.models.lora import unfreeze_adapter
from lift.objectives import LiftOptions
from lift.training import LiftConfig, LiftTrainer, RowGradient


def measure_variances(
    own: Any, loaded: LoadedModel, dataset: Dataset, pairs: list[tuple[int, int]], table: AnalysisTable, *,
    state: Any, facts: Mapping[str, Any],
) -> None:  # fmt: skip
    """Measure how the gradient of each method varies, and write `variance.json` beside the table.

    Args:
        own: the flags of the command.
        loaded: the model: of one with an adapter, the adapter is what is trained.
        dataset: the rows of the table.
        pairs: of these rows.
        table: of the same weights.
        state: the processes of the launch, each of which draws its share.
        facts: plain data kept with the result.

    Raises:
        LiftError: the trainer refuses model, rows or options, or a gradient is not finite.
    """
    unfreeze_adapter(loaded.model)
    found: dict[str, GradientVariance] = {}
    known: dict[str, Any] = {}
    share = len(pairs[state.process_index :: state.num_processes])
    total = len(own.variance) * share * 2 * own.variance_times * own.variance_masks
    with tqdm(
        total=total, desc="variance", unit=" gradients", dynamic_ncols=True, disable=state.process_index != 0
    ) as bar:
        for method in own.variance:
            trainer = _trainer(own, loaded, dataset, method)
            gradient = RowGradient(trainer)
            known = {"num_parameters": gradient.num_parameters, "attention": trainer.args.attention}
            known["block_size"] = trainer.args.block_size
            found[method] = measure_variance(
                gradient, pairs, num_times=own.variance_times, num_masks=own.variance_masks, rank=state.process_index,
                num_processes=state.num_processes, gather=gather_object, advance=bar.update,
            )  # fmt: skip
    if state.process_index == 0:
        settings = {name: table.settings[name] for name in ("weights", "data")} | {
            "seed": own.seed, "num_rows": 2 * len(pairs), "num_times": own.variance_times,
            "num_masks": own.variance_masks, **known, "objective": _changed(own), **facts,
        }  # fmt: skip
        record = VarianceRecord(settings, found)
        record.write(table.folder)
        print(text_table(HEADER, variance_rows(record), text_columns=(0,)))


def _changed(own: Any) -> dict[str, Any]:
    """Return the options of training that are not at their defaults."""
    return {name: value for name in OBJECTIVE if (value := getattr(own, name)) != getattr(LiftOptions, name)}


def _trainer(own: Any, loaded: LoadedModel, dataset: Dataset, method: str) -> LiftTrainer:
    mask_token_id = None if own.corruption == "uniform" else loaded.mask_token_id
    with tempfile.TemporaryDirectory(prefix="lift-variance-") as folder:  # the Trainer makes its folder
        config = LiftConfig(
            output_dir=folder, mask_token_id=mask_token_id, max_length=own.max_length, seed=own.seed,
            report_to="none", save_strategy="no", disable_tqdm=True, **objective_of(own, method),
        )  # fmt: skip
        return LiftTrainer(loaded.model, config, train_dataset=dataset, processing_class=loaded.tokenizer)
