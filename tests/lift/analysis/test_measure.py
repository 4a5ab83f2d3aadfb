"""Statistics of masked tokens against the model's own logits, and what their masks depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lift.analysis.measure import draw_masks
from lift.objectives.forward_process import DISCRETE_TIMES
from tests.lift.analysis.conftest import MASK
from tests.lift.support.tiny import tiny_model


def joined(table):
    parts = list(table.parts())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def expect_same(left, right):
    for name, values in joined(left).items():
        other = joined(right)[name]
        if values.dtype.kind == "f" and name != "ratio":
            np.testing.assert_allclose(values, other, atol=1e-5, err_msg=name)
        else:
            assert np.array_equal(values, other), name


def test_every_statistic_is_that_of_the_models_own_logits(table, rows):
    found, model, ids = joined(table), tiny_model(0).eval().double(), {r["example_id"]: r["input_ids"] for r in rows}
    assert len(found["token"]) > 300
    keys = np.stack([found["example"], found["ratio"] * 1e6], 1).astype(np.int64)
    for key in np.unique(keys, axis=0):
        at = (keys == key).all(1)
        clean = torch.tensor(ids[int(key[0])])
        position = torch.from_numpy(found["position"][at]).long()
        with torch.no_grad():
            logits = model(input_ids=clean.index_fill(0, position, MASK)[None]).logits[0, position]
        log_p = logits.log_softmax(-1)
        top = log_p.topk(2).values
        assert np.array_equal(found["token"][at], clean[position])
        truth = {
            "log_prob": log_p.gather(1, clean[position, None])[:, 0], "confidence": top[:, 0].exp(),
            "runner_up_log_prob": top[:, 1], "entropy": -(log_p.exp() * log_p).sum(1),
        }  # fmt: skip
        for name, expected in truth.items():
            np.testing.assert_allclose(found[name][at], expected, atol=1e-5, err_msg=name)
        assert np.array_equal(found["prediction"][at], log_p.argmax(1))
        is_above = log_p > log_p.gather(1, clean[position, None])
        assert np.array_equal(found["rank"][at], 1 + is_above.sum(1))


def test_masks_have_their_ratio_spare_the_prompt_and_come_in_order(table, rows):
    found = joined(table)
    assert found["position"].min() >= 2  # behind the prompt
    num_tokens = sum(len(row["input_ids"]) - 2 for row in rows)
    assert np.array_equal(np.unique(found["ratio"]), np.float32(DISCRETE_TIMES))
    for ratio in DISCRETE_TIMES:
        share = (found["ratio"] == np.float32(ratio)).sum() / num_tokens
        assert abs(share - ratio) < 4 * np.sqrt(ratio * (1 - ratio) / num_tokens)
    order = np.lexsort((found["position"], found["ratio"], found["example"]))
    assert np.array_equal(order, np.arange(len(order)))


def test_frequency_counts_the_responses(table, rows):
    counts = np.bincount(np.concatenate([row["input_ids"][2:] for row in rows]), minlength=8)
    found = joined(table)
    assert np.array_equal(found["frequency"], counts[found["token"]])


def test_masks_are_functions_of_example_position_and_ratio():
    ids, maskable = torch.full((6, 40), 3), torch.ones(6, 40, dtype=torch.bool)
    draw = {"mask_token_id": MASK, "seed": 7}
    numbers = torch.tensor([4, 9, 2, 11, 0, 5])
    masks = draw_masks(ids, maskable, numbers, 0.5, **draw)
    assert torch.equal(draw_masks(ids[:2, :30], maskable[:2, :30], numbers[:2], 0.5, **draw), masks[:2, :30])
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(draw_masks(ids, maskable, numbers, 0.5, mask_token_id=MASK, seed=8), masks)
    higher = draw_masks(ids, maskable, numbers, 0.75, **draw)
    assert (masks & ~higher).any()  # independent, not nested


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"tokens_a_part": 1 << 20}, {"batch_size": "auto"}])
def test_batch_size_and_parts_change_nothing(table, make_table, tmp_path, options):
    expect_same(make_table(tmp_path, **options), table)


def test_a_ratio_has_the_same_masks_among_others(table, make_table, tmp_path):
    alone, found = joined(make_table(tmp_path, ratios=[0.5])), joined(table)
    at = found["ratio"] == np.float32(0.5)
    assert np.array_equal(alone["position"], found["position"][at])
