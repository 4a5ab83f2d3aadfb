from __future__ import annotations

from dataclasses import fields

from benchmarks.gpu.checks.sizes import Sizes


def test_one_shape_has_more_logits_than_32_bits_count():
    num_rows, _, vocab_size = Sizes().beyond_int32
    assert num_rows * vocab_size > 2**31


def test_no_shape_of_a_smoke_test_is_left_large():
    real, smoke = Sizes(), Sizes.smoke()
    same = [field.name for field in fields(Sizes) if getattr(real, field.name) == getattr(smoke, field.name)]
    assert same == ["chunk_bytes"]
