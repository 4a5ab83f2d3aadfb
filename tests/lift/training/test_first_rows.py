"""What is shown of a first step is what the run trains."""

from __future__ import annotations

import pytest
import torch

from lift import LiftTrainer
from lift.training.first_rows import CANDIDATE, KEPT, PROMPT, PUT_BACK, VISIBLE, first_rows
from tests.lift.support.trainers import trainer_of_uneven_rows
from tests.transformers_version import needs_packing

SPLITS = {"two at once": (4, 1), "one by one": (1, 4)}


class Watched(LiftTrainer):
    """Remembers the clean inputs and the training batches of its first step."""

    def prepare_training_batch(self, model, inputs, draws, seed, **options):
        prepared = super().prepare_training_batch(model, inputs, draws, seed, **options)
        if not options and self.state.global_step == 0 and self.is_in_train:
            self.seen = [*getattr(self, "seen", []), (inputs, prepared)]
        return prepared


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "hard"},
        {"method": "sft"},
        {"method": "gift"},
        {"method": "puma"},
        {"one_forward": True},
        {"pad_in_loss": False},
        pytest.param({"method": "hard", "attention": "block", "block_size": 4}, marks=needs_packing),
    ],
)
def test_the_rows_shown_are_those_that_the_run_trains_first(tmp_path, options, split):
    size, accumulation = SPLITS[split]
    options = options | {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": accumulation,
        "max_steps": 1,
    }
    shown = first_rows(trainer_of_uneven_rows(tmp_path, **options), 2)
    run = trainer_of_uneven_rows(tmp_path, Watched, **options)
    run.evaluate()
    run.train()
    trained = [
        (int(inputs["example_id"][i]), inputs, prepared, i)
        for inputs, prepared in run.seen for i in range(len(inputs["example_id"]))
    ]  # fmt: skip
    assert len(shown) == 2
    for row, (example_id, inputs, prepared, i) in zip(shown, trained, strict=False):
        assert row.example_id == example_id and row.length == inputs["lengths"][i]
        n = len(row.clean_ids)
        states = torch.tensor(row.states)
        labels, seen = prepared.batch.labels[i, :n], prepared.batch.input_ids[i, :n]
        assert row.clean_ids == inputs["input_ids"][i, :n].tolist()
        is_masked = (states == KEPT) | (states == CANDIDATE)
        assert (is_masked == (labels != -100)).all() and (seen[is_masked] == run.mask_token_id).all()
        assert (seen[~is_masked] == torch.tensor(row.clean_ids)[~is_masked]).all()
        assert ((states == PROMPT) == ~inputs["maskable"][i, :n]).all()
        if prepared.rejected is not None and row.mode != ("middle",):
            assert ((states == PUT_BACK) == prepared.rejected[i, :n]).all()
        times = prepared.draws.timestep.view(len(inputs["example_id"]), -1)
        assert row.timestep == pytest.approx(tuple(times[i].tolist()))


def test_a_middle_row_shows_what_it_puts_back(tmp_path):
    trainer = trainer_of_uneven_rows(
        tmp_path, method="middle", timestep_distribution="fixed", fixed_timestep=0.5, min_rho=0.4, max_rho=0.5
    )
    states = [state for row in first_rows(trainer, 4) for state in row.states]
    count = {state: states.count(state) for state in (KEPT, PUT_BACK, VISIBLE)}
    # Of the tokens masked at t + rho = 0.9 or so, t / (t + rho) is kept.
    assert count[PUT_BACK] > 0.4 * (count[KEPT] + count[PUT_BACK]) and count[VISIBLE] < count[PUT_BACK] / 2


@pytest.mark.parametrize("method", ["sft", "lift3"])
def test_tokens_that_are_trained_though_visible_are_shown_as_visible(tmp_path, method):
    """With loss_positions=all every token has a label, and the rows are corrupted as they are without."""
    noise = {"method": method, "corruption": "uniform", "time_scaling": False, "per_device_train_batch_size": 8}
    rows = first_rows(trainer_of_uneven_rows(tmp_path, **noise, loss_positions="all"), 8)
    plain = first_rows(trainer_of_uneven_rows(tmp_path, **noise), 8)
    apart = [
        a != b for one, other in zip(rows, plain, strict=True) for a, b in zip(one.states, other.states, strict=True)
    ]
    assert VISIBLE in rows[0].states and sum(apart) < len(apart) / 8  # noise may draw a token in its own place
    is_put_back = [sum(state == PUT_BACK for row in of for state in row.states) for of in (rows, plain)]
    assert is_put_back[0] >= is_put_back[1] and bool(is_put_back[1]) == (method == "lift3")


def test_a_short_first_step_has_fewer_rows(tmp_path):
    assert len(first_rows(trainer_of_uneven_rows(tmp_path, per_device_train_batch_size=1), 2)) == 1
