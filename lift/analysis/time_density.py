"""Measure by which density a model's times are best drawn on some rows: P-POTS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from lift.analysis.density_fit import density_of_times, mean_and_variance, mean_square_left
from lift.analysis.loss_by_time import losses_by_time
from lift.analysis.measure import Example
from lift.analysis.plan import plan_parts, rows_of
from lift.fields import check_range, check_whole
from lift.models.batches import BatchSize
from lift_kernels.models import family_of, unwrap_model, vocab_size_of

if TYPE_CHECKING:
    from datasets import Dataset


class MeasuredTimes(NamedTuple):
    """A density over the times u in [0, 1], before their floor, and what it was made of."""

    points: NDArray[np.float64]  # (T + 1,) u from 0 to 1
    density: NDArray[np.float64]  # (T + 1,) linear between them, of integral 1
    time: NDArray[np.float64]  # (T - 1,) t of the points between the ends: the rates of the masks
    mean: NDArray[np.float64]  # (T - 1,) of a row's loss, in nats per token of its response
    variance: NDArray[np.float64]  # (T - 1,) over the masks of a row, its mean over rows
    num_units: int  # rows, or blocks, with a response
    data: str  # a name of the rows: equal where ids and responses are
    mean_square: float  # of the weighted loss at times drawn so, over that at uniform ones


def measure_times(
    model: Any, dataset: Dataset, *, mask_token_id: int, num_examples: int = 32, num_times: int = 30,
    num_masks: int = 10, smoothing: int = 1, floor: float = 0.1, time_range: Sequence[float] = (1e-3, 1.0),
    seed: int = 0, batch_size: int | str = "auto", block_size: int | None = None, from_answer: bool = False,
    show_progress: bool = True,
) -> MeasuredTimes:  # fmt: skip
    """Mask some rows several times at each of T - 1 times, and fit a density to how large their losses are and vary.

    What it returns is a function of weights, rows and arguments; batch size changes it by rounding only.

    Args:
        model: patched by `apply_lift_kernels`, whole on this process. It is asked in evaluation mode.
        dataset: of `lift.data.prepare_dataset`, not packed.
        mask_token_id: of [MASK].
        num_examples: rows, spread evenly over the data set; all where there are fewer.
        num_times: T; the times are u = 1/T, 2/T, .. 1 - 1/T.
        num_masks: of each row at each time, at least 2.
        smoothing, floor: see `density_of_times`.
        time_range: t at u = 0 and u = 1, as it will be trained.
        seed: of the masks.
        batch_size: rows a forward, or "auto".
        block_size: of a model that is trained in blocks, each of which then counts as a row.
        from_answer: these are counted anew from a row's first trained token (block_origin=answer).
        show_progress: show a bar.

    Raises:
        LiftError: an argument is out of range, data and model do not fit, or there is no finite loss.

    Source: P-POTS of StableDLLM (arXiv 2511.18159): by default its numbers of times and masks.
    """
    counts = {"num_examples": num_examples, "num_times": num_times, "num_masks": num_masks, "smoothing": smoothing}
    for name, least in (("num_examples", 1), ("num_times", 2), ("num_masks", 2), ("smoothing", 0)):
        check_whole(name, counts[name])
        check_range(name, counts[name], f"[{least}, inf)")
    check_range("floor", floor, "(0, 1]")
    batches = BatchSize(batch_size)
    inner = unwrap_model(model)
    family = family_of(inner)
    predicts_next = family is not None and family.predicts_next
    chosen = np.linspace(0, max(len(dataset) - 1, 0), min(num_examples, len(dataset))).round().astype(int)
    dataset = dataset.select(chosen)
    vocab_size = vocab_size_of(inner.get_output_embeddings())
    plan = plan_parts(dataset, vocab_size, 1, predicts_next=predicts_next)
    examples = [
        Example(number, *row)
        for number, row in zip(dataset["example_id"], rows_of(dataset, predicts_next), strict=True)
    ]  # fmt: skip
    u = np.arange(1, num_times) / num_times
    time = (time_range[1] - time_range[0]) * u + time_range[0]
    with tqdm(
        total=len(time) * num_masks * len(examples), desc="measuring", unit=" rows", dynamic_ncols=True,
        disable=not show_progress,
    ) as bar:  # fmt: skip
        losses = losses_by_time(
            model, examples, time.tolist(), num_masks=num_masks, mask_token_id=mask_token_id, seed=seed,
            batch_size=batches, block_size=block_size, from_answer=from_answer, advance=bar.update,
        )  # fmt: skip
    mean, variance = mean_and_variance(losses)
    points, density = density_of_times(u, mean, variance, smoothing=smoothing, floor=floor)
    return MeasuredTimes(
        points, density, time, mean, variance, int((~np.isnan(losses[:, 0, 0])).sum()), plan.digest,
        mean_square_left(points, density, u, mean, variance),
    )  # fmt: skip
