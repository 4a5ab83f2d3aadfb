from __future__ import annotations

import pytest

from benchmarks.rivals import liger
from benchmarks.rivals.rival import IGNORED


@pytest.mark.parametrize("has_two", [False, True])
def test_the_triton_one_is_told_so_where_there_are_two(inputs, fake_module, has_two):
    class Function:
        supports_inner_impl_dispatch = has_two

        @staticmethod
        def apply(*given):
            return given, None

    fake_module("liger_kernel.ops.fused_linear_cross_entropy", LigerFusedLinearCrossEntropyFunction=Function)
    given = liger.triton(*inputs)
    assert given[:3] == inputs and given[5] == IGNORED and given[8] == "mean"
    assert given[15:] == (("nvidia-triton", None) if has_two else ())


def test_the_one_for_hopper_gets_whole_tiles_of_rows(inputs, fake_module):
    class Function:
        @staticmethod
        def apply(*given):
            return given

    fake_module(
        "liger_kernel.ops.cutedsl.ops.fused_linear_cross_entropy_sm90",
        LigerFusedLinearCrossEntropySM90Function=Function,
    )
    rows, weight, targets = liger.cute(*inputs)
    assert rows.shape == (128, 8) and weight is inputs[1] and (targets[10:] == IGNORED).all()


def test_the_names_are_those_of_the_installed_release():
    function = pytest.importorskip("liger_kernel.ops.fused_linear_cross_entropy").LigerFusedLinearCrossEntropyFunction
    if getattr(function, "supports_inner_impl_dispatch", False):
        names = function.forward.__wrapped__.__code__.co_varnames
        assert names[1:6] == ("_input", "weight", "target", "bias", "ce_weight") and names[16:18] == (
            "ce_impl",
            "ce_mode",
        )
