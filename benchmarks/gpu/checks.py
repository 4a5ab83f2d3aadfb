"""The accuracy matrix: jobs of checks, the most important first, and which speeds each check gates."""

from __future__ import annotations

import itertools
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.gpu import behaviour, values
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.learnability import lift_objective
from benchmarks.gpu.setting import Setting

CROSS_ENTROPY, STATISTICS = "linear_cross_entropy", "linear_token_stats"
LIFT, CORRUPTION, SELECTION = "lift_cross_entropy", "corrupt_tokens", "select_tokens"
PATHS = ("default", "minimal")
LEAF_SETS_OF_A_LARGE_HEAD = (("hidden_states",), ("hidden_states", "weight"))
MIB = 1 << 20


@dataclass(frozen=True)
class Check:
    """One function to call. `gates`: no speed of `op` by `path` is reported unless it holds."""

    name: str
    op: str
    run: Callable[[Setting], Findings]
    path: str = "default"
    dtype: str | None = None
    gates: bool = True
    needs_gpu: bool = False


@dataclass(frozen=True)
class Sizes:
    """Shapes (N, D, V), small for a smoke test."""

    ragged: tuple[values.Shape, ...] = ((37, 33, 507), (130, 64, 1100))
    # Rows in several chunks of at least 256, with the bytes that hold one of them.
    chunked: values.Shape = (700, 64, 1100)
    chunk_bytes: int = 3_000_000
    # Vocabularies of GPT-2, LLaDA, Qwen2.5 and Dream before widths of real models.
    real: tuple[values.Shape, ...] = (
        (129, 4096, 126464), (129, 3584, 152064), (129, 1024, 50257), (129, 1024, 151936), (129, 1024, 1100),
    )  # fmt: skip
    one: values.Shape = (130, 64, 1100)
    wide: values.Shape = (129, 1024, 50257)
    beyond_int32: values.Shape = (20000, 64, 126464)
    memory: values.Shape = (4096, 4096, 126464)
    rows: tuple[int, int, int, int] = (5, 60, 64, 1100)  # B, L, D, V
    tokens: tuple[int, int] = (7, 1000)
    repeats: int = 20

    @classmethod
    def smoke(cls) -> Sizes:
        tiny = (5, 16, 40)
        return cls(
            ragged=(tiny,), chunked=(7, 16, 40), real=((5, 16, 42),), one=tiny, wide=(5, 16, 41), beyond_int32=tiny,
            memory=tiny, rows=(3, 5, 16, 40), tokens=(3, 8), repeats=2,
        )  # fmt: skip


def jobs(setting: Setting) -> dict[str, list[Check]]:
    """Checks by job. A job runs in a process of its own, which an illegal access ends with it."""
    sizes = Sizes.smoke() if setting.is_smoke else Sizes()
    dtypes = (torch.bfloat16,) if setting.is_smoke else (torch.bfloat16, torch.float32, torch.float16)
    matrix = {f"values-{short(dtype)}": list(_values(sizes, dtype)) for dtype in dtypes}
    matrix["vocabularies"] = list(_vocabularies(sizes))
    matrix["edges"] = list(_edges(sizes))
    matrix["behaviour"] = list(_behaviour(sizes))
    matrix["memory"] = list(_memory(sizes))
    # What a failed capture leaves behind could spoil other checks.
    matrix["graph"] = [
        _check(CROSS_ENTROPY, behaviour.captured_graph, path=path, gates=False, needs_gpu=True, shape=sizes.one)
        for path in PATHS
    ]
    return matrix


def _values(sizes: Sizes, dtype: torch.dtype) -> Iterator[Check]:
    for path, variant, shape in itertools.product(PATHS, values.VARIANTS, sizes.ragged):
        options = {"path": path, "dtype": dtype, "shape": shape, "variant": variant}
        yield _check(CROSS_ENTROPY, values.losses_and_gradients, **options)
        yield _check(STATISTICS, values.statistics, **options)
    several = {"dtype": dtype, "shape": sizes.chunked, "workspace": sizes.chunk_bytes}
    yield _check(CROSS_ENTROPY, values.losses_and_gradients, path="default", variant="bias-softcap", **several)
    yield _check(STATISTICS, values.statistics, path="default", **several)
    for path in PATHS:
        options = {"path": path, "dtype": dtype, "shape": sizes.one}
        yield _check(CROSS_ENTROPY, values.far_below_zero, **options)
        yield _check(CROSS_ENTROPY, values.confident, **options)
        for name in ("hard", "soft"):
            yield _check(LIFT, lift_objective, **{**options, "shape": sizes.rows, "learnability": name})


def _vocabularies(sizes: Sizes) -> Iterator[Check]:
    for shape, path in itertools.product(sizes.real, PATHS):
        options = {"path": path, "dtype": torch.bfloat16, "shape": shape}
        yield _check(
            CROSS_ENTROPY, values.losses_and_gradients, names=LEAF_SETS_OF_A_LARGE_HEAD, reductions=("sum", "none"),
            **options,
        )  # fmt: skip
        yield _check(STATISTICS, values.statistics, **options)
    for dtype, path in itertools.product((torch.float32, torch.float16), PATHS):
        yield _check(
            CROSS_ENTROPY, values.losses_and_gradients, names=LEAF_SETS_OF_A_LARGE_HEAD, reductions=("sum",),
            path=path, dtype=dtype, shape=sizes.wide,
        )  # fmt: skip


def _edges(sizes: Sizes) -> Iterator[Check]:
    # So many rows in the least workspace would be blocks without number.
    for path, workspace in (("default", None), ("minimal", 32 * MIB)):
        yield _check(CROSS_ENTROPY, values.beyond_int32, path=path, workspace=workspace, shape=sizes.beyond_int32)
    for path in PATHS:
        yield _check(CROSS_ENTROPY, values.numbers_of_rows, path=path, width=sizes.one[1], vocab_size=sizes.one[2])
        yield _check(STATISTICS, values.ties, path=path, vocab_size=sizes.one[2])
    rows, length = sizes.tokens
    yield _check(CORRUPTION, behaviour.same_corruption, num_rows=rows, length=length)
    yield _check(SELECTION, behaviour.same_selection, num_rows=rows, length=length)


def _behaviour(sizes: Sizes) -> Iterator[Check]:
    for path, shape in itertools.product(PATHS, (sizes.one, sizes.wide)):
        yield _check(CROSS_ENTROPY, behaviour.repeats, path=path, shape=shape, times=sizes.repeats)
        yield _check(CROSS_ENTROPY, behaviour.poisoned_memory, path=path, shape=shape)
    for path in PATHS:
        yield _check(CROSS_ENTROPY, behaviour.retained_graph, path=path, shape=sizes.one)
        yield _check(
            CROSS_ENTROPY, behaviour.no_synchronisation, path=path, gates=False, needs_gpu=True, shape=sizes.one
        )
    yield _check(CROSS_ENTROPY, behaviour.compiled, gates=False, shape=sizes.one)
    yield _check(CROSS_ENTROPY, behaviour.autocast, gates=False, shape=sizes.one)


def _memory(sizes: Sizes) -> Iterator[Check]:
    frozen, trained = LEAF_SETS_OF_A_LARGE_HEAD
    for path, workspace_bytes, names, sums in (
        ("default", None, frozen, ()),
        ("default", None, trained, trained),
        ("minimal", 48 * MIB, frozen, ()),
        ("minimal", 48 * MIB, trained, frozen),
    ):
        check = partial(behaviour.peak_memory, workspace_bytes=workspace_bytes, names=names, float32_sums=sums)
        label = f"peak_memory {path} {'+'.join(names)}"
        run = partial(check, shape=sizes.memory)
        yield Check(label, CROSS_ENTROPY, run, path, "bfloat16", gates=False, needs_gpu=True)


def _check(
    op: str,
    function: Callable[..., Findings],
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
    return str(dtype).removeprefix("torch.")


def run_check(check: Check, setting: Setting) -> dict[str, Any]:
    """The record of one check: its status, its numbers and, where something is wrong, a sentence."""
    record: dict[str, Any] = {
        "check": check.name, "op": check.op, "path": check.path, "dtype": check.dtype, "gates": check.gates,
    }  # fmt: skip
    if check.needs_gpu and not setting.on_gpu:
        return {**record, "status": "skipped", "sentence": "needs a CUDA device"}
    start = time.monotonic()
    try:
        torch.manual_seed(0)
        findings = check.run(setting)
        setting.synchronize()
    except Exception as error:
        record |= {"status": "error", **describe(error)}
    else:
        record |= {"numbers": findings.numbers, "comparisons": findings.comparisons}
        if findings.failures:
            first, count = findings.failures[0], len(findings.failures)
            sentence = f"{first} ({count} of {findings.comparisons} comparisons failed)"
            record |= {"status": "failed", "sentence": sentence, "failures": findings.failures[:20]}
        elif findings.comparisons == 0:
            record |= {"status": "failed", "sentence": "compared nothing"}
        else:
            record["status"] = "passed"
    return {**record, "seconds": round(time.monotonic() - start, 2)}


def describe(error: BaseException) -> dict[str, str]:
    """What a record says of an exception: one sentence, and where it came from."""
    first_line = str(error).strip().partition("\n")[0][:300]
    trace = "".join(traceback.format_exception(error))
    return {"sentence": f"{type(error).__name__}: {first_line}", "traceback": trace[-6000:]}


def gate(records: list[dict[str, Any]], op: str, path: str, dtype: str) -> str:
    """ "green", "red" or "unchecked": whether speeds of `op` by `path` for inputs of `dtype` may be reported."""
    relevant = [
        record["status"]
        for record in records
        if (record["op"], record["path"]) == (op, path) and record["gates"] and record["dtype"] in (None, dtype)
    ]
    if any(status in ("failed", "error") for status in relevant):
        return "red"
    return "green" if "passed" in relevant else "unchecked"
