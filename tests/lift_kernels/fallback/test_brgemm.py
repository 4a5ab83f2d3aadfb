"""oneDNN's block product of bfloat16 with float32 results, against float64, at every kind of edge."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from lift_kernels.fallback import brgemm
from tests.lift_kernels.fallback.operands import LAYOUTS, operand

needs_brgemm = pytest.mark.skipif(
    not brgemm.is_available(), reason="needs a processor with AVX512-BF16 and without AMX, and torch's oneDNN"
)


def product(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """What the module makes of it, between nans."""
    distance = brgemm.row_distance(x.shape[0])
    out = torch.full((a.shape[0], distance), torch.nan)[:, : x.shape[0]]
    assert brgemm.multiply(a, brgemm.Packed.of(x), out) is out
    return out


@pytest.fixture
def threads():
    """Set the number of threads, and set it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@needs_brgemm
@pytest.mark.parametrize("of_a", LAYOUTS)
@pytest.mark.parametrize("of_x", LAYOUTS)
def test_is_the_float32_product(of_a, of_x):
    a, x = operand(300, 130, of_a), operand(70, 130, of_x)
    torch.testing.assert_close(product(a, x).double(), a.double() @ x.double().t(), rtol=1e-6, atol=2e-5)


@needs_brgemm
@pytest.mark.parametrize("num_rows", [0, 1, 17, 63, 64, 65, 200])
@pytest.mark.parametrize("width", [2, 254, 256, 258, 1030])
@pytest.mark.parametrize("num_columns", [0, 1, 31, 256, 257])
def test_every_edge_of_the_blocks(num_rows, width, num_columns):
    a, x = operand(num_columns, width), operand(num_rows, width)
    torch.testing.assert_close(product(a, x).double(), a.double() @ x.double().t(), rtol=1e-6, atol=5e-5)


@needs_brgemm
def test_sums_of_a_wide_head_are_as_exact_as_float32_ones():
    a, x = operand(64, 4096), operand(64, 4096)
    truth = a.double() @ x.double().t()
    error, float32_error = (
        (z.double() - truth).square().mean().sqrt() for z in (product(a, x), a.float() @ x.float().t())
    )
    assert error < 1.5 * float32_error


@needs_brgemm
def test_threads_change_no_bit(threads):
    a, x = operand(3000, 300), operand(90, 300)
    threads(1)
    expected = product(a, x)
    for count in (2, 3, 20):
        threads(count)
        assert product(a, x).equal(expected)


@needs_brgemm
def test_an_error_in_a_thread_is_raised(threads, monkeypatch):
    def fail(*arguments: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(brgemm, "_brgemm", lambda: fail)
    for count in (1, 2):
        threads(count)
        with pytest.raises(MemoryError, match="no room"):
            product(operand(600, 64), operand(20, 64))


@needs_brgemm
def test_without_openmp_one_thread_does_it_all(threads, monkeypatch):
    monkeypatch.setattr(brgemm, "_openmp", lambda: None)
    threads(2)
    a, x = operand(600, 64), operand(20, 64)
    torch.testing.assert_close(product(a, x), a.float() @ x.float().t(), rtol=1e-6, atol=2e-5)


@pytest.mark.parametrize("num_rows", [1, 64, 65, 512, 1023, 1024, 4097, 100_000])
def test_rows_lie_apart_by_one_of_few_distances(num_rows):
    distance = brgemm.row_distance(num_rows)
    assert distance % 64 == 0 and num_rows <= distance < num_rows + max(64, num_rows / 4)
    octave = {brgemm.row_distance(count) for count in range(num_rows, 2 * num_rows)}
    assert len(octave) <= 17


def test_a_release_that_reads_otherwise_is_not_used():
    def other(*arguments: object) -> None:
        """Writes nothing."""

    assert not brgemm._is_right(other)


def test_the_defaults_of_a_program_change_no_answer():
    a, x = (torch.arange(count * 8).remainder(7).sub(3).view(count, 8).float() for count in (3, 64))
    product = a @ x.t() + 1

    def right(*arguments: int) -> None:
        ctypes.memmove(arguments[-2], product.data_ptr(), product.nbytes)

    assert brgemm._is_right(right)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            assert brgemm._is_right(right)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE"])
def test_instructions_that_onednn_may_not_use_end_no_process(instructions):
    code = (
        "import torch; from lift_kernels import linear_token_stats as stats; from lift_kernels.fallback import brgemm\n"
        "x, w = torch.ones(4, 8).bfloat16(), torch.ones(50, 8).bfloat16()\n"
        "print(brgemm.is_available(), stats(x, w, torch.zeros(4, dtype=torch.long)).log_prob.exp().mul(50).round().sum().item())"
    )
    words = [sys.executable, "-c", code]
    completed = subprocess.run(
        words, env=os.environ | {"ONEDNN_MAX_CPU_ISA": instructions}, capture_output=True, text=True
    )
    assert completed.stdout.split() == ["False", "4.0"], completed.stderr
