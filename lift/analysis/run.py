"""Make the table: each process its share of the parts, and a run that was killed only what is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from lift.analysis.measure import Example, Measurement
from lift.analysis.plan import TOKENS_A_PART, plan_parts, rows_of
from lift.analysis.table import AnalysisTable
from lift.errors import LiftError
from lift.fields import check_range
from lift.models.batches import BatchSize
from lift.objectives.forward_process import DISCRETE_TIMES
from lift_kernels.models import family_of, unwrap_model, vocab_size_of

if TYPE_CHECKING:
    from datasets import Dataset


def analyze(
    model: Any, dataset: Dataset, folder: str | os.PathLike[str], *, tokenizer: Any, mask_token_id: int,
    weights: str, ratios: Sequence[float] = DISCRETE_TIMES, seed: int = 0, batch_size: int | str = "auto",
    facts: Mapping[str, Any] | None = None, rank: int = 0, num_processes: int = 1,
    wait: Callable[[], object] = lambda: None, show_progress: bool = True, tokens_a_part: int = TOKENS_A_PART,
) -> AnalysisTable:  # fmt: skip
    """Mask each example at each ratio, and write what the model says of every masked token.

    A row of the table is a function of weights, example, ratio and seed: batch size, number of processes and a restart
    change no mask, and statistics by rounding only. One part at a time is in memory.

    Args:
        model: patched by `apply_lift_kernels`, whole on this process.
        dataset: of `lift.data.prepare_dataset`, not packed; the same on all processes.
        folder: of the table; one that was begun goes on.
        tokenizer: gives tokens their text.
        mask_token_id: of [MASK].
        weights: a name of the weights; a table goes on only with the same.
        ratios: of the mask, each in (0, 1].
        seed: of the masks.
        batch_size: rows a forward, or "auto".
        facts: plain data kept with the table.
        rank, num_processes: which process this is, of how many.
        wait: waits for all processes.
        show_progress: show a bar, on process 0.
        tokens_a_part: see `plan_parts`.

    Returns: the table, complete once every process is here.

    Raises: LiftError if a ratio or batch_size is out of range, data and model do not fit, or `folder` holds a table of
        other things.
    """
    ratios = sorted(set(ratios))
    if not ratios:
        raise LiftError("ratios must be at least one number above 0 and at most 1, got none.")
    for ratio in ratios:
        check_range("ratios", ratio, "(0, 1]")
    batches = BatchSize(batch_size)
    inner = unwrap_model(model)
    family = family_of(inner)
    predicts_next = family is not None and family.predicts_next
    vocab_size = vocab_size_of(inner.get_output_embeddings())
    plan = plan_parts(dataset, vocab_size, len(ratios), predicts_next=predicts_next, tokens_a_part=tokens_a_part)
    table = AnalysisTable(Path(folder))
    if rank == 0:
        table.begin(
            {
                "format": 2, "weights": weights, "data": plan.digest, "ratios": ratios, "seed": seed,
                "mask_token_id": mask_token_id, "num_parts": len(plan.parts), "num_examples": len(dataset),
                "num_tokens": int(plan.frequency.sum()), "vocab_size": vocab_size, **(facts or {}),
            }
        )  # fmt: skip
        numbered = zip(dataset["example_id"], rows_of(dataset, predicts_next), strict=True)
        table.write_rows((number, ids) for number, (ids, _) in numbered)
        table.write_vocabulary(
            plan.frequency, {int(token): tokenizer.decode([token]) for token in plan.is_used.nonzero()[0]}
        )
    wait()
    share = table.missing()[rank::num_processes]
    wait()  # before a part is written, or the next process would miscount
    own = range(rank, len(plan.parts), num_processes)
    pairs = [len(ratios) * len(part) for part in plan.parts]
    total, left = sum(pairs[part] for part in own), sum(pairs[part] for part in share)
    with tqdm(
        total=max(total, left), initial=max(0, total - left), desc="analysing", unit=" rows", dynamic_ncols=True,
        disable=not show_progress or rank != 0,
    ) as bar:  # fmt: skip
        measurement = Measurement(
            model, mask_token_id, ratios, seed=seed, frequency=plan.frequency, batch_size=batches,
            advance=bar.update,
        )  # fmt: skip
        for part in share:
            rows = dataset.select(plan.parts[part])
            examples = [
                Example(number, *row)
                for number, row in zip(rows["example_id"], rows_of(rows, predicts_next), strict=True)
            ]
            table.write_part(part, measurement.columns(examples))
    wait()
    return table
