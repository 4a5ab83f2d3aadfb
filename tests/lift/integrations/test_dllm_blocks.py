"""Training in blocks inside dLLM's trainers: what LiftTrainer does in blocks, with dLLM's weights and collators."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch

from lift import LiftError, LiftTrainer
from lift.integrations.dllm import LiftBD3LMMixin
from lift.integrations.labelled_rows import content_id
from lift.objectives.options import LiftOptions
from lift.tasks import sudoku
from lift_kernels.philox import CORRUPT_STREAM, random_words, uniforms
from tests.doubles.a2d_qwen3 import SDARConfig, SDARForCausalLM
from tests.lift.support import mdlm_stand_in as stand_in
from tests.lift.support.clean_rows import DENSITY
from tests.lift.support.labelled import RUN, assert_same_run, split, tiny_dream, weights
from tests.lift.support.mdlm_trainer import MDLM, Config, make_trainer, of_dllm_itself, whole_batch
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows
from tests.lift.support.trainers import training_batch
from tests.transformers_version import needs_packing

SIZE = 4
IN_BLOCKS = {"attention": "block", "block_size": SIZE}
PLAIN = {"loss_weight_type": "uniform", "time_scaling": False}  # dLLM's 1 / (t + 1e-6) is not quite 1 / t


@dataclass
class BD3LMConfig(LiftOptions, stand_in.BD3LMConfig):
    pass


class BD3LM(LiftBD3LMMixin, stand_in.BD3LMTrainer):
    pass


def of_lift_trainer(tmp_path, **options):
    """The weights that LiftTrainer ends with, on the same rows under the same names."""
    rows = [row | {"example_id": content_id(row["input_ids"], 32)} for row in uneven_rows()]
    trainer = LiftTrainer(
        model=tiny_model(), args=tiny_config(tmp_path, **(RUN | split(4, 1) | IN_BLOCKS | options)), train_dataset=rows,
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip
    trainer.train()
    return weights(trainer.model)


@needs_packing
@pytest.mark.parametrize(
    "options", [{"method": "lift3"}, {"method": "lift2", "one_forward": True}, {"method": "gift"}], ids=str
)
def test_a_run_is_that_of_lift_trainer(tmp_path, options):
    ours = make_trainer(tmp_path, trains_padding=False, **(IN_BLOCKS | PLAIN | options))
    ours.train()
    options = options | {"time_scaling": False, "pad_in_loss": False}
    assert_same_run(weights(ours.model), of_lift_trainer(tmp_path, **options))


@needs_packing
@pytest.mark.parametrize("trains_padding", [True, False])
@pytest.mark.parametrize("options", [{"method": "lift3"}, {"method": "lift3", "one_forward": True}], ids=str)
def test_a_step_does_not_depend_on_its_split(tmp_path, options, trains_padding):
    ends = []
    for sizes in ((6, 1), (2, 3)):
        trainer = make_trainer(
            tmp_path, trains_padding=trains_padding, learning_rate=0.01, **(IN_BLOCKS | options | split(*sizes))
        )
        assert trainer.args.pad_in_loss == trains_padding
        trainer.train()
        ends.append(weights(trainer.model))
    assert any((a - b).abs().max() > 1e-4 for a, b in zip(ends[0], weights(tiny_model()), strict=True))
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("density", [None, DENSITY], ids=["uniform", "density"])
@pytest.mark.parametrize("scheduler", [stand_in.Linear(), stand_in.Cosine()], ids=["linear", "cosine"])
def test_a_token_has_dllms_weight_at_the_time_of_its_block(tmp_path, scheduler, density):
    trainer = make_trainer(
        tmp_path, model=tiny_dream(), right_shift_logits=True, scheduler=scheduler, method="lift3",
        time_density=density, **IN_BLOCKS,
    )  # fmt: skip
    inputs = whole_batch(trainer)
    prepared = training_batch(trainer, inputs)
    blocks, u = prepared.blocks, prepared.draws.u
    assert len(u.unique()) > len(inputs["input_ids"])
    time = 1e-3 + (1 - 1e-3) * u
    for row in range(3):
        for position in range(inputs["input_ids"].shape[1]):
            block = row * blocks.per_row + position // SIZE
            own, importance = time[block], 1 if density is None else prepared.draws.importance[block]
            torch.testing.assert_close(prepared.batch.token_weight[row, position], scheduler.weight(own) * importance)
            torch.testing.assert_close(prepared.draws.timestep[block], 1 - scheduler(own))


@needs_packing
def test_bd3lm_of_dllm_itself_has_the_same_loss_of_the_same_noise(tmp_path, monkeypatch):
    config, trainer_class, own = of_dllm_itself(LiftBD3LMMixin, "BD3LM")
    options = {"block_size": SIZE, "time_scope": "row", "method": "sft", "bf16": False, "warmup_ratio": 0.0}
    trainer = bd3lm(tmp_path, config=config, trainer_class=trainer_class, **options)
    given = trainer.data_collator([dict(row) for row in labelled()[:8]])
    inputs = trainer.clean_inputs(dict(given))
    seed = trainer._seed()
    u = trainer._batches.draw(inputs, seed).u
    blocks = inputs["blocks"]
    noise = blocks.unfold(uniforms(random_words(seed, blocks.ids(inputs["example_id"]), SIZE, CORRUPT_STREAM)))
    draws = [u.view(len(noise), -1)[:, 0], noise]
    twin = copy.deepcopy(trainer.model)
    ours = trainer.compute_loss(trainer.model, inputs)
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: draws.pop(0))
    theirs = own.compute_loss(trainer, twin, {name: given[name] for name in ("input_ids", "labels")})
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    ours.backward()
    theirs.backward()
    for (name, p), other in zip(trainer.model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)


def filled(tokenizer, size):
    """dLLM's AppendEOSBlockWrapper: whole blocks, filled with end tokens that are trained, and padding that is not."""

    def collate(rows):
        for row in rows:
            more = -len(row["input_ids"]) % size
            row["input_ids"], row["labels"] = row["input_ids"] + [7] * more, row["labels"] + [7] * more
        width = max(len(row["input_ids"]) for row in rows)
        named = {name: [row[name] for row in rows] for name in ("input_ids", "labels")}
        return {
            name: torch.tensor([cells + [fill] * (width - len(cells)) for cells in named[name]])
            for name, fill in (("input_ids", tokenizer.pad_token_id), ("labels", -100))
        }

    return collate


def bd3lm(tmp_path, model=None, config=BD3LMConfig, trainer_class=BD3LM, **options):
    tokenizer = sudoku.build_tokenizer()
    rows = [{name: row[name] for name in ("input_ids", "labels")} for row in labelled()]
    return trainer_class(
        model=tiny_model() if model is None else model,
        args=config(output_dir=str(tmp_path), **(RUN | split(4, 1) | {"remove_unused_columns": False} | options)),
        train_dataset=rows, eval_dataset=rows, tokenizer=tokenizer, data_collator=filled(tokenizer, SIZE),
    )  # fmt: skip


def labelled():
    return [{"input_ids": ids, "labels": [-100, -100, *ids[2:]]} for ids in (row["input_ids"] for row in uneven_rows())]


@needs_packing
def test_bd3lm_trains_rows_filled_to_whole_blocks_and_evaluates(tmp_path):
    trainer = bd3lm(tmp_path, block_size=SIZE, time_scope="row", method="sft")
    inputs = trainer.clean_inputs(trainer.data_collator([dict(row) for row in labelled()]))
    assert (trainer.args.attention, trainer.block_size) == ("block", SIZE)
    lengths = [-(-len(row["input_ids"]) // SIZE) * SIZE for row in labelled()]
    assert inputs["maskable"].sum(1).tolist() == [length - 2 for length in lengths]
    assert inputs["lengths"] == tuple(lengths)
    times = training_batch(trainer, inputs).draws.u.view(len(lengths), -1)
    assert (times == times[:, :1]).all() and len(times[:, 0].unique()) == len(lengths)
    trainer.train()
    assert trainer.evaluate()["eval_loss"] == trainer.evaluate()["eval_loss"] > 0


def test_the_size_of_a_block_is_the_models_or_dllms(tmp_path):
    sdar = SDARForCausalLM(SDARConfig(vocab_size=8, block_size=2))
    for model, options, expected in ((sdar, {}, 2), (sdar, {"block_size": 3}, 3)):
        assert bd3lm(tmp_path, model, **options).args.block_size == expected
    assert Config(output_dir=str(tmp_path), use_cpu=True, report_to="none").attention is None
    assert make_trainer(tmp_path, model=sdar).args.attention == "block"  # as the family generates text


@needs_packing
def test_without_any_size_it_is_dllms(tmp_path):
    assert bd3lm(tmp_path).args.block_size == stand_in.BD3LMConfig(str(tmp_path), use_cpu=True).block_size


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(LiftError, match="BD3LMTrainer trains in blocks: leave attention out"):
        bd3lm(tmp_path, attention="full")
    with pytest.raises(LiftError, match="BD3LMConfig lacks LIFT's fields"):
        bd3lm(tmp_path, config=stand_in.BD3LMConfig)
    with pytest.raises(LiftError, match=r"loss_weight_type=cart\[geo_p:0.3\] weighs a token by its whole row"):
        make_trainer(
            tmp_path, model=tiny_dream(), right_shift_logits=True, loss_weight_type="cart[geo_p:0.3]", method="sft",
            trainer_class=MDLM, **IN_BLOCKS,
        )  # fmt: skip
