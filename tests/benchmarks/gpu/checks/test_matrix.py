from __future__ import annotations

import pytest

from benchmarks.gpu.checks.check import CROSS_ENTROPY, LIFT, PATHS, STATISTICS, run_check
from benchmarks.gpu.checks.matrix import jobs
from tests.benchmarks.support import HERE, SMOKE, SMOKE_KERNELS


@pytest.mark.parametrize("config", [SMOKE, HERE], ids=["smoke", "real"])
def test_every_check_has_a_name_of_its_own_and_every_path_a_gate(config):
    found = [check for job in jobs(config).values() for check in job]
    assert len({check.name for check in found}) == len(found)
    for op in (CROSS_ENTROPY, STATISTICS, LIFT):
        for path in PATHS:
            assert [check for check in found if (check.op, check.path) == (op, path) and check.gates]
    if not config.is_smoke:
        assert {check.dtype for check in found} == {"bfloat16", "float16", "float32", None}


def test_the_kernels_themselves_go_through_a_check_of_each_op():
    found = {check.op: check for job in jobs(SMOKE_KERNELS).values() for check in job if check.path == "minimal"}
    found |= {check.op: check for job in jobs(SMOKE_KERNELS).values() for check in job if check.op not in found}
    found[CROSS_ENTROPY] = jobs(SMOKE_KERNELS)["values-bfloat16"][0]
    assert len(found) == 5
    for check in found.values():
        record = run_check(check, SMOKE_KERNELS)
        assert record["status"] == "passed", record
