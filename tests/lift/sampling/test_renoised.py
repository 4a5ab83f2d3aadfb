"""`generate` with models that rewrite random tokens: what it returns and tells, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from lift.errors import LiftError
from lift.models.training_record import record_mask_token
from lift.sampling import SamplingConfig, generate
from lift.sampling.renoised import whole_rows, writes_by_renoising
from lift.sampling.renoising import RenoisingConfig, diffusion_gemma, generate_by_renoising
from tests.lift.support.labelled import tiny_dream
from tests.lift.support.tiny import tiny_model
from tests.lift_kernels.tiny_models import Sizes, build

PROMPTS = torch.tensor([[2, 3, 4], [5, 6, 7]])
SIZE, VOCAB = 4, 16


def gemma():
    return build("diffusion-gemma", torch.float32, Sizes(vocab=VOCAB, length=SIZE)).eval()


def bert():
    """Trained without a mask token, as its configuration says."""
    model = tiny_model()
    record_mask_token(model, None)
    return model


def test_who_writes_so():
    assert writes_by_renoising(gemma()) and writes_by_renoising(bert()) and not writes_by_renoising(tiny_model())


def test_it_is_decoding_by_renoising_of_whole_canvases_cut_to_the_length():
    model = gemma()
    config = RenoisingConfig(gen_length=6, canvas_length=SIZE, steps=3, seed=5)
    whole, num_forwards = generate_by_renoising(
        diffusion_gemma(model), PROMPTS, config, vocab_size=VOCAB, pad_token_id=0, row_ids=torch.tensor([4, 9])
    )
    found = generate(
        model, PROMPTS, gen_length=6, steps=6, seed=5, row_ids=torch.tensor([4, 9]), pad_token_id=0, return_order=True
    )
    assert torch.equal(found.ids, whole[:, :9]) and found.num_forwards == num_forwards
    assert torch.equal(generate(model, PROMPTS, gen_length=6, steps=6, seed=5, row_ids=torch.tensor([4, 9])), found.ids)


@pytest.mark.parametrize("build_model", [gemma, bert])
def test_what_is_told_of_each_step(build_model):
    told, ids_told = [], []
    model = build_model()
    found = generate(
        model, PROMPTS, gen_length=8, block_length=SIZE, steps=10, return_order=True, on_progress=told.append,
        on_step=lambda step, ids: ids_told.append((step, ids)),
    )  # fmt: skip
    assert [step for step, _ in ids_told] == list(range(1, len(told) + 1))
    vocab_size = model.get_output_embeddings().weight.shape[0]
    assert (told[0].ids[:, 3 + SIZE :] == vocab_size).all() and (found.ids < vocab_size).all()
    assert torch.equal(ids_told[-1][1], found.ids) and found.num_forwards == len(told) <= 10
    assert (found.unmask_step[:, :3] == -1).all() and (found.confidence[:, :3] == -1).all()
    for row in range(2):
        for column in range(3, 11):
            history = [int(one.ids[row, column]) for one in told]
            last = max(i for i, token in enumerate(history) if i == 0 or history[i - 1] != token)
            assert found.unmask_step[row, column] == last
    assert ((found.confidence[:, 3:] > 0) & (found.confidence[:, 3:] <= 1)).all()


def test_what_follows_a_stop_id_is_padding_and_some_tokens_are_never_written():
    free = generate(bert(), PROMPTS, gen_length=6, seed=1)
    stop = int(free[0, 4])
    found = generate(bert(), PROMPTS, gen_length=6, seed=1, stop_ids=(stop,), pad_token_id=0, return_order=True)
    end = 3 + found.ids[0, 3:].tolist().index(stop)
    assert not found.ids[0, end + 1 :].any() and (found.unmask_step[0, end + 1 :] == -1).all()
    allowed = generate(bert(), PROMPTS, gen_length=6, suppress_ids=(0, 1, 2, 3, 4))
    assert set(allowed[:, 3:].flatten().tolist()) <= {5, 6, 7}


@pytest.mark.parametrize("build_model", [tiny_model, tiny_dream])
def test_whole_rows_are_read_at_the_tokens_they_predict(build_model):
    model, is_text = build_model().eval(), torch.ones_like(PROMPTS, dtype=torch.bool)
    canvas = torch.tensor([[2, 2], [3, 4]])
    with torch.no_grad():
        logits = model(torch.cat([PROMPTS, canvas], 1)).logits
    start = 2 if build_model is tiny_dream else 3
    torch.testing.assert_close(whole_rows(model)(PROMPTS, is_text, canvas, None), logits[:, start : start + 2])


def test_a_padded_row_is_written_as_it_is_alone():
    ids, mask = torch.tensor([[0, 2, 3], [5, 6, 7]]), torch.tensor([[0, 1, 1], [1, 1, 1]])
    both = generate(bert(), ids, gen_length=4, attention_mask=mask, row_ids=torch.tensor([7, 8]))
    alone = generate(bert(), ids[:1, 1:], gen_length=4, row_ids=torch.tensor([7]))
    assert torch.equal(both[0, 3:], alone[0, 2:])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"temperature": 1.0}, "temperature is for models that fill in masks, and ModernBertForMaskedLM rewrites"),
        ({"threshold": 0.9}, "threshold is for models that fill in masks"),
        ({"attention": "block_causal"}, "attention is for models that fill in masks"),
        ({"gen_length": None}, "gen_length must be given"),
        ({"suppress_ids": (8,)}, "suppress_ids must be in"),
    ],
)
def test_what_is_about_masks_is_refused(settings, sentence):
    with pytest.raises(LiftError, match=sentence):
        generate(bert(), PROMPTS, config=SamplingConfig(**({"gen_length": 4} | settings)))


def test_blocks_are_what_canvases_are_anyway():
    generate(gemma(), PROMPTS, gen_length=4, steps=1, attention="block_causal", block_origin="start")
