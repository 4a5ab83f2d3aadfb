"""Activations are counted as a training step keeps them, and nothing is kept meanwhile."""

from __future__ import annotations

import pytest
from torch.autograd.graph import saved_tensors_hooks

from lift.training.saved_tensors import measure_activations, widest
from tests.lift.support.trainers import trainer_of_uneven_rows


def kept_by_a_step(trainer, num_rows: int) -> int:
    """Bytes of all storages that the loss of `num_rows` widest rows holds on to, while all of them live."""
    row = max(trainer.train_dataset, key=lambda row: len(row["input_ids"]))
    inputs = trainer.data_collator([row] * num_rows)
    kept = []
    with saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        trainer.model.train()
        trainer.compute_loss(trainer.model, inputs)
    held = {t.untyped_storage().data_ptr() for t in (*trainer.model.parameters(), *trainer.model.buffers())}
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    return sum(size for address, size in sizes.items() if address not in held)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("checkpoints", [False, True])
@pytest.mark.parametrize("num_rows", [2, 8])
def test_the_count_is_what_a_step_of_more_rows_keeps(tmp_path, num_rows, checkpoints, attention):
    options = {
        "method": "sft", "timestep_distribution": "fixed", "fixed_timestep": 1.0, "gradient_checkpointing": checkpoints
    }  # fmt: skip
    here, there = trainer_of_uneven_rows(tmp_path, **options), trainer_of_uneven_rows(tmp_path, **options)
    for trainer in (here, there):
        trainer.model.set_attn_implementation(attention)
    measured, truth = measure_activations(here), kept_by_a_step(there, num_rows)
    assert measured.fixed + num_rows * measured.per_row == pytest.approx(truth, rel=0.01)


def test_checkpointing_keeps_less(tmp_path):
    plain = measure_activations(trainer_of_uneven_rows(tmp_path))
    assert (
        measure_activations(trainer_of_uneven_rows(tmp_path, gradient_checkpointing=True)).per_row < plain.per_row / 2
    )


def test_nothing_is_kept_meanwhile(tmp_path, monkeypatch):
    import lift.training.saved_tensors as module

    living = []
    count = module._Saved.count

    def watch(self, tensor):
        living.append(module.StorageWeakRef(tensor.untyped_storage()))
        return count(self, tensor)

    monkeypatch.setattr(module._Saved, "count", watch)
    trainer = trainer_of_uneven_rows(tmp_path)
    measure_activations(trainer)
    held = {t.untyped_storage()._cdata for t in (*trainer.model.parameters(), *trainer.model.buffers())}
    assert all(reference.expired() or reference.cdata in held for reference in living) and len(living) > 20


def test_the_width_is_that_of_the_widest_padded_row(tmp_path):
    longest = max(len(row["input_ids"]) for row in trainer_of_uneven_rows(tmp_path).train_dataset)
    assert widest(trainer_of_uneven_rows(tmp_path)) == longest
    assert widest(trainer_of_uneven_rows(tmp_path, pad_to_multiple_of=16)) == -(-longest // 16) * 16
    assert widest(trainer_of_uneven_rows(tmp_path, pad_to="max_length", max_length=40)) == 40
