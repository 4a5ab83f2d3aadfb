"""Training in blocks: what the model is asked, what is learned from it, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from lift import LiftTrainer
from lift.errors import LiftError
from lift.models.attention import pairs_as_taken
from lift.objectives import EASY, HARD, MIDDLE, LiftOptions
from lift.tasks import sudoku
from lift.training.block_mode import collator_options, resolve_attention
from lift_kernels.models import ModelFamily, family_of, positions_of
from tests.doubles.a2d_qwen3 import SDARConfig, SDARForCausalLM
from tests.lift.support.tiny import prose_tokenizer, tiny_config, tiny_model, uneven_rows
from tests.lift.support.trainers import first_step, micro_batch, weights
from tests.lift_kernels.tiny_models import Sizes, build
from tests.transformers_version import needs_packing

SIZE = 4
# Doubles of models on the Hub take a mask of pairs of tokens whatever the transformers, its own since a release.
OWN = [pytest.param(name, marks=needs_packing) for name in ("tiny", "bert", "roberta", "modernbert")]
SIZES = Sizes(vocab=8, length=24)


def model_of(name):
    """In float64, with weights so large that attention matters.

    LLaDA 2.x in float32: its masks are, and torch 2.13 misreads such a mask beside float64 queries on a CPU.
    """
    dtype = torch.float32 if name == "llada2" else torch.float64
    model = tiny_model().double() if name == "tiny" else build(name, dtype, SIZES)
    if name == "modernbert":  # whose second layer sees a window only
        model.config.sliding_window = 2
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4 if name == "tiny" and parameter.dim() > 1 else 1)
    return model


@needs_packing
def test_packed_rows_hold_several_answers(tmp_path):
    with pytest.raises(
        LiftError, match="several answers, so blocks are counted from each example: set block_origin=start"
    ):
        trainer_of(tmp_path, block_origin="answer", packing=True)


@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_blocks_can_be_counted_from_the_answer(tmp_path, pad_in_loss):
    """Then a row is what it is with its prompt cut into blocks of its own."""
    trainer = trainer_of(tmp_path, "a2d-qwen3", block_origin="answer", method="lift3", pad_in_loss=pad_in_loss)
    inputs, prepared, outputs = prepared_step(trainer)
    blocks, model = inputs["blocks"], trainer.model
    assert (inputs["maskable"].int().argmax(1) == 2).all()
    is_labelled, num_seen = prepared.batch.labels != -100, 0
    for row in range(len(is_labelled)):
        clean, noisy = inputs["input_ids"][row], prepared.batch.input_ids[row]
        assert blocks.number[row].tolist() == [0, 0, *(1 + torch.arange(len(clean) - 2) // SIZE).tolist()]
        is_token = torch.ones_like(clean) if pad_in_loss else inputs["attention_mask"][row]
        for start in range(2, len(clean), SIZE):
            end = min(start + SIZE, len(clean))
            number = blocks.number[row, :end]
            pairs = (number[:, None] >= number) & (is_token[:end].bool() | torch.eye(end, dtype=torch.bool))
            with torch.no_grad():
                logits = model(
                    input_ids=torch.cat([clean[:start], noisy[start:end]])[None],
                    attention_mask=pairs_as_taken(model, pairs[None, None]), position_ids=torch.arange(end)[None],
                ).logits[0, start:]  # fmt: skip
            own = is_labelled[row, start:end]
            expected = logits.log_softmax(-1).gather(1, clean[start:end, None])[:, 0][own]
            torch.testing.assert_close(
                outputs.token_stats.log_prob[row, start:end][own], expected, rtol=1e-5, atol=1e-5
            )
            num_seen += int(own.sum())
    assert num_seen > 20


def trainer_of(tmp_path, name="tiny", **options):
    defaults = {"attention": "block", "block_size": SIZE, "pad_in_loss": False, "keep_rounding": "nearest"}
    return LiftTrainer(
        model=model_of(name), args=tiny_config(tmp_path, **(defaults | options)), train_dataset=uneven_rows(),
        processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip


def block_logits(model, clean, noisy, is_token, shifts):
    """Logits (L, V) of a noisy row, one forward for each block: behind the clean blocks before it, which see no later.

    Where the model predicts the next token, block k's first is predicted from what the noisy block before ends with.
    """
    length, found = len(clean), []
    for start in range(0, length, SIZE):
        end = min(start + SIZE, length)
        ids = torch.cat([clean[:start], noisy[start:end]])[None]
        block = torch.arange(end) // SIZE
        pairs = (block[:, None] >= block) & (is_token[:end].bool() | torch.eye(end, dtype=torch.bool))
        position_ids = torch.arange(end)[None] + positions_of(model).first
        mask = pairs_as_taken(model, pairs[None, None])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask, position_ids=position_ids).logits
            found.append(logits[0, start:].double())
    logits = torch.cat(found)
    return torch.cat([logits[:1], logits[:-1]]) if shifts else logits


def losses_of(trainer, inputs, prepared):
    """The loss of each token (B, L), 0 where there is none, from logits."""
    family, batch = family_of(trainer.model), prepared.batch
    is_token = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
    rows = []
    for row in range(len(batch.input_ids)):
        which = row % len(is_token)
        logits = block_logits(
            trainer.model, inputs["input_ids"][which], batch.input_ids[row], is_token[which], family.predicts_next
        )
        rows.append(torch.nn.functional.cross_entropy(logits, batch.labels[row], reduction="none"))
    return torch.stack(rows)


def prepared_step(trainer, rows=range(6)):
    inputs = micro_batch(trainer, rows)
    trainer.model.eval()
    draws = trainer._batches.draw(inputs, trainer._seed())
    prepared = trainer.prepare_training_batch(trainer.model, inputs, draws, trainer._seed())
    outputs = trainer._forward(
        trainer.model, inputs, prepared.batch, one_forward=prepared.one_forward, return_token_stats=True
    )
    return inputs, prepared, outputs


@pytest.mark.parametrize("name", [*OWN, "llada2", "dream", "a2d-qwen3"])
@pytest.mark.parametrize(
    "options", [{"method": "sft"}, {"method": "lift3", "complementary": True, "pad_in_loss": True}], ids=str
)
def test_a_block_is_predicted_from_the_clean_blocks_before_it(tmp_path, name, options):
    trainer = trainer_of(tmp_path, name, **options)
    inputs, prepared, outputs = prepared_step(trainer)
    batch = prepared.batch
    losses = losses_of(trainer, inputs, prepared)
    expected = (losses * batch.token_weight).sum() / batch.denominator
    assert (batch.labels != -100).sum() > 20
    assert torch.equal(trainer._batches.maskable(inputs, prepared.draws, trainer._seed()), prepared.maskable)
    torch.testing.assert_close(outputs.loss.double(), expected, rtol=1e-5, atol=1e-6)
    is_labelled = batch.labels != -100
    found = -outputs.token_stats.log_prob[is_labelled].double()
    torch.testing.assert_close(found, losses[is_labelled], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [OWN[0], "dream"])
def test_tokens_are_chosen_by_what_the_model_knows_of_their_block(tmp_path, name):
    trainer = trainer_of(tmp_path, name, method="lift2")
    _, prepared, _ = prepared_step(trainer)
    inputs = micro_batch(trainer, range(6))
    is_kept = prepared.batch.labels != -100
    is_masked = is_kept | prepared.rejected
    overmasked = prepared._replace(
        batch=prepared.batch._replace(
            input_ids=inputs["input_ids"].masked_fill(is_masked, trainer.mask_token_id),
            labels=inputs["input_ids"].where(is_masked, -100),
        )
    )
    log_prob = -losses_of(trainer, inputs, overmasked)
    order = prepared.draws.order.view(len(is_kept), -1)
    num_chosen = 0
    for row in range(len(is_kept)):
        for block in range(order.shape[1]):
            own = slice(block * SIZE, block * SIZE + SIZE)
            kept, rejected = is_kept[row, own], prepared.rejected[row, own]
            if kept.any() and rejected.any():
                sign = int(order[row, block])
                assert (sign * log_prob[row, own][kept]).min() >= (sign * log_prob[row, own][rejected]).max() - 1e-6
                num_chosen += 1
    assert num_chosen >= 5


@pytest.mark.parametrize("name", [OWN[0], "dream"])
@pytest.mark.parametrize("learnability", ["hard", "soft"])
def test_one_forward_weighs_tokens_within_their_block(tmp_path, name, learnability):
    trainer = trainer_of(tmp_path, name, method="lift3", one_forward=True, learnability=learnability)
    inputs, prepared, outputs = prepared_step(trainer)
    losses, labels = losses_of(trainer, inputs, prepared), prepared.batch.labels
    one, total, counted = prepared.one_forward, 0.0, torch.zeros(labels.shape, dtype=torch.float64)
    for unit in range(len(one.num_keep)):
        row, block = divmod(unit, len(one.num_keep) // len(labels))
        own = torch.arange(block * SIZE, min(block * SIZE + SIZE, labels.shape[1]))
        own = own[labels[row, own] != -100]
        time, keep, sign = one.timestep[unit].double(), int(one.num_keep[unit]), int(one.order[unit])
        if not len(own):
            continue
        score = -losses[row, own]
        if learnability == "hard":
            assert sign in (EASY, HARD) or (keep == len(own) and sign == MIDDLE)
            weight = torch.zeros_like(score)
            weight[(sign * score).argsort(descending=True, stable=True)[:keep]] = 1
        else:
            deviation = score.std(correction=0)
            z = (score - score.mean()) / deviation if deviation > 1e-6 else torch.zeros_like(score)
            weight = keep * ((2 * time - 1) * z).softmax(0)
        counted[row, own] = weight
        total += (weight * losses[row, own]).sum() / time
    torch.testing.assert_close(outputs.learnability.double(), counted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(outputs.loss, total / prepared.batch.denominator, rtol=1e-5, atol=1e-6)
    assert 0 < (counted > 0).sum() <= (labels != -100).sum()


OBJECTIVES = [
    {"method": "sft"}, {"method": "lift3"}, {"method": "gift"}, {"method": "cart"}, {"method": "confidence"},
    {"method": "mirror"}, {"method": "lift2", "one_forward": True}, {"method": "lift3", "one_forward": True, "learnability": "soft"},
]  # fmt: skip


@needs_packing
@pytest.mark.parametrize("options", OBJECTIVES, ids=str)
def test_one_block_is_full_attention(tmp_path, options):
    """With the clean half unused, a step changes the weights alike."""
    options = options | {"pad_to": "max_length", "max_length": 24, "keep_rounding": "nearest"}
    full = first_step(tmp_path, 8, 1, attention="full", **options)
    block = first_step(tmp_path, 8, 1, attention="block", block_size=24, **options)
    assert full.abs().max() > 1e-4
    torch.testing.assert_close(block, full, rtol=1e-5, atol=1e-7 * full.abs().max().item())


@needs_packing
@pytest.mark.parametrize(
    "options",
    [
        {"method": "lift3"}, {"method": "gift"}, {"method": "sft", "complementary": True},
        {"one_forward": True, "loss_normalizer": "sequence", "timestep_distribution": "low_discrepancy"},
    ],
    ids=str,
)  # fmt: skip
def test_a_step_does_not_depend_on_its_split(tmp_path, options):
    options = {"attention": "block", "block_size": SIZE} | options
    whole, split = (first_step(tmp_path, *sizes, **options) for sizes in ((8, 1), (2, 4)))
    assert whole.abs().max() > 1e-4
    torch.testing.assert_close(split, whole, rtol=1e-6, atol=1e-9)


@needs_packing
def test_a_resumed_run_is_the_same_run(tmp_path):
    options = {"attention": "block", "block_size": SIZE, "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    runs = [trainer_of(tmp_path / name, **options) for name in ("whole", "resumed")]
    runs[0].train()
    runs[1].train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert all(torch.equal(a, b) for a, b in zip(*(weights(run.model) for run in runs), strict=True))


@needs_packing
def test_packed_examples_are_trained_as_alone(tmp_path):
    """Blocks begin with each example: one time for each, so that they are drawn alike but for the names of blocks."""
    trainer = trainer_of(tmp_path, packing=True, max_length=48, method="sft", time_scope="document")
    inputs = micro_batch(trainer, range(3))
    prepared_inputs, prepared, outputs = prepared_step(trainer, range(3))
    blocks, row = prepared_inputs["blocks"], trainer.train_dataset[0]
    losses, starts = [], [0, *torch.tensor(row["segment_lengths"]).cumsum(0).tolist()]
    for start, end in pairwise(starts):
        alone = prepared._replace(batch=prepared.batch._replace(
            input_ids=prepared.batch.input_ids[:1, start:end], labels=prepared.batch.labels[:1, start:end]
        ))  # fmt: skip
        losses.append(losses_of(trainer, {"input_ids": inputs["input_ids"][:1, start:end]}, alone)[0])
        assert blocks.offset[0, start] == 0 and len(prepared.batch.token_weight[0, start:end].unique()) == 1
    assert len(losses) >= 2
    expected = torch.cat(losses)
    found = -outputs.token_stats.log_prob[0, : len(expected)]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@needs_packing
def test_end_tokens_complete_the_last_block(tmp_path):
    rows = uneven_rows()
    trainer = LiftTrainer(
        model=build("bert", torch.float32, Sizes(vocab=128, length=24)), train_dataset=rows,
        args=tiny_config(tmp_path, attention="block", block_size=SIZE, block_padding="eos", pad_in_loss=False, mask_token_id=5),
        processing_class=prose_tokenizer(),
    )  # fmt: skip
    batch = micro_batch(trainer)
    for ids, maskable, row in zip(batch["input_ids"], batch["maskable"], rows, strict=False):
        length = len(row["input_ids"])
        end = -(-length // SIZE) * SIZE
        assert ids[length:end].tolist() == [1] * (end - length) and maskable[length:end].all()
        assert not maskable[end:].any()
    trainer.train()


@needs_packing
def test_the_mask_token_can_be_left_out_of_the_softmax(tmp_path):
    trainer = trainer_of(tmp_path, method="sft", exclude_mask_token=True)
    inputs, prepared, outputs = prepared_step(trainer)
    trainer.model.get_output_embeddings().bias.data[trainer.mask_token_id] += 100.0
    again = trainer._forward(trainer.model, inputs, prepared.batch, return_token_stats=True)
    assert torch.equal(again.loss, outputs.loss)


def options_for(**options):
    chosen = LiftOptions(**options)
    chosen.resolve_options()
    return chosen


@needs_packing
def test_attention_and_size_come_from_the_model():
    llada2, tiny, sdar = build("llada2"), tiny_model(), SDARForCausalLM(SDARConfig(block_size=8))
    for model, options, expected in (
        (sdar, {}, ("block", 8)), (llada2, {}, ("block", 32)), (llada2, {"block_size": 8}, ("block", 8)),
        (llada2, {"attention": "full"}, ("full", None)), (tiny, {}, ("full", None)),
        (tiny, {"attention": "block", "block_size": 8}, ("block", 8)),
    ):  # fmt: skip
        args = options_for(**options)
        resolve_attention(args, model, family_of(model))
        assert (args.attention, args.block_size) == expected
    llada2.config.block_size = 16
    args = options_for()
    resolve_attention(args, llada2, family_of(llada2))
    assert args.block_size == 16


@needs_packing
@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("llada", {"attention": "block", "block_size": 4}, "ignores attention masks: use attention='full'"),
        ("llada-moe", {"attention": "block", "block_size": 4}, "ignores attention masks: use attention='full'"),
        ("bert", {"attention": "block"}, "nothing tells the size of a block of BertForMaskedLM: set block_size"),
        ("bert", {"block_size": 4}, "block_size=4 belongs to attention=block"),
        ("bert", {"block_padding": "eos"}, "block_padding=eos belongs to attention=block"),
        ("bert", {"time_scope": "document"}, "time_scope=document belongs to attention=block"),
        ("bert", {"block_origin": "answer"}, "block_origin=answer belongs to attention=block"),
        (
            "llada2", {"block_origin": "answer", "block_padding": "eos"},
            "counted from a row's start: set block_origin=start",
        ),
        (
            "llada2", {"time_strata": False, "timestep_distribution": "antithetic"},
            "antithetic spreads the times of blocks by time_strata",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_in_blocks_is_refused(name, options, sentence):
    model = build(name)
    with pytest.raises(LiftError, match=sentence):
        resolve_attention(options_for(**options), model, family_of(model))


@pytest.mark.parametrize("options", [{}, {"attention": "block"}, {"attention": "full"}], ids=str)
def test_blocks_that_nobody_asked_for_are_told(caplog, options):
    model = build("llada2")
    with caplog.at_level("INFO", "lift"):
        resolve_attention(options_for(**options), model, family_of(model))
    told = "generates text block by block, so it is trained in blocks of 32 tokens: attention=full trains whole rows."
    assert [message.split(" ", 1)[1] for message in caplog.messages] == ([] if options else [told])


def test_noisy_and_clean_tokens_need_positions_to_share():
    model = torch.nn.Linear(1, 1)  # whose forward takes none
    model.config, model.get_input_embeddings = SimpleNamespace(model_type="mine"), lambda: None
    family = ModelFamily(head=lambda model: model, backbone=lambda model: model, attention_mask="bool_pairs")
    with pytest.raises(LiftError, match="Linear takes no position_ids, which noisy and clean tokens share"):
        resolve_attention(options_for(attention="block", block_size=4), model, family)


def test_rows_are_filled_only_by_a_tokenizer_with_an_end_token():
    args = options_for(attention="block", block_size=4, block_padding="eos")
    with pytest.raises(LiftError, match="needs a tokenizer with an end token"):
        collator_options(args, SimpleNamespace(eos_token_id=None))
    assert collator_options(args, SimpleNamespace(eos_token_id=7)) == {"block_size": 4, "block_fill_id": 7}
    assert collator_options(options_for(), None) == {}
