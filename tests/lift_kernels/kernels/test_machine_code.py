"""What is read from listings of machine code: loops, the way through them, and what is counted there."""

from __future__ import annotations

import pytest

from tests.lift_kernels.kernels.machine_code import count, hot_loop, parse_amdgcn, parse_sass

# A prologue, a loop over blocks with a rare branch that has a loop of its own, and the endless loop after the end.
ROWS = """
    LDG.E R2, desc[UR4][R2.64]
    LDG.E.128 R4, desc[UR4][R8.64]
    MUFU.EX2 R5, R4
    FFMA R6, R5, R4, R6
    @!P0 BRA 0x0080
    LDL R7, [R1]
    BAR.SYNC.DEFER_BLOCKING 0x0
    @P1 BRA 0x0050
    STG.E.64 desc[UR4][R8.64], R6
    NOP
    @P2 BRA 0x0010
    EXIT
    BRA 0x00c0
"""
# Rows around a loop over the width, in which one warp in a branch issues what multiplies.
TILES = """
    FFMA R0, R0, R0, R0
    LDGSTS.E.BYPASS.128 [R2], desc[UR4][R4.64]
    BAR.SYNC.DEFER_BLOCKING 0x0
    BRA.U !UP0, 0x0050
    UTCHMMA gdesc[UR4], gdesc[UR6], tmem[UR8]
    @P0 BRA 0x0010
    FFMA R0, R0, R0, R0
    FFMA R0, R0, R0, R0
    @P1 BRA 0x0000
    EXIT
"""
AMD = """
_kernel:
	s_load_dwordx2 s[0:1], s[4:5], 0x0
.LBB0_1:                                ; =>This Loop
	global_load_dwordx4 v[0:3], v[4:5], off
	s_waitcnt vmcnt(0)
	v_exp_f32_e32 v0, v0
	ds_read_b128 v[8:11], v6
	v_mfma_f32_32x32x8_bf16_1k a[0:15], v[0:1], v[2:3], a[0:15]
	s_barrier
	s_cbranch_scc1 .LBB0_1
; %bb.2:
	global_store_short v[4:5], v0, off
	s_endpgm
"""


def sass(program: str) -> str:
    return "".join(f"        /*{16 * i:04x}*/  {line.strip()} ;\n" for i, line in enumerate(program.split("\n")[1:-1]))


def test_a_trip_leaves_out_what_a_branch_may_skip():
    assert count(hot_loop(parse_sass(sass(ROWS)))) == {
        "slots": 6, "loads": 1, "stores": 1, "special": 1, "multiply_adds": 1, "other": 2, "accesses": 2, "bytes": 24,
        "bytes read": 16, "bytes written": 8, "bits": 64,
    }  # fmt: skip


def test_the_innermost_loop_that_multiplies_is_the_hot_one():
    counts = count(hot_loop(parse_sass(sass(TILES))))
    assert (counts["matrix"], counts["copies"], counts["barriers"], counts["multiply_adds"]) == (1, 1, 1, 0)


def test_a_loop_inside_counts_for_itself():
    nested = """
        FFMA R0, R0, R0, R0
        LDG.E R2, desc[UR4][R2.64]
        @P0 BRA 0x0010
        FFMA R0, R0, R0, R0
        @P1 BRA 0x0000
        EXIT
    """
    counts = count(hot_loop(parse_sass(sass(nested))))
    assert (counts["slots"], counts["multiply_adds"], counts["loads"]) == (3, 2, 0)


def test_without_a_loop_all_that_is_reached_counts():
    straight = ROWS.replace("@P1 BRA 0x0050", "MOV R0, R0").replace("@P2 BRA 0x0010", "MOV R0, R0")
    counts = count(hot_loop(parse_sass(sass(straight))))
    assert (counts["slots"], counts["local"], counts["barriers"], counts["accesses"]) == (11, 1, 1, 3)


def test_addresses_may_start_anywhere():
    moved = sass("\n" + "    NOP\n" * 16 + ROWS.strip("\n").replace("0x00", "0x01") + "\n").split("\n", 16)[16]
    assert count(hot_loop(parse_sass(moved))) == count(hot_loop(parse_sass(sass(ROWS))))


def test_amd():
    counts = count(hot_loop(parse_amdgcn(AMD)))
    assert counts == {
        "slots": 6, "loads": 1, "special": 1, "shared": 1, "matrix": 1, "barriers": 1, "other": 1, "accesses": 1,
        "bytes": 16, "bytes read": 16, "bits": 128,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name, bits",
    [
        ("LDG.E.128.CONSTANT", 128), ("STG.E.U16", 16), ("LDG.E.U8", 8), ("LDG.E", 32), ("LDG.E.64", 64),
        ("LDG.E.ENL2.256", 256), ("LDGSTS.E.BYPASS.128", 128),
    ],
)  # fmt: skip
def test_the_width_of_an_access(name, bits):
    (instruction,) = parse_sass(sass(f"\n {name} R0, R1\n"))
    assert instruction.bits == bits
    assert count([instruction])["bytes"] == bits // 8
