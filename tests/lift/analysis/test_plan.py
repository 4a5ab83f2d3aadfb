"""Parts of a data set, and what is counted of it."""

from __future__ import annotations

import numpy as np
from datasets import Dataset

from lift.analysis.plan import plan_parts


def data(lengths, prompt_length=1):
    return Dataset.from_list(
        [{"input_ids": [2] * n, "prompt_length": prompt_length, "example_id": i} for i, n in enumerate(lengths)]
    )


def test_parts_close_when_they_have_enough_tokens_and_leave_no_row_out():
    plan = plan_parts(data([4, 4, 9, 2, 3]), 8, num_ratios=2, tokens_a_part=12)  # 6, 6, 16, 2, 4 of them
    assert plan.parts == [range(0, 2), range(2, 3), range(3, 5)]
    assert plan_parts(data([4, 4]), 8, num_ratios=2, tokens_a_part=12).parts == [range(0, 2)]


def test_only_responses_are_counted_and_the_first_token_where_something_predicts_it():
    rows = [
        {"input_ids": [3, 4, 4, 5], "prompt_length": 2, "example_id": 0},
        {"input_ids": [6, 4], "prompt_length": 0, "example_id": 1},
    ]
    plan = plan_parts(Dataset.from_list(rows), 8, 1)
    assert plan.frequency.tolist() == [0, 0, 0, 0, 2, 1, 1, 0]
    assert np.nonzero(plan.is_used)[0].tolist() == [3, 4, 5, 6]
    assert plan_parts(Dataset.from_list(rows), 8, 1, predicts_next=True).frequency[6] == 0


def test_the_digest_names_ids_and_responses():
    digests = {plan_parts(rows, 8, 1).digest for rows in (data([4, 4]), data([4, 4], 2), data([4, 5]))}
    assert len(digests) == 3 and plan_parts(data([4, 4]), 8, 6).digest in digests
