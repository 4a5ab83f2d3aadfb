from __future__ import annotations

import types

import pytest

from benchmarks.rivals import cut_cross_entropy


@pytest.mark.parametrize("has_presets", [False, True])
def test_the_exact_one_leaves_out_no_gradient(inputs, fake_module, monkeypatch, has_presets):
    fake_module("cut_cross_entropy", linear_cross_entropy=lambda *given, **options: (given, options))
    find = lambda name: types.SimpleNamespace() if has_presets else None  # noqa: E731
    monkeypatch.setattr(cut_cross_entropy.importlib.util, "find_spec", find)
    given, options = cut_cross_entropy.exact(*inputs)
    assert given == inputs
    assert options == ({"impl": "cce_exact"} if has_presets else {"filter_eps": None})


def test_on_a_cpu_it_compiles_the_logits(inputs, fake_module):
    fake_module("cut_cross_entropy", linear_cross_entropy=lambda *given, **options: options)
    assert cut_cross_entropy.default(*inputs) == {"impl": "torch_compile"}
