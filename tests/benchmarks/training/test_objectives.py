from __future__ import annotations

import pytest

from benchmarks.training.objectives import IN_BLOCKS, METHODS_ALONE, OBJECTIVES, SFT, with_density
from lift import METHODS, LiftConfig


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_is_a_configuration(tmp_path, name):
    config = LiftConfig(output_dir=str(tmp_path), use_cpu=True, **with_density(OBJECTIVES[name], str(tmp_path)))
    assert {field: getattr(config, field) for field in OBJECTIVES[name]} == OBJECTIVES[name]


def test_every_method_is_measured_and_in_blocks_where_it_takes_them():
    assert list(METHODS_ALONE) == list(METHODS) and OBJECTIVES[SFT] == {"method": "sft"}
    in_blocks = [name.removesuffix(IN_BLOCKS) for name in OBJECTIVES if name.endswith(IN_BLOCKS)]
    assert in_blocks == [name for name, method in METHODS.items() if not method.whole_rows]
    assert all(OBJECTIVES[name + IN_BLOCKS]["attention"] == "block" for name in in_blocks)
