"""What a subclass of the trainer overrides is what is called, with what the documentation says."""

from __future__ import annotations

import pytest
import torch

from lift import LiftTrainer
from lift.objectives import diffusion_time, step_seed
from tests.lift.support.trainers import trainer_of_uneven_rows


class Subclass(LiftTrainer):
    """Overrides each hook that the documentation names, and notes its calls."""

    def __init__(self, *args, **kwargs) -> None:
        self.calls: dict[str, list] = {}
        super().__init__(*args, **kwargs)

    def note(self, name: str, value: object = None) -> None:
        self.calls.setdefault(name, []).append(value)

    @staticmethod
    def make_collator(args, pad_token_id, **options):
        collator = LiftTrainer.make_collator(args, pad_token_id, **options)
        collator.made_with = options
        return collator

    def clean_inputs(self, inputs):
        self.note("clean_inputs")
        return inputs | {"input_ids": inputs["input_ids"].clamp(max=6)}

    def mask_rate(self, time):
        self.note("mask_rate")
        return time**2

    def prepare_training_batch(self, model, inputs, draws, seed, *, is_evaluation=False):
        self.note("prepare_training_batch", (seed, inputs["input_ids"].max().item(), draws, is_evaluation))
        return super().prepare_training_batch(model, inputs, draws, seed, is_evaluation=is_evaluation)

    def prepare_evaluation_batch(self, inputs, u):
        batch = super().prepare_evaluation_batch(inputs, u)
        self.note("prepare_evaluation_batch", (u, batch))
        return batch

    def log_micro_batch(self, prepared, outputs):
        self.note("log_micro_batch", outputs.loss.item())
        super().log_micro_batch(prepared, outputs)

    def log_evaluation(self, inputs, loss):
        self.note("log_evaluation", loss.item())


def test_what_a_subclass_overrides_is_what_is_called(tmp_path):
    options = {"max_steps": 2, "gradient_accumulation_steps": 2, "per_device_eval_batch_size": 4}
    trainer = trainer_of_uneven_rows(tmp_path, Subclass, **options)
    assert trainer.data_collator.made_with == {"pad_in_loss": True, "predicts_next": False}
    trainer.train()
    calls = trainer.calls
    assert len(calls["clean_inputs"]) == len(calls["log_micro_batch"]) == len(calls["prepare_training_batch"]) == 4
    for micro_batch_number, (seed, largest, draws, is_evaluation) in enumerate(calls["prepare_training_batch"]):
        assert seed == step_seed(trainer.args.seed, micro_batch_number // 2) and largest == 6 and not is_evaluation
        assert torch.equal(draws.timestep, diffusion_time(draws.u) ** 2)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    noted = torch.tensor(calls["log_micro_batch"]).view(2, 2)
    assert losses == pytest.approx(noted.mean(1).tolist(), rel=1e-4)
    evaluated = trainer.evaluate()["eval_loss"]
    assert len(calls["log_evaluation"]) == len(calls["prepare_evaluation_batch"]) == 3
    u = torch.cat([u for u, _ in calls["prepare_evaluation_batch"]])
    torch.testing.assert_close(u, (torch.arange(10) + 0.5) / 10)
    for times, batch in calls["prepare_evaluation_batch"]:
        torch.testing.assert_close(1 / batch.token_weight[:, 0], diffusion_time(times) ** 2)
    sizes = torch.tensor([4.0, 4.0, 2.0])
    assert evaluated == pytest.approx((torch.tensor(calls["log_evaluation"]) @ sizes / 10).item(), rel=1e-5)


def test_masks_follow_the_seed_of_the_step_and_those_of_evaluation_stay(tmp_path):
    for reseeds, num_different in ((True, 1), (False, 2)):
        trainer = trainer_of_uneven_rows(tmp_path, Subclass, eval_reseed=reseeds)
        labels = []
        for _ in range(2):
            trainer.evaluate()
            labels.append(tuple(trainer.calls["prepare_evaluation_batch"][-1][1].labels.flatten().tolist()))
        assert len(set(labels)) == num_different
    by_method = trainer_of_uneven_rows(tmp_path, Subclass, eval_loss="train")
    by_method.evaluate()
    by_method.evaluate()
    seeds = {(seed, is_evaluation) for seed, _, _, is_evaluation in by_method.calls["prepare_training_batch"]}
    assert seeds == {(step_seed(by_method.args.seed, -1), True)}
