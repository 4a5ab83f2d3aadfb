"""Compile every launch that the product makes for every architecture; print what the machine code needs and contains.

A program of its own, `compile_matrix.py [ARCHITECTURE ...]`: kernels must not have been decorated under the interpreter.
The launches are not written down again here. The product's own launchers run on tensors of device "meta", which have
sizes and no memory, at the sizes of real models, and each launch is recorded with the types, block sizes and
divisibility that Triton would have specialised it for. One line of JSON for each compiled kernel.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import torch

LLADA = (4096, 126464)
BERT = (768, 30522)
NUM_ROWS = 4096 - 7  # not divisible, as counts of masked tokens are
MINIMAL_WORKSPACE = 48 << 20


def main(architectures: list[str]) -> None:
    # A fresh cache, so that what is looked at is what this source compiles to.
    with tempfile.TemporaryDirectory() as cache, ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        os.environ["TRITON_CACHE_DIR"] = cache
        jobs = [(name, index) for name in architectures for index in range(len(recorded_launches(name)))]
        for report in pool.map(compile_one, jobs):
            print(json.dumps(report), flush=True)


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

    from lift_kernels.kernels import launch_configs, linear_cross_entropy, products

    is_hip = architecture.startswith("gfx")
    target = GPUTarget("hip", architecture, 64) if is_hip else GPUTarget("cuda", int(architecture[2:]), 32)
    backend = make_backend(target)
    seen, found = set(), []

    def record(kernel, *args, grid, warmup, **options):
        # As every release would else decide, or warn of, by itself.
        assert options["enable_fp_fusion"] is True, kernel.__name__
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
        mock.patch.object(linear_cross_entropy, "multiply", lambda *operands, **options: None),
        mock.patch.object(products, "multiply", lambda *operands, **options: None),
    ):
        for use, call in uses():
            call()
            yield from ((kernel, use, *rest) for kernel, *rest in found)
            found.clear()


def uses() -> Iterator[tuple[str, Any]]:
    """What users do with the kernels, by name."""
    from lift_kernels.kernels import corruption, selection
    from lift_kernels.kernels import linear_cross_entropy as head_kernels
    from lift_kernels.linear_head import LinearHead, NeedsGrad

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

    half, wide = torch.bfloat16, torch.float32
    yield "bfloat16 frozen head", step(half, (True, False, False), all_stats=False)
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
    statistics = step(half, (False, False, False), size=BERT, workspace=1 << 20, bias=True, softcap=30.0)
    yield "bfloat16 minimal memory statistics with bias and softcap", statistics
    for num_rows in (1, 32, 64):
        yield f"bfloat16 statistics of {num_rows} rows", step(half, (False, False, False), num_rows=num_rows)
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


def compile_one(job: tuple[str, int]) -> dict[str, Any]:
    import triton

    architecture, index = job
    kernel, use, key, (source, target, options) = recorded_launches(architecture)[index]
    compiled = triton.compile(source, target=target, options=options)
    report = {
        "kernel": kernel.__name__, "use": use, "architecture": architecture, "key": key,
        "shared": compiled.metadata.shared, "num_warps": options["num_warps"], "triton": triton.__version__,
    }  # fmt: skip
    if target.backend == "hip":
        assembly = compiled.asm["amdgcn"]
        spilled = re.search(r"\.vgpr_spill_count:\s*(\d+)", assembly)
        instructions = re.findall(r"^\s+([a-z]\w+)", assembly, re.MULTILINE)
        return report | {"spilled": int(spilled[1]), "instructions": sorted(set(instructions))}
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage, assembly = (
            subprocess.run([tools, option, file.name], check=True, capture_output=True, text=True).stdout
            for option in ("--dump-resource-usage", "-sass")
        )
    instructions = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]+)", assembly, re.MULTILINE)
    return report | {
        "registers": int(re.search(r"REG:(\d+)", usage)[1]),
        "stack": int(re.search(r"STACK:(\d+)", usage)[1]),
        "instructions": sorted(set(instructions)),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
