"""`lift measure-t`: by which density the times of a training are best drawn, as a file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lift.cli.heavy_imports import heavy_imports
from lift.cli.measure_t_arguments import parse
from lift.cli.measured_arguments import Parsed
from lift.cli.output_file import check_output_file
from lift.cli.text_table import text_table
from lift.errors import LiftError

if TYPE_CHECKING:
    from lift.analysis import MeasuredTimes

_MOST_LINES = 10  # of the table on the screen; the file has every time


def run(arguments: Sequence[str]) -> None:
    """Measure, write the file, and print what was found at some of the times.

    Raises:
        LiftError: bad input, a model that cannot be loaded or trained so, or a file that cannot be written.
    """
    parsed = parse(arguments)
    path = Path(str(parsed.own.output))
    check_output_file(path, "--output")
    _check_replaceable(path)
    found, record = _measure(parsed, shlex.join(["lift", "measure-t", *arguments]))
    from lift.objectives.time_density_file import DensityPoints, write_time_density

    points = DensityPoints(tuple(found.points.tolist()), tuple(found.density.tolist()), record.pop("time_range"))
    write_time_density(path, points, record)
    print(_table(found))
    print(f"\nthe mean square of a row's loss is {found.mean_square:.2f} of that at uniform times, as measured")
    print(f"the density: {path}    (lift train --method ppots --time_density {shlex.quote(str(path))} ...)")


def _measure(parsed: Parsed, command: str) -> tuple[MeasuredTimes, dict[str, Any]]:
    """Return what was measured, and what the file says of it beside the density."""
    with heavy_imports():
        from lift.analysis import measure_times
        from lift.cli.measured_model import open_measured, processes
        from lift.evaluation.weights_digest import weights_digest
        from lift.training.block_mode import resolve_attention
        from lift_kernels import apply_lift_kernels
        from lift_kernels.models import find_model_family, unwrap_model

    own = parsed.own
    if processes().num_processes > 1:
        raise LiftError("lift measure-t runs in one process: start it without a launcher.")
    measured = open_measured(parsed, command, 0)
    model, mask_token_id = measured.loaded.model, measured.loaded.mask_token_id
    options = own.training_options()
    resolve_attention(options, model, find_model_family(unwrap_model(model)))
    if own.exclude_mask_token:
        apply_lift_kernels(model, exclude_index=mask_token_id)
    time_range = tuple(own.time_range or (own.time_epsilon, 1.0))
    settings = {name: getattr(own, name) for name in ("num_times", "num_masks", "smoothing", "floor", "seed")}
    found = measure_times(
        model, measured.dataset, mask_token_id=mask_token_id, num_examples=own.num_examples, time_range=time_range,
        batch_size=own.batch_size, block_size=options.block_size, from_answer=options.block_origin == "answer",
        **settings,
    )  # fmt: skip
    record = {
        "time_range": time_range,
        "measured": {"time": found.time.tolist(), "mean": found.mean.tolist(), "variance": found.variance.tolist()},
        "settings": settings | {
            "num_examples": min(own.num_examples, len(measured.dataset)), "attention": options.attention,
            "block_size": options.block_size, "block_origin": options.block_origin,
            "exclude_mask_token": own.exclude_mask_token, "mask_token_id": mask_token_id,
        },
        "num_counted": found.num_units, "weights": weights_digest(model), "data": found.data, **measured.facts,
    }  # fmt: skip
    return found, record


def _table(found: MeasuredTimes) -> str:
    step = -(-len(found.time) // _MOST_LINES)
    columns = (found.time, found.mean, found.variance**0.5, found.density[1:-1])
    rows = [[f"{number:.3f}" for number in row] for row in list(zip(*columns, strict=True))[::step]]
    return text_table(["t", "loss", "deviation", "density"], rows, text_columns=())


def _check_replaceable(path: Path) -> None:
    """Refuse to replace a file that this command has not written."""
    from lift.objectives.time_density_file import read_time_density

    if not path.exists():
        return
    try:
        read_time_density(path)
        is_ours = str(json.loads(path.read_text("utf-8")).get("command")).startswith("lift measure-t ")
    except LiftError:
        is_ours = False
    if not is_ours:
        raise LiftError(f"{path} is there, and lift measure-t did not write it: choose another --output.")
