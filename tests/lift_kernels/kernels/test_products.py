from __future__ import annotations

import pytest
import torch

from lift_kernels.kernels import products
from lift_kernels.kernels.products import ProductSum, dot_precision, multiply, whole_reductions

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def operands(dtype: torch.dtype, device: torch.device):
    a, b = torch.randn(21, 70, device=device).to(dtype), torch.randn(70, 33, device=device).to(dtype)
    return a, b, a.double() @ b.double()


@pytest.mark.parametrize("scratch_bytes", [1 << 20, 4 * (21 + 33) * 9, 1], ids=["at-once", "strips", "single-terms"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_products_accumulate_in_float32(dtype, scratch_bytes, kernel_device):
    a, b, true = operands(dtype, kernel_device)
    out = torch.full((21, 33), torch.nan, device=kernel_device)
    multiply(a, b, out, scratch_bytes=scratch_bytes)
    torch.testing.assert_close(out.double(), true, rtol=1e-5, atol=1e-5)
    multiply(b.t(), a.t(), out.t(), accumulate=True, scratch_bytes=scratch_bytes)
    torch.testing.assert_close(out.double(), 2 * true, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_result_in_the_dtype_of_the_operands_is_rounded_once(dtype, kernel_device):
    a, b, true = operands(dtype, kernel_device)
    out = torch.full((33, 40), torch.nan, dtype=dtype, device=kernel_device)[:, :21].t()
    multiply(a, b, out)
    torch.testing.assert_close(out.double(), true, rtol=torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_product_of_no_terms_is_zero(dtype, kernel_device):
    out = torch.full((3, 4), torch.nan, device=kernel_device)
    none = torch.empty(0, 4, dtype=dtype, device=kernel_device)
    multiply(none[:, :3].t(), none, out)
    assert not out.any()
    out.fill_(2.0)
    multiply(none[:, :3].t(), none, out, accumulate=True)
    assert (out == 2).all()


@pytest.mark.parametrize("adds_to_float32", [True, False])
def test_with_products_that_take_an_output_dtype(adds_to_float32, monkeypatch):
    """What CUDA offers, played by float32 products; torch 2.9 refuses to add to a float32 sum."""
    plain_mm, plain_addmm, calls = torch.mm, torch.addmm, []

    def mm(a, b, *, out_dtype=None, out=None):
        assert a.dtype == b.dtype == torch.bfloat16 and out_dtype == torch.float32
        calls.append(("mm", a.shape[0]))
        return plain_mm(a.float(), b.float(), out=out)

    def addmm(total, a, b, *, out_dtype, out):
        assert adds_to_float32 and out is total and a.dtype == b.dtype == torch.bfloat16 and out_dtype == torch.float32
        calls.append(("addmm", a.shape[0]))
        return plain_addmm(total, a.float(), b.float(), out=out)

    monkeypatch.setattr(torch, "mm", mm)
    monkeypatch.setattr(torch, "addmm", addmm)
    monkeypatch.setattr(products, "_has_out_dtype", lambda device: True)
    monkeypatch.setattr(products, "_ADDS_TO_FLOAT32", adds_to_float32)
    a, b, true = operands(torch.bfloat16, torch.device("cpu"))
    out = torch.full((21, 33), torch.nan)
    scratch_bytes = 4 * 33 * 8
    multiply(a, b, out, scratch_bytes=scratch_bytes)
    multiply(a, b, out, accumulate=True, scratch_bytes=scratch_bytes)
    torch.testing.assert_close(out.double(), 2 * true, rtol=1e-5, atol=2e-5)
    assert calls == [("mm", 21), *([("addmm", 21)] if adds_to_float32 else [("mm", 8), ("mm", 8), ("mm", 5)])]
    assert products.needs_scratch(torch.bfloat16, torch.device("cuda")) != adds_to_float32
    assert not products.needs_scratch(torch.float32, torch.device("cuda"))


@pytest.mark.parametrize("num_rows", [4, 12, 0], ids=["buffer-of-a-block", "buffer-of-all", "no-buffer"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sums_of_products_are_rounded_once(dtype, num_rows, kernel_device):
    result = torch.full((12, 5), torch.nan, dtype=dtype, device=kernel_device)
    terms = 3 if num_rows or dtype == torch.float32 else 1
    a, b = torch.randn(terms, 12, 7).to(kernel_device, dtype), torch.randn(terms, 7, 5).to(kernel_device, dtype)
    sums = ProductSum(result, num_rows, 1 << 20)
    for start in (0, 4, 8):
        rows = slice(start, start + 4)
        for i in range(terms):
            sums.add(rows, a[i, rows], b[i], is_first=i == 0, is_last=i == terms - 1)
    true = (a.double() @ b.double()).sum(0)
    torch.testing.assert_close(result.double(), true, rtol=torch.finfo(dtype).eps / 2 + 1e-6, atol=1e-5)


def test_dots_follow_the_precision_of_torch():
    before = torch.get_float32_matmul_precision()
    try:
        for setting, expected in (("high", "tf32"), ("medium", "tf32"), ("highest", "ieee")):
            torch.set_float32_matmul_precision(setting)
            assert dot_precision(torch.float32) == expected
            assert dot_precision(torch.bfloat16) == dot_precision(torch.float16) == "ieee"
    finally:
        torch.set_float32_matmul_precision(before)


def reduction_setting() -> tuple[bool, ...]:
    matmul = torch.backends.cuda.matmul
    return tuple(
        getattr(matmul, f"allow_bf16_reduced_precision_reduction{part}") for part in ("", "_split_k")
        if hasattr(matmul, f"allow_bf16_reduced_precision_reduction{part}")
    )  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
def test_parts_of_a_bfloat16_result_are_not_added_in_bfloat16(before, monkeypatch):
    """cuBLAS may do so where torch's setting allows it; it is left as it was, also where a product raises."""
    matmul, seen, plain = torch.backends.cuda.matmul, [], torch.mm
    default = reduction_setting()

    def mm(a, b, **options):
        seen.append(matmul.allow_bf16_reduced_precision_reduction)
        return plain(a, b, **options)

    monkeypatch.setattr(torch, "mm", mm)
    a, b, true = operands(torch.bfloat16, torch.device("cpu"))
    try:
        matmul.allow_bf16_reduced_precision_reduction = before
        setting = reduction_setting()
        out = torch.empty(21, 33, dtype=torch.bfloat16)
        multiply(a, b, out)
        torch.testing.assert_close(out.double(), true, rtol=torch.finfo(torch.bfloat16).eps, atol=1e-5)
        assert seen == [False] and reduction_setting() == setting
        with pytest.raises(RuntimeError):
            multiply(a, a, out)
        assert seen == [False, False] and reduction_setting() == setting
        with whole_reductions(), whole_reductions():
            assert not matmul.allow_bf16_reduced_precision_reduction
        assert reduction_setting() == setting
    finally:
        matmul.allow_bf16_reduced_precision_reduction = default if len(default) > 1 else default[0]


def test_rocm_has_no_products_with_an_output_dtype(monkeypatch):
    cuda = torch.device("cuda")
    assert products._has_out_dtype(cuda)
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert not products._has_out_dtype(cuda) and products.needs_scratch(torch.bfloat16, cuda)
