from __future__ import annotations

import pytest

from benchmarks.training.objectives import OBJECTIVES, SFT
from lift import METHODS, LiftConfig


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_objective_is_a_configuration(tmp_path, name):
    config = LiftConfig(output_dir=str(tmp_path), use_cpu=True, **OBJECTIVES[name])
    assert {field: getattr(config, field) for field in OBJECTIVES[name]} == OBJECTIVES[name]


def test_methods_that_choose_among_modes_are_measured_and_sft_is_what_the_others_are_compared_with():
    of_one_mode = {"hard", "middle", "easy"}  # each costs what LIFT-3 costs in steps of that mode
    assert {changes["method"] for changes in OBJECTIVES.values()} == set(METHODS) - of_one_mode
    assert OBJECTIVES[SFT] == {"method": "sft"}
