"""What is logged by time and frequency: against sums over the tokens by hand, and of real micro-batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lift.learnability.bands import BANDS
from lift.models.transformers_versions import keeps_packed_examples_apart
from lift.objectives import MIDDLE
from lift.training.token_grid import NUM_TIMES, TokenGrid
from tests.lift.support.trainers import micro_batch, trainer_of_uneven_rows, training_batch

BANDS_OF_TOKENS = torch.tensor([0, 4, 0, 1, 2, 3, 4, 0])
CASES = [
    {"method": "lift3"}, {"method": "lift2", "one_forward": True}, {"method": "sft"}, {"method": "margin"},
    {"method": "lift3", "complementary": True}, {"method": "lift3", "one_forward": True, "learnability": "soft"},
]  # fmt: skip
if keeps_packed_examples_apart():
    CASES.append({"method": "lift2", "attention": "block", "block_size": 4})


def by_hand(trainer, inputs, prepared, outputs):
    """The sums of each (time, band) of a micro-batch, token by token: trained, log_prob, kept, rejected, theirs."""
    found = np.zeros((5, NUM_TIMES, len(BANDS)))
    num_rows, width = inputs["input_ids"].shape
    log_prob = outputs.token_stats.log_prob
    for row in range(num_rows):
        for place in range(width):
            unit = row if prepared.blocks is None else row * prepared.blocks.per_row + place // prepared.blocks.size
            cell = int(prepared.draws.timestep[unit] * NUM_TIMES), BANDS_OF_TOKENS[inputs["input_ids"][row, place]]
            is_masked = bool(prepared.batch.labels[row, place] != -100)
            has_choice = prepared.one_forward is not None and prepared.one_forward.learnability == "hard"
            is_trained = bool(outputs.learnability[row, place]) if is_masked and has_choice else is_masked
            if has_choice:
                is_rejected, of_rejected = is_masked and not is_trained, log_prob
            else:
                is_rejected = prepared.rejected is not None and bool(prepared.rejected[row, place])
                of_rejected = prepared.rejected_log_prob
            is_ranked = prepared.draws.order is not None and bool(prepared.draws.order[unit] != MIDDLE)
            is_ranked = is_ranked and (has_choice or prepared.rejected is not None)
            values = (
                is_trained, float(log_prob[row, place]) * is_trained, is_trained and is_ranked, is_rejected,
                0.0 if not is_rejected else math.nan if of_rejected is None else float(of_rejected[row, place]),
            )  # fmt: skip
            found[(slice(None), *cell)] += values
    return found


@pytest.mark.parametrize("options", CASES, ids=lambda options: "-".join(map(str, options.values())))
def test_sums_are_those_of_the_tokens(tmp_path, monkeypatch, options):
    trainer = trainer_of_uneven_rows(tmp_path, report_to="none", **options)
    kept = []
    monkeypatch.setattr(trainer, "log_micro_batch", lambda prepared, outputs: kept.append((prepared, outputs)))
    inputs = micro_batch(trainer, range(12))
    trainer.compute_loss(trainer.model, inputs)
    ((prepared, outputs),) = kept
    grid = TokenGrid(BANDS_OF_TOKENS, torch.device("cpu"))
    grid.add(prepared, outputs)
    grid.add(prepared, outputs)
    expected = by_hand(trainer, inputs, prepared, outputs)
    entry = grid.take(lambda sums: sums)
    trained, log_prob, ranked, rejected, of_rejected = expected
    for key, cells in [
        ("t_0.50", (slice(2, 3), slice(None))),
        ("frequency_1_to_10_percent", (slice(None), slice(1, 2))),
    ]:
        assert entry[f"{key}_log_prob"] == pytest.approx(log_prob[cells].sum() / trained[cells].sum(), rel=1e-5)
        scored = ranked[cells].sum() + rejected[cells].sum()
        share = pytest.approx(ranked[cells].sum() / scored) if scored else None
        assert entry.get(f"{key}_kept_share") == share
        mean = of_rejected[cells].sum() / rejected[cells].sum() if rejected[cells].any() else math.nan
        assert entry.get(f"{key}_rejected_log_prob") == (None if math.isnan(mean) else pytest.approx(mean, rel=1e-5))
    np.testing.assert_allclose(
        grid.latest["log_prob"], np.where(trained, log_prob / trained.clip(1), np.nan), rtol=1e-5
    )
    assert ("kept_share" in grid.latest) == bool(ranked.any() or rejected.any())
    assert grid.take(lambda sums: sums) == {} and grid.latest == {}


def test_processes_add_their_sums_and_without_frequencies_there_are_times_alone(tmp_path):
    trainer = trainer_of_uneven_rows(tmp_path, method="lift2", report_to="none")
    inputs = micro_batch(trainer)
    kept = []
    trainer.log_micro_batch = lambda prepared, outputs: kept.append((prepared, outputs))
    trainer.compute_loss(trainer.model, inputs)
    grids = [TokenGrid(bands, torch.device("cpu")) for bands in (BANDS_OF_TOKENS, None)]
    for grid in grids:
        grid.add(*kept[0])
    asked = []
    both, times = (grid.take(lambda sums: asked.append(sums.clone()) or 2 * sums) for grid in grids)
    assert len(asked) == 2 and times == {key: value for key, value in both.items() if key.startswith("t_")}


def test_nothing_is_read_back(tmp_path):
    """Fake tensors have no values, so an attempt to read one raises."""
    trainer = trainer_of_uneven_rows(tmp_path, method="lift3", report_to="none")
    prepared = training_batch(trainer, micro_batch(trainer))
    log_prob = torch.zeros(prepared.batch.labels.shape)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        grid = TokenGrid(None, torch.device("cpu"))
        grid._bands = mode.from_tensor(BANDS_OF_TOKENS)
        stats = type("Stats", (), {"log_prob": mode.from_tensor(log_prob)})
        grid.add(prepared, type("Outputs", (), {"token_stats": stats}))


@pytest.mark.parametrize(("log_tokens", "kinds"), [("modes", set()), ("bands", {"t", "frequency"})])
def test_a_run_logs_what_it_is_asked_for(tmp_path, log_tokens, kinds):
    trainer = trainer_of_uneven_rows(tmp_path, method="lift3", log_tokens=log_tokens, max_steps=1, report_to="none")
    trainer.train()
    entry = trainer.state.log_history[0]
    assert {key.split("_")[0] for key in entry if key.startswith(("t_", "frequency_"))} == kinds
    assert "mean_t" in entry
