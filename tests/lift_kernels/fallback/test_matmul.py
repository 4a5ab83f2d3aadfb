"""Products of half-precision operands, summed and returned in float32."""

from __future__ import annotations

import threading

import pytest
import torch

from lift_kernels.fallback import brgemm, matmul, mkl
from lift_kernels.fallback import linear_cross_entropy as backend
from lift_kernels.linear_head import LinearHead, NeedsGrad
from lift_kernels.testing import Head

HALF = (torch.bfloat16, torch.float16)


@pytest.fixture(params=[False, True], ids=["widened", "avx512_bf16"])
def has_avx512_bf16(request, monkeypatch):
    if request.param and not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    monkeypatch.setattr(matmul, "has_avx512_bf16", lambda: request.param)
    monkeypatch.setattr(mkl, "is_available", lambda: False)
    monkeypatch.setattr(brgemm, "is_available", lambda: False)
    return request.param


@pytest.mark.parametrize("dtype", [*HALF, torch.float32, torch.float64])
def test_logits_are_those_of_float32_products(dtype, has_avx512_bf16):
    head = Head.random(20, 64, 50, dtype)
    rows, _ = matmul.HeadRows(head.weight, 30)[10:40]
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    z = matmul.LogitProduct(head.hidden_states)(rows, torch.empty(30 * 20, dtype=wide))
    truth = head.weight.double()[10:40] @ head.hidden_states.double().T
    assert z.dtype == wide
    torch.testing.assert_close(z.double(), truth, rtol=1e-6, atol=2e-6)


def test_bfloat16_is_multiplied_as_such_only_where_there_are_instructions(has_avx512_bf16):
    expected = torch.bfloat16 if has_avx512_bf16 else torch.float32
    assert matmul.operand_dtype(torch.ones(1, dtype=torch.bfloat16)) == expected
    assert matmul.operand_dtype(torch.ones(1, dtype=torch.float16)) == torch.float32  # its range holds no 1/t weights
    rows, operand = matmul.HeadRows(torch.ones(4, 2, dtype=torch.bfloat16), 4)[:3]
    assert rows.dtype == torch.float32 and operand.dtype == expected and len(rows) == len(operand) == 3


@pytest.mark.parametrize("way", [mkl, brgemm])
def test_nothing_is_widened_where_bfloat16_is_multiplied(way, monkeypatch):
    monkeypatch.setattr(matmul, "has_avx512_bf16", lambda: True)
    for one in (mkl, brgemm):
        monkeypatch.setattr(one, "is_available", lambda is_it=one is way: is_it)
    weight = torch.ones(4, 2, dtype=torch.bfloat16)
    rows, operand = matmul.HeadRows(weight, 4)[:3]
    assert rows.data_ptr() == operand.data_ptr() == weight.data_ptr()


@pytest.mark.parametrize("dtype", [*HALF, torch.float32, torch.float64])
def test_products_are_added_to_sums_of_zero(dtype):
    a, b = torch.rand(30, 20).to(dtype), torch.rand(30, 64).to(dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    operand = a.to(matmul.operand_dtype(a))
    total = matmul.zero_sums(a.new_empty(20, 64))
    assert total.shape == (20, 64) and total.dtype == wide and not total.any()
    for _ in range(2):
        matmul.add_product(total, operand.t(), b.to(operand.dtype))
    rounding = 2 * torch.finfo(operand.dtype).eps if operand.dtype != wide else 1e-6
    torch.testing.assert_close(total.double(), 2 * a.double().T @ b.double(), rtol=rounding, atol=0)


def test_rocm_is_not_asked_for_float32_results(monkeypatch):
    half = torch.empty(1, dtype=torch.bfloat16, device="meta")
    monkeypatch.setattr(type(half), "device", property(lambda self: torch.device("cuda")), raising=False)
    monkeypatch.setattr(torch.version, "hip", None)
    assert matmul.has_out_dtype(half)
    monkeypatch.setattr(torch.version, "hip", "7.0")
    assert not matmul.has_out_dtype(half)


def test_float32_products_of_other_threads_see_no_setting_changed():
    head = Head.random(64, 256, 4096, torch.bfloat16, ignored=0)
    precision = torch.backends.mkldnn.matmul
    before, a = precision.fp32_precision, torch.randn(64, 64)
    expected, seen, is_done = a @ a, [], threading.Event()

    def watch() -> None:
        while not is_done.is_set():
            seen.append((precision.fp32_precision, (a @ a).equal(expected)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        backend.token_stats(
            head.hidden_states, LinearHead(head.weight), head.targets, workspace_bytes=None, all_stats=False
        )
    is_done.set()
    watcher.join()
    assert len(seen) > 5 and set(seen) == {(before, True)}


@pytest.mark.parametrize("way", [mkl, brgemm])
@pytest.mark.parametrize("is_trained", [False, True])
def test_every_way_to_the_loss_is_as_exact_as_widening_the_head(way, is_trained, monkeypatch):
    if not way.is_available():
        pytest.skip("this processor has no such product")
    monkeypatch.setattr(mkl, "is_available", lambda: way is mkl)
    head = Head.random(50, 64, 300, torch.bfloat16)
    needs = NeedsGrad(hidden_states=True, weight=is_trained, bias=False)

    def found(dtype: torch.dtype = torch.bfloat16) -> tuple[torch.Tensor, ...]:
        kept = head.targets != -100
        stats, _, gradients = backend.loss_gradients(
            head.hidden_states[kept].to(dtype), LinearHead(head.weight.to(dtype)), head.targets[kept],
            torch.ones(int(kept.sum())), needs, workspace_bytes=None, all_stats=True,
        )  # fmt: skip
        return stats.log_prob, stats.entropy, gradients.hidden_states, *([gradients.weight] if is_trained else [])

    truth, by_way = found(torch.float64), found()
    for other in (mkl, brgemm):
        monkeypatch.setattr(other, "is_available", lambda: False)
    for ours, other, exact in zip(by_way, found(), truth, strict=True):
        error, other_error = ((x.double() - exact).square().mean().sqrt() for x in (ours, other))
        assert ours.is_contiguous() and error <= 1.1 * other_error + 1e-7
