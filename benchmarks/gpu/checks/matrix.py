"""The accuracy matrix: jobs of checks, the most important first, and the few that a run begins with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.checks import (
    draws,
    execution_modes,
    extreme_logits,
    losses,
    peak_memory,
    repeatability,
    statistics,
)
from benchmarks.gpu.checks.check import CORRUPTION, CROSS_ENTROPY, LIFT, PATHS, SELECTION, STATISTICS, Check
from benchmarks.gpu.checks.lift_objective import lift_objective
from benchmarks.gpu.checks.op_calls import VARIANTS, Shape
from benchmarks.gpu.checks.sizes import Sizes
from benchmarks.harness.check_result import CheckResult
from benchmarks.harness.memory import MIB
from benchmarks.harness.run_config import RunConfig

LEAF_SETS_OF_A_LARGE_HEAD = (("hidden_states",), ("hidden_states", "weight"))


def jobs(config: RunConfig) -> dict[str, list[Check]]:
    """Return the checks by job. A job runs in a process of its own, which an illegal access ends with it."""
    sizes = _sizes(config)
    dtypes = (torch.bfloat16,) if config.is_smoke else (torch.bfloat16, torch.float32, torch.float16)
    matrix = {f"values-{short(dtype)}": list(_values(sizes, dtype)) for dtype in dtypes}
    matrix["vocabularies"] = list(_vocabularies(sizes))
    matrix["edges"] = list(_edges(sizes))
    matrix["behaviour"] = list(_behaviour(sizes))
    matrix["memory"] = list(_memory(sizes))
    # What a failed capture leaves behind could spoil other checks.
    matrix["graph"] = [
        _check(CROSS_ENTROPY, execution_modes.captured_graph, path=path, gates=False, needs_gpu=True, shape=sizes.one)
        for path in PATHS
    ]
    done = {check.name for found in (right(config), repeats(config)) for checks in found.values() for check in checks}
    return {job: [check for check in found if check.name not in done] for job, found in matrix.items()}


def right(config: RunConfig) -> dict[str, list[Check]]:
    """Right or wrong at three shapes and by both paths, a job for each: the first minute of a run."""
    found = {}
    for shape, path in itertools.product(_sizes(config).first, PATHS):
        options: dict[str, Any] = {"path": path, "dtype": torch.bfloat16, "shape": shape}
        large: dict[str, Any] = {"names": LEAF_SETS_OF_A_LARGE_HEAD, "reductions": ("mean", "none")}
        is_large = shape == _sizes(config).first[-1]
        found[_first_job(shape, path)] = [
            _check(
                CROSS_ENTROPY, losses.losses_and_gradients, **options, variant="plain", **(large if is_large else {})
            ),
            _check(STATISTICS, statistics.statistics, **options, variant="plain"),
        ]
    return found


def repeats(config: RunConfig) -> dict[str, list[Check]]:
    """Equal calls give equal bits, at a small shape and at one of a real head, in jobs of `right`."""
    sizes = _sizes(config)
    return {
        _first_job(shape, path): [
            _check(CROSS_ENTROPY, repeatability.repeats, path=path, shape=shape, times=sizes.repeats)
        ]
        for shape, path in itertools.product((sizes.one, sizes.first[-1]), PATHS)
    }


def _first_job(shape: Shape, path: str) -> str:
    return f"{_word('shape', shape)} {path}"


def _sizes(config: RunConfig) -> Sizes:
    return Sizes.smoke() if config.is_smoke else Sizes()


def _values(sizes: Sizes, dtype: torch.dtype) -> Iterator[Check]:
    for path, variant, shape in itertools.product(PATHS, VARIANTS, sizes.ragged):
        options: dict[str, Any] = {"path": path, "dtype": dtype, "shape": shape, "variant": variant}
        yield _check(CROSS_ENTROPY, losses.losses_and_gradients, **options)
        yield _check(STATISTICS, statistics.statistics, **options)
    several: dict[str, Any] = {"dtype": dtype, "shape": sizes.chunked, "workspace": sizes.chunk_bytes}
    yield _check(CROSS_ENTROPY, losses.losses_and_gradients, path="default", variant="bias-softcap", **several)
    yield _check(STATISTICS, statistics.statistics, path="default", **several)
    for path in PATHS:
        options = {"path": path, "dtype": dtype, "shape": sizes.one}
        for shape in (sizes.one, sizes.one_of_llada_s_width):
            yield _check(CROSS_ENTROPY, extreme_logits.far_below_zero, **{**options, "shape": shape})
            yield _check(CROSS_ENTROPY, extreme_logits.confident, **{**options, "shape": shape})
        for name in ("hard", "soft"):
            yield _check(LIFT, lift_objective, **{**options, "shape": sizes.rows, "learnability": name})


def _vocabularies(sizes: Sizes) -> Iterator[Check]:
    for shape, path in itertools.product(sizes.real, PATHS):
        options: dict[str, Any] = {"path": path, "dtype": torch.bfloat16, "shape": shape}
        yield _check(
            CROSS_ENTROPY, losses.losses_and_gradients, names=LEAF_SETS_OF_A_LARGE_HEAD, reductions=("sum", "none"),
            **options,
        )  # fmt: skip
        yield _check(STATISTICS, statistics.statistics, **options)
    for dtype, path in itertools.product((torch.float32, torch.float16), PATHS):
        yield _check(
            CROSS_ENTROPY, losses.losses_and_gradients, names=LEAF_SETS_OF_A_LARGE_HEAD, reductions=("sum",),
            path=path, dtype=dtype, shape=sizes.wide,
        )  # fmt: skip


def _edges(sizes: Sizes) -> Iterator[Check]:
    # So many rows in the least workspace would be blocks without number.
    for path, workspace in (("default", None), ("minimal", 32 * MIB)):
        yield _check(CROSS_ENTROPY, losses.beyond_int32, path=path, workspace=workspace, shape=sizes.beyond_int32)
    for path in PATHS:
        yield _check(CROSS_ENTROPY, extreme_logits.near_certainty, path=path)
        yield _check(CROSS_ENTROPY, losses.numbers_of_rows, path=path, shape=(sizes.block, *sizes.one[1:]))
        yield _check(STATISTICS, statistics.ties, path=path, vocab_size=sizes.one[2])
    rows, length = sizes.tokens
    yield _check(CORRUPTION, draws.same_corruption, num_rows=rows, length=length)
    yield _check(SELECTION, draws.same_selection, num_rows=rows, length=length)


def _behaviour(sizes: Sizes) -> Iterator[Check]:
    for path, shape in itertools.product(PATHS, (sizes.one, sizes.wide)):
        yield _check(CROSS_ENTROPY, repeatability.repeats, path=path, shape=shape, times=sizes.repeats)
        yield _check(CROSS_ENTROPY, repeatability.poisoned_memory, path=path, shape=shape)
    for path in PATHS:
        yield _check(CROSS_ENTROPY, repeatability.retained_graph, path=path, shape=sizes.one)
        yield _check(
            CROSS_ENTROPY, execution_modes.no_synchronisation, path=path, gates=False, needs_gpu=True, shape=sizes.one
        )
    yield _check(CROSS_ENTROPY, execution_modes.compiled, gates=False, shape=sizes.one)
    yield _check(CROSS_ENTROPY, execution_modes.autocast, gates=False, shape=sizes.one)


def _memory(sizes: Sizes) -> Iterator[Check]:
    frozen, trained = LEAF_SETS_OF_A_LARGE_HEAD
    for path, workspace_bytes, names, sums in (
        ("default", None, frozen, ()),
        ("default", None, trained, trained),
        ("minimal", 48 * MIB, frozen, ()),
        ("minimal", 48 * MIB, trained, frozen),
    ):
        run = partial(
            peak_memory.peak_memory, shape=sizes.memory, workspace_bytes=workspace_bytes, names=names, float32_sums=sums
        )
        label = f"peak_memory {path} {'+'.join(names)}"
        yield Check(label, CROSS_ENTROPY, run, path, "bfloat16", gates=False, needs_gpu=True)


def _check(
    op: str,
    function: Callable[..., CheckResult],
    *,
    path: str | None = None,
    gates: bool = True,
    needs_gpu: bool = False,
    workspace: int | None = None,
    **arguments: Any,
) -> Check:
    """A check named after its function and arguments; `workspace` overrides what `path` stands for."""
    dtype = arguments.get("dtype")
    words = [function.__name__]
    words += [_word(name, value) for name, value in arguments.items() if name not in ("names", "reductions", "times")]
    if path is not None:
        arguments["path"] = path if workspace is None else str(workspace)
        words.append(arguments["path"])
    return Check(
        " ".join(words), op, partial(function, **arguments), path or "default", None if dtype is None else short(dtype),
        gates, needs_gpu,
    )  # fmt: skip


def _word(name: str, value: Any) -> str:
    if isinstance(value, torch.dtype):
        return short(value)
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return value if isinstance(value, str) else f"{name}={value}"


def short(dtype: torch.dtype) -> str:
    """Return the name of a dtype, such as "bfloat16"."""
    return str(dtype).removeprefix("torch.")
