"""Which options go with a density of times."""

from __future__ import annotations

import pytest

from lift.errors import LiftError
from lift.objectives import LiftOptions
from tests.lift.support.clean_rows import DENSITY


@pytest.mark.parametrize(
    "options",
    [
        {"method": "ppots"}, {"method": "lift3", "one_forward": True}, {"method": "mirror"}, {"method": "cart"},
        {"method": "blockwise"}, {"method": "ppots", "timestep_distribution": "low_discrepancy"},
        {"method": "sft", "complementary": True}, {"loss_normalizer": "micro_batch"},
        {"mode_scope": "batch", "mode_policy": "random"}, {"method": "hard", "mode_scope": "batch"},
    ],
    ids=str,
)  # fmt: skip
def test_a_density_goes_with_methods_and_spread_times(options):
    LiftOptions(**options, time_density=DENSITY).resolve_options()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "ppots", "time_density": None}, "set time_density to a file of lift measure-t"),
        ({"method": "gift"}, "method='gift' takes a mean that weights cannot correct"),
        ({"method": "confidence"}, "method='confidence' takes a mean"),
        ({"timestep_distribution": "discrete"}, "which timestep_distribution=discrete does not give"),
        ({"timestep_distribution": "fixed", "fixed_timestep": 0.5}, "timestep_distribution=fixed does not give"),
        ({"time_range": [0.3, 0.8]}, "measured at times from 0.001 to 1, and those trained go from 0.3 to 0.8"),
        ({"time_epsilon": 0.01}, "those trained go from 0.01 to 1: measure it with the same time_range"),
        ({"time_density": "none.json"}, "time_density none.json cannot be read"),
        ({"loss_normalizer": "trained"}, "loss_normalizer=trained divides by a number that depends on the times"),
        ({"mode_scope": "batch"}, "mode_scope=batch chooses a row's mode by the times of other rows too"),
        ({"max_importance": 0.0}, "max_importance must be above 0"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_one_sentence(options, words):
    with pytest.raises(LiftError, match=words):
        LiftOptions(**({"time_density": DENSITY} | options)).resolve_options()
