"""Every provider that runs here computes what the truth says, as near as its dtype allows."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ops.accuracy import CaseTruth
from benchmarks.ops.cases import HEADS, WORKS, cases
from benchmarks.ops.provider import Baseline
from benchmarks.ops.providers import BOUND, OWN, PROVIDERS, is_own
from tests.benchmarks.support import HERE

CASES = list(cases(["smoke"], [32], [0.5], WORKS, HEADS))
RIVALS = "cut-cross-entropy", "F.linear", "liger", "quack", "trl"  # tests/benchmarks/rivals has these


@pytest.mark.parametrize("name", [name for name in PROVIDERS if not name.startswith((BOUND, *RIVALS))])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_computes_what_the_case_asks_for(case, name):
    provider, inputs = PROVIDERS[name], case.inputs()
    if not provider.takes(case) or getattr(provider, "compiled", False):
        return
    truth = CaseTruth(case, inputs)
    result = provider.prepare(case, inputs, HERE)()
    losses = provider.token_losses(case, inputs, HERE) if case.trained_leaves else None
    errors, inaccuracy = truth.errors(result, inputs, losses)
    assert (inaccuracy is None) == is_own(name)  # logits in bfloat16 are off by more than the rule allows
    assert errors["token_loss_error_nats"] < (1e-5 if is_own(name) else 5e-2)
    assert max((error for key, error in errors.items() if "gradient" in key), default=0) < 5e-3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_bare_products_leave_no_gradient(case):
    inputs = case.inputs()
    assert PROVIDERS[BOUND].prepare(case, inputs, HERE)() is None
    assert inputs.hidden_states.grad is None and inputs.weight.grad is None


def test_what_takes_which_work():
    statistics, loss, _, lift, _, sampling = CASES
    assert [PROVIDERS[OWN].takes(case) for case in (statistics, loss, lift, sampling)] == [True] * 4
    assert [PROVIDERS[f"{OWN}, two calls"].takes(case) for case in (statistics, loss, lift)] == [False, False, True]
    assert [PROVIDERS["F.linear_cross_entropy"].takes(case) for case in (statistics, loss, lift)] == [
        False,
        True,
        False,
    ]
    in_float32 = next(cases(["smoke"], [32], [0.5], WORKS, HEADS, ["float32"]))
    assert PROVIDERS["logits"].takes(in_float32) and not PROVIDERS["logits in float32"].takes(in_float32)
    assert not PROVIDERS["logits, of targets only"].takes(next(cases(["smoke"], [32], [1.0], WORKS, HEADS)))


def test_only_our_rows_are_our_own():
    assert {name for name in PROVIDERS if is_own(name)} == {name for name in PROVIDERS if name.startswith(OWN)}
    assert PROVIDERS[f"{OWN}, 32 MiB"].missing(HERE) and not PROVIDERS[OWN].missing(HERE)


def test_a_baseline_is_made_of_functions():
    baseline = Baseline(
        lambda *_: lambda: 3, ("loss",), lambda case: case.head == "trained", lambda _: "why", lambda i: i[0]
    )
    assert [baseline.takes(case) for case in CASES] == [False, False, True, False, False, False]
    assert baseline.missing(HERE) == "why" and baseline.prepare(CASES[0], CASES[0].inputs(), HERE)() == 3
    assert torch.equal(baseline.token_losses(CASES[0], CASES[0].inputs(), HERE), CASES[0].inputs()[0])
