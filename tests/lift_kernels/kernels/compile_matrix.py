"""Compile every launch that the product makes for every architecture; print what the machine code needs and contains.

A program of its own, `compile_matrix.py [--unaligned ARCHITECTURE] ARCHITECTURE ...`: kernels must not have been
decorated under the interpreter. With `--unaligned` the first launch of the row kernel is compiled there once more, as if
no pointer or stride were a multiple of anything: a mutation, what a launcher does that loses its alignment.
The launches are not written down again here. The product's own launchers run on tensors of device "meta", which have
sizes and no memory, at the sizes of real models, and each launch is recorded with the types, block sizes and
divisibility that Triton would have specialised it for. One line of JSON for each compiled kernel.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from unittest import mock

import torch

from tests.lift_kernels.kernels import disassembly, machine_code

LLADA = (4096, 126464)
BERT = (768, 30522)
NUM_ROWS = 4096 - 7  # not divisible, as counts of masked tokens are
MINIMAL_WORKSPACE = 48 << 20
DRAWING_KERNELS = ("_sample_rows_kernel", "_tiled_samples_kernel")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--unaligned", metavar="ARCHITECTURE")
    parser.add_argument("architectures", nargs="*")
    chosen = parser.parse_args(arguments)
    for report in compile_all(chosen.architectures, chosen.unaligned):
        print(json.dumps(report), flush=True)


def compile_all(architectures: list[str], unaligned: str | None = None) -> Iterator[dict[str, Any]]:
    """Compile every different launch once, with as many processes as there are cores, and yield a report of each."""
    jobs = {name: [(name, index, True) for index in range(len(recorded_launches(name)))] for name in architectures}
    if unaligned:
        kernels = [kernel.__name__ for kernel, *_ in recorded_launches(unaligned)]
        jobs[unaligned].append((unaligned, kernels.index("_softmax_rows_kernel"), False))
    # A fresh cache, so that what is looked at is what this source compiles to; and forks, which have the launches.
    # Where in the source an instruction comes from is not looked at, and takes a tenth of the compilers' time.
    with (
        tempfile.TemporaryDirectory() as cache,
        mock.patch.dict(os.environ, TRITON_CACHE_DIR=cache, TRITON_DISABLE_LINE_INFO="1"),
        ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool,
    ):
        compiled = {name: pool.map(compile_one, ofs) for name, ofs in jobs.items()}
        for name, results in compiled.items():
            reports, codes = zip(*results, strict=True)
            if name.startswith("sm"):
                listings = map(machine_code.parse_sass, disassembly.disassemble(name, list(codes)))
            else:
                listings = map(machine_code.parse_amdgcn, codes)
            for report, listing in zip(reports, listings, strict=True):
                instructions = sorted({instruction.name for instruction in listing})
                loop = machine_code.hot_loop(listing)
                yield report | {"instructions": instructions, "hot_loop": machine_code.count(loop)}


def recorded_launches(architecture: str) -> list[tuple[Any, str, str, tuple[Any, ...]]]:
    """(kernel, use, key, what triton.compile takes) of every different launch on `architecture`."""
    if architecture not in _RECORDED:
        _RECORDED[architecture] = list(_record(architecture))
    return _RECORDED[architecture]


_RECORDED: dict[str, list[tuple[Any, str, str, tuple[Any, ...]]]] = {}


def _record(architecture: str) -> Iterator[tuple[Any, str, str, tuple[Any, ...]]]:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, make_backend
    from triton.runtime.jit import JITFunction, create_function_from_signature

    from lift_kernels.kernels import launch_configs, products

    is_hip = architecture.startswith("gfx")
    target = GPUTarget("hip", architecture, 64) if is_hip else GPUTarget("cuda", int(architecture[2:]), 32)
    backend = make_backend(target)
    seen, found = set(), []

    def record(kernel, *args, grid, warmup, **options):
        # As every release would else decide, or warn of, by itself.
        assert options["enable_fp_fusion"] is (kernel.__name__ not in DRAWING_KERNELS), kernel.__name__
        options["debug"] = False
        bind = create_function_from_signature(kernel.signature, kernel.params, backend)
        bound, specialization, _ = bind(*args, **options)
        packed, signature, constexprs, attributes = kernel._pack_args(backend, options, bound, specialization, {})
        key = f"{kernel.__name__} {signature} {constexprs} {attributes} {packed.num_warps} {packed.num_stages}"
        if key not in seen:
            seen.add(key)
            source = ASTSource(kernel, signature, constexprs, attributes)
            found.append((kernel, key, (source, target, packed.__dict__)))

    with (
        mock.patch.object(JITFunction, "run", record),
        mock.patch.object(launch_configs, "architecture", lambda device: architecture),
        # No kernel of ours multiplies there, and the shapes of thousands of products would take a minute.
        mock.patch.object(products, "multiply", lambda *operands, **options: None),
    ):
        for use, call in uses():
            call()
            firsts: dict[str, tuple[Any, ...]] = {}
            for kernel, key, launch in found:
                first = firsts.setdefault(kernel.__name__, launch)
                yield kernel, ", ".join([use, *_differences(kernel, first, launch)]), key, launch
            found.clear()


def _differences(kernel: Any, first: tuple[Any, ...], other: tuple[Any, ...]) -> list[str]:
    """What tells a launch from the first one of the same kernel in the same use."""
    (a, *_), (b, *_) = first, other
    words = []
    for index, name in enumerate(kernel.arg_names):
        is_constant = (index,) in a.constants and (index,) in b.constants
        if is_constant and a.constants[index,] != b.constants[index,]:
            words.append(f"{name}={b.constants[index,]}")
        elif a.attrs.get((index,)) and not b.attrs.get((index,)) and (index,) not in b.constants:
            words.append(f"odd {name}")
    return words


def uses() -> Iterator[tuple[str, Any]]:
    """What users do with the kernels, by name."""
    from lift_kernels.kernels import corruption, sampling, selection
    from lift_kernels.kernels import linear_cross_entropy as head_kernels
    from lift_kernels.linear_head import Draws, LinearHead, NeedsGrad, RowStats, StatsGrad

    def empty(*shape, dtype=torch.float32):
        return torch.empty(shape, dtype=dtype, device="meta")

    def step(
        dtype, needs_grad, *, size=LLADA, num_rows=NUM_ROWS, workspace=None, bias=False, softcap=None, all_stats=True
    ):
        width, vocab_size = size

        def call():
            head = LinearHead(
                empty(vocab_size, width, dtype=dtype), empty(vocab_size, dtype=dtype) if bias else None, 1.0, softcap
            )
            head_kernels.loss_gradients(
                empty(num_rows, width, dtype=dtype), head, empty(num_rows, dtype=torch.int64), empty(num_rows),
                NeedsGrad(*needs_grad), workspace_bytes=workspace, all_stats=all_stats,
            )  # fmt: skip
            rows = head_kernels.take_rows(empty(num_rows, width, dtype=dtype), empty(100, dtype=torch.int64))
            head_kernels.spread_rows(rows, empty(100, dtype=torch.int64), num_rows)

        return call

    def deferred_step(dtype, *, num_rows=NUM_ROWS, bias=False):
        """Forward and backward pass as users run them, the hidden states' gradient scaled and spread."""
        width, vocab_size = LLADA

        def call():
            head = LinearHead(empty(vocab_size, width, dtype=dtype), empty(vocab_size, dtype=dtype) if bias else None)
            needs_grad, index = NeedsGrad(True, True, bias), empty(num_rows, dtype=torch.int64)
            _, _, gradients = head_kernels.loss_gradients(
                empty(num_rows, width, dtype=dtype), head, index, empty(num_rows), needs_grad, workspace_bytes=None,
                all_stats=False, may_defer=True,
            )  # fmt: skip
            head_kernels.head_gradients(gradients.deferred, empty(), needs_grad)
            head_kernels.spread_rows(gradients.hidden_states, index, 2 * num_rows, scale=empty(), dtype=dtype)

        return call

    def gradients_of_stats(dtype, *, workspace=None, bias=False, softcap=None):
        width, vocab_size = LLADA

        def call():
            row = empty(NUM_ROWS)
            head = LinearHead(
                empty(vocab_size, width, dtype=dtype), empty(vocab_size, dtype=dtype) if bias else None, 1.0, softcap, 5
            )
            head_kernels.stats_gradients(
                empty(NUM_ROWS, width, dtype=dtype), head,
                empty(NUM_ROWS, dtype=torch.int64), RowStats(row, row, row, row, empty(NUM_ROWS, dtype=torch.int64)),
                StatsGrad(row, row, row), NeedsGrad(True, False, bias), workspace_bytes=workspace,
            )  # fmt: skip

        return call

    def statistics_with_rank(dtype, num_rows):
        width, vocab_size = LLADA
        return lambda: head_kernels.token_stats(
            empty(num_rows, width, dtype=dtype), LinearHead(empty(vocab_size, width, dtype=dtype)),
            empty(num_rows, dtype=torch.int64), workspace_bytes=None, all_stats=True, rank=True,
        )  # fmt: skip

    def draw(dtype, temperature, *, num_rows=NUM_ROWS, size=LLADA, workspace=None, bias=False, softcap=None):
        width, vocab_size = size

        def call():
            ids = empty(num_rows, dtype=torch.int64)
            head = LinearHead(
                empty(vocab_size, width, dtype=dtype), empty(vocab_size, dtype=dtype) if bias else None, 1.0, softcap, 5
            )
            sampling.sample_rows(
                empty(num_rows, width, dtype=dtype),
                head,
                Draws(2**62, ids, ids, temperature),
                workspace_bytes=workspace,
            )

        return call

    half, wide = torch.bfloat16, torch.float32
    yield "bfloat16 frozen head", step(half, (True, False, False), all_stats=False)
    yield "bfloat16 frozen head of 500 rows", step(half, (True, False, False), num_rows=500, all_stats=False)
    yield "bfloat16 trained head", step(half, (True, True, False))
    yield "bfloat16 trained head with bias", step(half, (True, True, True), size=BERT, bias=True)
    yield "bfloat16 softcap", step(half, (True, False, False), softcap=30.0)
    yield "float32 trained head with bias", step(wide, (True, True, True), size=BERT, bias=True)
    for dtype in (half, torch.float16, wide):
        name = str(dtype).removeprefix("torch.")
        yield f"{name} minimal memory", step(dtype, (True, True, False), workspace=MINIMAL_WORKSPACE)
    yield (
        "bfloat16 minimal memory with bias and softcap",
        step(half, (True, True, True), workspace=MINIMAL_WORKSPACE, bias=True, softcap=30.0),
    )
    for dtype in (half, wide):
        name = str(dtype).removeprefix("torch.")
        yield f"{name} minimal memory statistics", step(dtype, (False, False, False), size=BERT, workspace=1 << 20)
    yield "bfloat16 gradients of statistics", gradients_of_stats(half)
    yield "bfloat16 gradients of statistics with bias and softcap", gradients_of_stats(half, bias=True, softcap=30.0)
    yield "bfloat16 deferred head", deferred_step(half)
    yield "bfloat16 deferred head with bias in two chunks", deferred_step(half, num_rows=2 * NUM_ROWS, bias=True)
    yield "bfloat16 minimal memory gradients of statistics", gradients_of_stats(half, workspace=MINIMAL_WORKSPACE)
    statistics = step(half, (False, False, False), size=BERT, workspace=1 << 20, bias=True, softcap=30.0)
    yield "bfloat16 minimal memory statistics with bias and softcap", statistics
    for num_rows in (1, 32, 64):
        yield f"bfloat16 statistics of {num_rows} rows", step(half, (False, False, False), num_rows=num_rows)
    for num_rows in (64, NUM_ROWS):
        yield f"bfloat16 statistics with rank of {num_rows} rows", statistics_with_rank(half, num_rows)
    yield "bfloat16 draw", draw(half, 0.7)
    yield "bfloat16 draw of 500 rows", draw(half, 0.7, num_rows=500)
    yield "bfloat16 draw with bias and softcap", draw(half, 0.7, size=BERT, bias=True, softcap=30.0)
    yield "bfloat16 most likely token", draw(half, 0.0)
    for num_rows in (1, 32, 64):
        yield f"bfloat16 draw of {num_rows} rows", draw(half, 0.7, num_rows=num_rows)
    yield "bfloat16 most likely token of 64 rows", draw(half, 0.0, num_rows=64)
    yield "bfloat16 minimal memory draw", draw(half, 0.7, workspace=1 << 20)
    yield (
        "bfloat16 minimal memory draw with bias and softcap",
        draw(half, 0.7, size=BERT, workspace=1 << 20, bias=True, softcap=30.0),
    )
    yield "float32 minimal memory draw", draw(wide, 0.7, workspace=1 << 20)
    for length in (4096, 16384):
        rows = 8
        ids, flags = empty(rows, length, dtype=torch.int64), empty(rows, length, dtype=torch.bool)
        ints = empty(rows, dtype=torch.int64)
        yield (
            f"corrupt {length} tokens",
            lambda ids=ids, flags=flags, ints=ints: corruption.corrupt_tokens(
                ids, empty(8), flags, ints, 126336, 2**62
            ),
        )
        for dtype in (wide, torch.float64):
            score = empty(rows, length, dtype=dtype)
            yield (
                f"select {length} tokens by {dtype}",
                lambda score=score, flags=flags, ints=ints: selection.select_tokens(
                    score, flags, ints, ints, 2**62, ints
                ),
            )


def compile_one(job: tuple[str, int, bool]) -> tuple[dict[str, Any], Any]:
    """Report of a launch but for its instructions, and these: bytes on NVIDIA, assembly on AMD."""
    import triton
    from triton.compiler import ASTSource

    architecture, index, is_aligned = job
    kernel, use, key, (source, target, options) = recorded_launches(architecture)[index]
    if not is_aligned:
        source = ASTSource(source.fn, source.signature, source.constants, {})
    compiled = triton.compile(source, target=target, options=options)
    report = {
        "kernel": kernel.__name__, "use": use, "architecture": architecture, "key": key, "is_aligned": is_aligned,
        "blocks": {n: source.constants[i,] for i, n in enumerate(kernel.arg_names) if n.startswith("BLOCK_")},
        "shared": compiled.metadata.shared, "num_warps": options["num_warps"], "triton": triton.__version__,
    }  # fmt: skip
    if target.backend == "hip":
        assembly = compiled.asm["amdgcn"]
        used = dict(re.findall(r"\.(vgpr_count|vgpr_spill_count): +(\d+)", assembly))
        return report | {"registers": int(used["vgpr_count"]), "spilled": int(used["vgpr_spill_count"])}, assembly
    cubin = compiled.asm["cubin"]
    return report | disassembly.resource_usage(cubin), disassembly.code_of(cubin)


if __name__ == "__main__":
    main(sys.argv[1:])
