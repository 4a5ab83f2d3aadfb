from __future__ import annotations

import pytest
import torch

from benchmarks.ops.cases import CASES, KINDS, cases_of


def test_the_cases_of_a_gpu_are_those_of_real_models_and_the_first_are_the_important_ones():
    cases = cases_of("gpu")
    assert list(cases)[:6] == [
        f"llada-8b-{what}-{kind}" for what in ("4096", "sequence") for kind in ("frozen", "trained", "stats")
    ]
    assert len(cases) == 2 * 7 * 3
    for rows in (256, 512, 1024, 2048, 4096, 8192):
        assert cases[f"llada-8b-{rows}-frozen"].num_targets == cases[f"dream-7b-{rows}-stats"].num_targets == rows
    sequence = cases["llada-8b-sequence-trained"]
    assert (sequence.num_tokens, sequence.num_targets) == (4096, 1638)
    assert cases["llada-8b-4096-trained"].flops == 3 * 2 * 4096 * 4096 * 126464
    assert (cases["dream-7b-256-stats"].num_products, cases["dream-7b-256-stats"].op) == (1, "linear_token_stats")
    assert {name for name, case in cases.items() if case.compiles} == {
        f"{shape}-{kind}" for shape in ("llada-8b-4096", "llada-8b-sequence", "dream-7b-4096") for kind in KINDS
    }


def test_every_case_has_its_name_and_its_suite():
    assert {name: case.name for name, case in CASES.items()} == {name: name for name in CASES}
    assert sum(len(cases_of(suite)) for suite in ("smoke", "cpu", "gpu")) == len(CASES)
    assert all(case.name.endswith(case.kind) for case in CASES.values())


@pytest.mark.parametrize("name", ["smoke-frozen", "smoke-sequence-trained"])
def test_inputs_are_the_same_each_time_and_ignore_the_share_asked_for(name):
    case = CASES[name]
    first, second = case.inputs(), case.inputs("cpu")
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    hidden_states, weight, targets = first
    assert hidden_states.requires_grad and weight.requires_grad == case.trains_head and weight.is_leaf
    assert int((targets != -100).sum()) == case.num_targets and hidden_states.dtype == weight.dtype == torch.bfloat16
