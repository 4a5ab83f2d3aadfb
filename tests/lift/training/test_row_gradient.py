"""Gradients of single rows: those of a training step of that row, at draws that each number changes as it should."""

from __future__ import annotations

import pytest
import torch

from lift import LiftTrainer
from lift.errors import LiftError
from lift.models.transformers_versions import keeps_packed_examples_apart
from lift.objectives import step_seed
from lift.tasks import sudoku
from lift.training import RowGradient
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows
from tests.lift.support.trainers import micro_batch, trainer_of_uneven_rows

CASES = [
    {"method": "sft"}, {"method": "lift3"}, {"method": "gift"}, {"method": "blockwise"},
    {"method": "mirror", "loss_normalizer": "batch"}, {"method": "confidence"},
    {"method": "lift3", "one_forward": True, "learnability": "soft"},
]  # fmt: skip
if keeps_packed_examples_apart():
    CASES.append({"method": "lift2", "attention": "block", "block_size": 4})


@pytest.mark.parametrize("options", CASES, ids=lambda options: "-".join(map(str, options.values())))
def test_a_gradient_is_that_of_a_step_of_the_row(tmp_path, monkeypatch, options):
    trainer = trainer_of_uneven_rows(tmp_path, report_to="none", **options)
    found = RowGradient(trainer)(5, 1, 2)
    assert any(gradient.any() for gradient in found)
    of_time = step_seed(step_seed(trainer.args.seed, 5), 1)
    inputs = micro_batch(trainer, [5])
    inputs["draws"] = trainer._batches.draw(inputs, of_time)
    monkeypatch.setattr(trainer, "_seed", lambda: step_seed(of_time, 2))
    trainer.compute_loss(trainer.model, inputs).backward()
    for gradient, parameter in zip(found, trainer.model.parameters(), strict=True):
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("distribution", ["uniform", "low_discrepancy"])
def test_times_are_of_the_row_and_their_number_and_masks_of_all_three(tmp_path, monkeypatch, distribution):
    trainer = trainer_of_uneven_rows(tmp_path, method="lift3", timestep_distribution=distribution, report_to="none")
    draw, seen = RowGradient(trainer), []
    real = trainer.prepare_training_batch

    def prepare(*args, **options):
        prepared = real(*args, **options)
        seen.append((float(prepared.timestep), float(prepared.draws.rho), prepared.batch.input_ids.tolist()))
        return prepared

    monkeypatch.setattr(trainer, "prepare_training_batch", prepare)
    numbers = [(row, time, mask) for row in (3, 8) for time in range(3) for mask in range(3)]
    for place in [*numbers, *numbers]:
        draw(*place)
    assert seen[: len(numbers)] == seen[len(numbers) :]
    assert len({time for time, _, _ in seen}) == len({rho for _, rho, _ in seen}) == 6  # one of each row and number
    middle = min((time for time, _, _ in seen), key=lambda time: abs(time - 0.5))
    masks = [str(ids) for time, _, ids in seen[: len(numbers)] if time == middle]
    assert len(masks) == 3 == len(set(masks))


def test_the_model_stays_as_it_is_and_nothing_drops_out(tmp_path):
    trainer = trainer_of_uneven_rows(tmp_path, report_to="none")
    trainer.model.model.layers[0].mlp.drop.p = 0.9
    trainer.model.train()
    draw = RowGradient(trainer)
    first, second = draw(0, 0, 0), draw(0, 0, 0)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
    assert trainer.model.training and all(parameter.grad is None for parameter in trainer.model.parameters())
    assert draw.num_parameters == sum(parameter.numel() for parameter in trainer.model.parameters())


def test_only_what_is_trained_has_a_gradient(tmp_path):
    model = tiny_model()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("layers.1" in name)
    args = tiny_config(tmp_path, report_to="none")
    trainer = LiftTrainer(model, args, train_dataset=uneven_rows(), processing_class=sudoku.build_tokenizer())
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert [gradient.shape for gradient in RowGradient(trainer)(0, 0, 0)] == [parameter.shape for parameter in trained]
    model.requires_grad_(False)
    with pytest.raises(LiftError, match="no parameter that is trained"):
        RowGradient(trainer)


def test_what_depends_on_earlier_steps_is_refused(tmp_path):
    with pytest.raises(LiftError, match="method='puma' masks a row by what earlier steps have seen"):
        RowGradient(trainer_of_uneven_rows(tmp_path, method="puma", report_to="none"))
    with pytest.raises(LiftError, match="score_source=cache has no scores outside a training"):
        RowGradient(trainer_of_uneven_rows(tmp_path, score_source="cache", report_to="none"))
