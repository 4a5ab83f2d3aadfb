"""One evaluation loss for a set, whatever the batches and processes: at the defaults, on rows of unequal length."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset, IterableDataset

from lift import LiftError
from lift.data import MaskedDiffusionCollator
from lift.objectives import DenoisingBatch, sft_batch, step_seed
from lift.training.evaluation import Evaluation
from tests.lift.support.tiny import GROUPED, uneven_rows
from tests.lift.support.trainers import trainer_of_uneven_rows


def trainer_of(tmp_path, **options):
    trainer = trainer_of_uneven_rows(tmp_path, **options)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return trainer


def losses(trainer, rows=None, sizes=(1, 4, 10)) -> list[float]:
    found = []
    for size in sizes:
        trainer.args.per_device_eval_batch_size = size
        found.append(trainer.evaluate(rows)["eval_loss"])
    return found


def spread(found: list[float]) -> float:
    return (max(found) - min(found)) / max(found)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pad_in_loss": False},
        GROUPED,
        {"eval_loss": "train"},
        {"eval_loss": "train", "timestep_distribution": "low_discrepancy", "complementary": True, **GROUPED},
    ],
    ids=str,
)
def test_the_loss_does_not_depend_on_the_batch_size(tmp_path, options):
    found = losses(trainer_of(tmp_path, **options))
    assert spread(found) < 1e-6 and found[0] > 1


def test_it_is_the_weighted_sum_over_the_set_by_its_tokens(tmp_path):
    trainer = trainer_of(tmp_path)
    width = max(len(row["input_ids"]) for row in trainer.eval_dataset)
    ids = torch.tensor([row["input_ids"] + [0] * (width - len(row["input_ids"])) for row in trainer.eval_dataset])
    is_response = (torch.arange(width) >= 2).expand(ids.shape)
    time = 1e-3 + (1 - 1e-3) * (torch.arange(10) + 0.5) / 10
    batch = sft_batch(
        ids, is_response, time, mask_token_id=1, seed=step_seed(trainer.args.seed, -1), example_id=torch.arange(10)
    )
    log_probs = trainer.model(batch.input_ids).logits.log_softmax(-1)
    gold = log_probs.gather(-1, ids[..., None])[..., 0]
    total = -(gold * batch.token_weight).where(batch.labels != -100, 0).sum()
    (found,) = losses(trainer, sizes=(3,))
    assert found == pytest.approx((total / is_response.sum()).item(), rel=1e-5)
    assert trainer.predict(trainer.eval_dataset).metrics["test_loss"] == found
    assert trainer.predict(trainer.eval_dataset).predictions is None


def test_a_mapping_of_sets_has_a_loss_for_each(tmp_path):
    trainer = trainer_of(tmp_path)
    rows = uneven_rows(10)
    (whole,) = losses(trainer, rows, sizes=(4,))
    both = trainer.evaluate({"whole": rows, "part": rows[:3]})
    assert both["eval_whole_loss"] == whole != both["eval_part_loss"]


def test_a_stream_without_a_length_has_a_loss(tmp_path):
    """Padded to max_length, at times that follow from the examples' numbers alone."""
    trainer = trainer_of(tmp_path, max_length=32)
    stream = IterableDataset.from_generator(lambda: iter(uneven_rows(10)))
    found = losses(trainer, stream)
    assert spread(found) < 1e-6 and found[0] > 1
    assert trainer._evaluation.num_examples is None and trainer._evaluation.longest == 32


def test_evaluated_rows_that_differ_may_not_share_a_number(tmp_path):
    rows = uneven_rows(4) + [row | {"input_ids": [3] * 9} for row in uneven_rows(2)]
    with pytest.raises(LiftError, match="the evaluated data set has rows that differ and share the example_id 0"):
        trainer_of(tmp_path).evaluate(rows)


def evaluation_of(rows, **options) -> Evaluation:
    arguments = {"device": torch.device("cpu"), "process_index": 0, "world_size": 1, "eval_grid": "midpoints"}
    return Evaluation(rows, SimpleNamespace(**arguments | options))


def test_rows_are_as_long_as_the_longest_of_the_set_or_as_a_streams_may_be():
    rows = uneven_rows(10)
    longest = max(len(row["input_ids"]) for row in rows)
    for known in (rows, Dataset.from_list(rows)):
        evaluation = evaluation_of(known, max_length=50)
        assert (evaluation.longest, evaluation.num_examples) == (longest, 10)
    assert evaluation_of(iter(rows), max_length=50).longest == 50
    unknown = evaluation_of(iter(rows))  # arguments without the field
    batch, loader = MaskedDiffusionCollator(0)(rows[:2]), SimpleNamespace(end_of_dataloader=False, remainder=-1)
    unknown.place(batch, loader)
    assert batch["input_ids"].shape[1] == max(len(row["input_ids"]) for row in rows[:2])


def test_rows_that_fill_up_the_last_turn_count_once():
    """7 rows by 2 processes of 2: the second gets a row of the first turn again."""
    evaluation = evaluation_of(uneven_rows(7), process_index=1, world_size=2)
    batch = MaskedDiffusionCollator(0)([uneven_rows(7)[i] for i in (6, 0)])
    evaluation.place(batch, SimpleNamespace(end_of_dataloader=True, remainder=3))
    assert batch["maskable"].any(1).tolist() == [True, False]
    assert batch["position"].tolist() == [6, 0] and batch["num_step_rows"] == 7


def test_batches_count_by_their_tokens_and_those_of_all_processes_add_up():
    evaluation = evaluation_of(uneven_rows(7))
    some, none = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)

    def batch(denominator: float) -> DenoisingBatch:
        return DenoisingBatch(some.long(), some.long(), some.float(), torch.tensor(denominator))

    evaluation.add(torch.tensor(2.0), batch(30.0), some)
    evaluation.add(torch.tensor(5.0), batch(10.0), some)
    evaluation.add(torch.tensor(0.0), batch(1.0), none)  # a denominator is at least 1
    assert evaluation.loss(lambda sums: sums) == 110 / 40
    assert evaluation.loss(lambda sums: sums + torch.tensor([90.0, 60.0])) == 2
    assert evaluation_of([]).loss(lambda sums: sums) == 0
