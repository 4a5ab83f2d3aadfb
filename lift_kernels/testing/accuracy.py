"""The two rules by which a result counts as accurate. Both raise; neither returns a verdict that could be dropped.

The truth is the definition in float64 on the same rounded inputs. What is kept in float32 must be absolutely close to
it; what is rounded to the working dtype may be a little worse than the plain implementation in that dtype, no more.
Ratios are taken over whole tensors: on a single number the plain error may happen to be nearly 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

NATS = 1e-4
# Tensor cores cut off what a float32 sum cannot hold each time they add to it, once for 16 (or 8) products: always
# towards 0. Over 4096 products that is up to 1e-5 of a logit.
TENSOR_CORE_SHARE = 1e-5
RMS_RATIO, MAX_RATIO = 1.5, 2.0


def assert_nats_close(
    *, ours: Tensor, truth: Tensor, atol: float = NATS, rtol: float = 1e-6, logit_size: Tensor | float = 0.0
) -> None:
    """Raise unless |ours - truth| <= atol (+ rtol |truth|, for values far from 1) everywhere: losses and statistics.

    Where tensor cores multiplied bfloat16 or float16, in whatever library, 1e-5 `logit_size` is allowed besides.

    Args:
        ours: (...) floating, in nats.
        truth: (...) float64, the same shape.
        atol: nats.
        rtol: a share of the truth.
        logit_size: a number or (...), how large the logits are that each value is a difference of: for log p of a
            target |z_target| + max |z|, for lse and `max_log_prob` max |z|.

    Raises:
        AssertionError: a value is off by more or is not finite, the shapes differ, or the truth is not float64.
    """
    _assert_comparable(ours, truth)
    excess = (ours.double() - truth).abs() - rtol * truth.abs() - TENSOR_CORE_SHARE * logit_size
    worst = excess.max().item() if excess.numel() else 0.0
    if not worst <= atol:
        raise AssertionError(f"off by {worst:.3g} nats, more than {atol:g}")


def assert_gradient_close(*, ours: Tensor, truth: Tensor, baseline: Tensor) -> None:
    """Raise unless a gradient's error stays near that of the plain implementation in the same dtype.

    Its root mean square may be 1.5 times and its largest entry twice that of the plain implementation. One unit in the
    last place of the root mean square, or of the largest entry, is always allowed: rounding the truth itself costs half
    of it. In float64, where plain errors are those of the truth, 1e-12 of the largest entry is allowed.

    Args:
        ours: (...) floating.
        truth: (...) float64, the same shape.
        baseline: (...) floating, the plain implementation's.

    Raises:
        AssertionError: an error is larger, an entry is not finite, the shapes differ, or the truth is not float64.
    """
    _assert_comparable(ours, truth)
    _assert_comparable(baseline, truth)
    if truth.numel() == 0:
        return
    if ours.dtype == torch.float64:
        torch.testing.assert_close(ours, truth, rtol=0, atol=1e-12 * truth.abs().max().item())
        return
    error, plain = (ours.double() - truth).abs(), (baseline.double() - truth).abs()
    for name, measure, ratio in (("rms", _rms, RMS_RATIO), ("largest", torch.max, MAX_RATIO)):
        ulp = torch.finfo(ours.dtype).eps * measure(truth.abs())
        allowed = ratio * measure(plain) + ulp
        if not measure(error) <= allowed:
            raise AssertionError(f"{name} error {measure(error):.3g}, allowed {allowed:.3g} ({ratio} x plain + 1 ulp)")


def _rms(error: Tensor) -> Tensor:
    return error.square().mean().sqrt()


def _assert_comparable(ours: Tensor, truth: Tensor) -> None:
    if truth.dtype != torch.float64:
        raise AssertionError(f"the truth must be float64, got {truth.dtype}")
    if ours.shape != truth.shape:
        raise AssertionError(f"shape {tuple(ours.shape)} instead of {tuple(truth.shape)}")
    if not ours.isfinite().all():
        raise AssertionError("not all finite")
