"""All sections of a run and all measurements, in the order in which they run: what settles most comes first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from benchmarks.gpu.measurements.allocator import allocator_growth
from benchmarks.gpu.measurements.backward_pass import backward_alone, head_gradient
from benchmarks.gpu.measurements.comparison import OWN, OWN_SMALL, OWN_TORCH, compare
from benchmarks.gpu.measurements.measurement import Measurement
from benchmarks.gpu.measurements.modes import modes
from benchmarks.gpu.measurements.products import piece, whole_products
from benchmarks.gpu.measurements.rivals import which_can_run
from benchmarks.gpu.measurements.row_kernel import row_kernel
from benchmarks.gpu.measurements.shapes import MeasuredShapes, Shape
from benchmarks.harness.run_config import RunConfig
from benchmarks.rivals.table import COMPILED, PACKAGES, PLAIN

# Checks, the parts of a step, whole steps; then what comes after as far as the time goes.
RIGHT, REPEATS = "right", "repeats"
PRODUCTS, PIECES, ROW_KERNEL, BACKWARD, STEPS, ALLOCATOR = PARTS = (
    "products", "pieces", "row_kernel", "backward", "steps", "allocator",
)  # fmt: skip
AGAINST_RIVALS, ACCURACY = "rivals", "accuracy"
MODES, TABLE, AGAINST_COMPILED = LAST = "modes", "table", "compiled"
SECTIONS = (RIGHT, REPEATS, *PARTS, AGAINST_RIVALS, ACCURACY, *LAST)
PLANNED = "as planned"

_HEADS = {False: "frozen", True: "trained"}


def measurements(config: RunConfig) -> dict[str, Measurement]:
    """Return every measurement by its task's name, in order."""
    shapes = MeasuredShapes.smoke() if config.is_smoke else MeasuredShapes.real()
    found = [measurement for parts in (_parts, _steps, _rivals, _rest) for measurement in parts(shapes)]
    return {measurement.task: measurement for measurement in found}


def _parts(shapes: MeasuredShapes) -> Iterator[Measurement]:
    for rows in shapes.rows:
        yield Measurement(PRODUCTS, f"N={rows}", partial(whole_products, shape=shapes.shape(rows)))
    for rows in shapes.rows:
        shape = shapes.shape(rows)
        yield Measurement(PIECES, f"N={rows} {PLANNED}", partial(piece, shape=shape, columns=None))
        for columns in shapes.columns_of(rows):
            yield Measurement(PIECES, f"N={rows} x {columns}", partial(piece, shape=shape, columns=columns))
    for rows, columns in shapes.row_kernel:
        run = partial(row_kernel, shape=shapes.shape(rows), columns=columns)
        yield Measurement(ROW_KERNEL, f"{rows} x {columns}", run)
    for rows in shapes.backward_rows:
        shape = shapes.shape(rows)
        for trained in (True, False):
            run = partial(backward_alone, shape=shape, trained=trained)
            yield Measurement(BACKWARD, f"N={rows} {_HEADS[trained]}", run)
        for deferred in (True, False):
            name = f"N={rows} head's gradient {'deferred' if deferred else 'formed'}"
            yield Measurement(BACKWARD, name, partial(head_gradient, shape=shape, deferred=deferred))


def _steps(shapes: MeasuredShapes) -> Iterator[Measurement]:
    for rows, trained in itertools.product(shapes.rows, (False, True)):
        yield _compared(STEPS, f"N={rows}", shapes.shape(rows), trained, (OWN,))
    largest = shapes.shape(max(shapes.rows))
    for trained in (False, True):
        run = partial(allocator_growth, largest=largest, trained=trained, steps=shapes.row_counts)
        yield Measurement(ALLOCATOR, f"{shapes.row_counts} row counts {_HEADS[trained]}", run)


def _rivals(shapes: MeasuredShapes) -> Iterator[Measurement]:
    yield Measurement(AGAINST_RIVALS, "which can run", which_can_run)
    for rows, trained in itertools.product(shapes.rival_rows, (True, False)):
        yield _compared(AGAINST_RIVALS, f"N={rows}", shapes.shape(rows), trained, (OWN, PLAIN, *PACKAGES))


def _rest(shapes: MeasuredShapes) -> Iterator[Measurement]:
    yield Measurement(MODES, f"N={shapes.mode_rows}", partial(modes, shape=shapes.shape(shapes.mode_rows)))
    labels = (OWN, OWN_SMALL, OWN_TORCH)
    for rows, (model, (width, vocab_size)) in itertools.product(shapes.rows, shapes.heads.items()):
        for trained in (False, True):
            yield _compared(TABLE, f"{model} N={rows}", Shape(rows, width, vocab_size), trained, labels)
    for trained in (False, True):
        rows = shapes.mode_rows
        yield _compared(AGAINST_COMPILED, f"N={rows}", shapes.shape(rows), trained, (OWN, COMPILED))


def _compared(section: str, name: str, shape: Shape, trained: bool, labels: tuple[str, ...]) -> Measurement:
    run = partial(compare, shape=shape, trained=trained, labels=labels)
    return Measurement(section, f"{name} {_HEADS[trained]}", run)
