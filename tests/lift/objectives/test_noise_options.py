"""Which kinds of noise go with which other options."""

from __future__ import annotations

import pytest

from lift.errors import LiftError
from lift.objectives import METHODS, LiftOptions
from tests.lift.support.clean_rows import DENSITY

NEMO = {"corruption": "uniform", "loss_positions": "all", "time_scaling": False}


def test_uniform_noise_goes_with_every_method():
    for method, entry in METHODS.items():
        density = DENSITY if entry.needs_density else None
        LiftOptions(method=method, corruption="uniform", time_density=density).resolve_options()
    for method in ("sft", "lift2", "lift3", "hard", "mirror"):
        LiftOptions(method=method, **NEMO).resolve_options()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"corruption": "gaussian"}, "corruption must be one of mask, uniform"),
        ({"loss_positions": "some"}, "loss_positions must be one of corrupted, all"),
        ({"corruption": "uniform", "mask_token_id": 4}, "mask_token_id=4 is of corruption=mask: leave it out"),
        ({"corruption": "uniform", "exclude_mask_token": True}, "exclude_mask_token=True is of corruption=mask"),
        ({"loss_positions": "all"}, "would train visible tokens, which are known: set corruption=uniform too"),
        (NEMO | {"time_scaling": True}, "loss_positions=all weighs all tokens alike: set time_scaling=False"),
        (NEMO | {"method": "cart"}, "method='cart' weighs the tokens that it chose: set loss_positions=corrupted"),
        (NEMO | {"one_forward": True}, "one_forward weighs the tokens that it chose"),
        (NEMO | {"score_source": "cache"}, "would learn from tokens that were not corrupted: use score_source=model"),
    ],
)
def test_what_does_not_go_together_is_refused(options, sentence):
    with pytest.raises(LiftError, match=sentence):
        LiftOptions(**options).resolve_options()
