"""Noisy tokens as a canvas behind an encoded text: all blocks of a row in one forward, as DiffusionGemma writes them."""

from __future__ import annotations

import pytest
import torch

from lift import LiftTrainer
from lift.errors import LiftError
from lift.objectives import LiftOptions
from lift.tasks import sudoku
from lift.training.block_mode import resolve_attention
from lift_kernels.models import family_of
from tests.lift.support.tiny import tiny_config, uneven_rows
from tests.lift_kernels.tiny_models import Sizes, build

SIZE, VOCAB = 4, 16


def gemma(dtype=torch.float64, window=6):
    model = build("diffusion-gemma", dtype, Sizes(vocab=VOCAB, length=SIZE))
    model.config.text_config.sliding_window = window  # of its first layer; its second sees all
    return model


def rows():
    """Prompts of 2 to 5 tokens, so that blocks begin anywhere."""
    return [row | {"prompt_length": 2 + row["example_id"] % 4} for row in uneven_rows() if len(row["input_ids"]) > 6]


def trainer_of(tmp_path, model=None, **options):
    defaults = {"corruption": "uniform", "method": "lift2", "pad_in_loss": False}
    return LiftTrainer(
        model=gemma() if model is None else model, args=tiny_config(tmp_path, **(defaults | options)),
        train_dataset=rows(), processing_class=sudoku.build_tokenizer(),
    )  # fmt: skip


def own_log_probs(model, clean, noisy, start):
    """log p (L, V) of each block of a row, by forwards of its own: the block behind the clean text before it."""
    found, length = torch.full((len(clean), VOCAB), torch.nan), len(clean)
    with torch.no_grad():
        for begin in range(start, length, SIZE):
            end = min(begin + SIZE, length)
            logits = model(input_ids=clean[None, :begin], decoder_input_ids=noisy[None, begin:end]).logits
            found[begin:end] = logits[0].log_softmax(-1)
    return found


@pytest.mark.parametrize("window", [6, 512])
@pytest.mark.parametrize("pad_in_loss", [True, False])
def test_a_block_is_predicted_as_the_next_canvas_behind_the_text(tmp_path, pad_in_loss, window):
    trainer = trainer_of(tmp_path, gemma(window=window), pad_in_loss=pad_in_loss)
    assert (trainer.args.attention, trainer.args.block_size, trainer.args.block_origin) == ("block", SIZE, "answer")
    inputs = trainer.data_collator(rows()[:6])
    trainer.model.eval()
    draws = trainer._batches.draw(inputs, trainer._seed())
    prepared = trainer.prepare_training_batch(trainer.model, inputs, draws, trainer._seed())
    outputs = trainer._forward(trainer.model, inputs, prepared.batch, return_token_stats=True)
    labels, num_compared = prepared.batch.labels, 0
    for row in range(6):
        own = slice(None) if pad_in_loss else slice(inputs["lengths"][row])
        clean, noisy = inputs["input_ids"][row, own], prepared.batch.input_ids[row, own]
        log_probs = own_log_probs(trainer.model, clean, noisy, int(inputs["maskable"][row].int().argmax()))
        is_trained = labels[row, own] != -100
        expected = log_probs[is_trained].gather(1, clean[is_trained][:, None])[:, 0]
        found = outputs.token_stats.log_prob[row, own][is_trained].float()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        num_compared += len(expected)
    assert num_compared > 10 and outputs.loss > 0


def test_the_encoder_learns_from_later_canvases(tmp_path):
    """Through the keys and values that they read: a prompt's token counts, though nothing of it is trained."""
    trainer = trainer_of(tmp_path, gemma(torch.float32), method="sft", max_steps=2)
    embedding = trainer.model.get_input_embeddings().weight
    loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows()[:4]))
    loss.backward()
    assert embedding.grad.abs().sum(1).count_nonzero() > 4
    trainer.train()
    assert trainer.state.log_history[0]["loss"] > 0


def test_checkpointed_canvases_have_the_same_gradients(tmp_path):
    """The decoder's layers are run again in the backward pass, and must read the encoder's keys again."""
    gradients = []
    for is_on in (False, True):
        torch.manual_seed(0)
        trainer = trainer_of(tmp_path, method="sft", gradient_checkpointing=is_on)
        trainer.compute_loss(trainer.model.train(), trainer.data_collator(rows()[:4])).backward()
        gradients.append([p.grad for p in trainer.model.parameters() if p.grad is not None])
    assert len(gradients[0]) > 20
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"attention": "full"}, "writes canvases behind a text, which are its blocks: leave attention out"),
        ({"block_padding": "eos"}, "counted from a row's start: set block_origin=start"),
    ],
)
def test_what_a_canvas_cannot_be_is_refused(options, sentence):
    model = gemma()
    args = LiftOptions(**options)
    args.resolve_options()
    with pytest.raises(LiftError, match=sentence):
        resolve_attention(args, model, family_of(model))


def test_attention_by_code_that_takes_no_pairs_is_refused():
    model, args = gemma(), LiftOptions()
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(LiftError, match="takes no mask of pairs of tokens: load it with attn_implementation='sdpa'"):
        resolve_attention(args, model, family_of(model))


def test_a_tokenizer_without_a_mask_token_needs_other_noise(tmp_path):
    tokenizer = sudoku.build_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(LiftError, match="or train with --corruption uniform, which needs none"):
        LiftTrainer(model=gemma(), args=tiny_config(tmp_path), train_dataset=rows(), processing_class=tokenizer)
