"""Machine code of several kernels listed at once is what NVIDIA's tool lists of each alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lift_kernels.kernels.disassembly import code_of, disassemble, resource_usage
from tests.lift_kernels.kernels.machine_code import parse_sass

PTX = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry {name}(.param .u64 at, .param .u32 n) .reqntid 32 {{
  .reg .pred %p; .reg .b32 %r<4>; .reg .f32 %f<3>; .reg .b64 %d;
  ld.param.u64 %d, [at]; ld.param.u32 %r1, [n]; mov.f32 %f1, 0f00000000;
LOOP:
  ld.volatile.global.f32 %f2, [%d]; {instruction} %f1, %f2, %f1; add.s32 %r1, %r1, -1; setp.ne.s32 %p, %r1, 0;
  @%p bra LOOP;
  st.global.f32 [%d], %f1; ret;
}}
"""


@pytest.fixture(scope="module")
def cubins(tmp_path_factory) -> list[Path]:
    return [assemble(tmp_path_factory.mktemp(n), n, i) for n, i in (("_sum", "add.f32"), ("_largest", "max.f32"))]


def assemble(folder: Path, name: str, instruction: str) -> Path:
    (folder / "kernel.ptx").write_text(PTX.format(name=name, instruction=instruction))
    subprocess.run([tool("ptxas"), "-arch=sm_90", folder / "kernel.ptx", "-o", folder / "kernel.cubin"], check=True)
    return folder / "kernel.cubin"


def tool(name: str) -> Path:
    import triton

    return Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name


def test_kernels_listed_together_are_those_listed_alone(cubins):
    together = disassemble("sm90", [code_of(cubin.read_bytes()) for cubin in cubins])
    for cubin, listing in zip(cubins, together, strict=True):
        alone = subprocess.run([tool("cuobjdump"), "-sass", cubin], check=True, capture_output=True, text=True).stdout
        assert parse_sass(listing) == parse_sass(alone)
        assert any(i.target is not None for i in parse_sass(listing))
    assert "FADD" in together[0] and "FMNMX" in together[1]


def test_resource_usage(cubins):
    usage = resource_usage(cubins[0].read_bytes())
    assert usage["stack"] == 0 and 4 <= usage["registers"] <= 32
