"""Properties of decoding, with a denoiser whose logits are exact: what a row becomes depends on nothing beside it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lift import generate
from tests.lift.support.stub_denoiser import STUB_FAMILY, PositionedStub

MASK, PAD, STOP, V = 47, 45, 46, 48


def stub(seed: int = 3, stop_bias: float = 0.0, model_type: str = STUB_FAMILY) -> PositionedStub:
    bias = {str(STOP): stop_bias}
    return PositionedStub({"seed": seed, "vocab_size": V, "mask_token_id": MASK, "bias": bias}, model_type)


def prompts_of(lengths: list[int]) -> list[torch.Tensor]:
    return [torch.arange(length) * 7 % 44 for length in lengths]


def batch_of(prompts: list[torch.Tensor], side: str) -> dict[str, torch.Tensor]:
    width = max(map(len, prompts))
    ids, mask = torch.full((len(prompts), width), PAD), torch.zeros(len(prompts), width, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        place = slice(width - len(prompt), width) if side == "left" else slice(0, len(prompt))
        ids[row, place], mask[row, place] = prompt, 1
    return {"prompt_ids": ids, "attention_mask": mask}


WAYS = {
    "greedy": {},
    "blocks": {"block_length": 4, "steps": 6},
    "drawn": {"temperature": 0.9, "top_k": 9, "top_p": 0.95},
    "random order": {"remasking": "random", "steps": 5},
    "margin": {"remasking": "margin", "block_length": 6},
    "entropy": {"remasking": "entropy", "steps": 4},
    "drawn order": {"position_temperature": 0.5},
    "cosine": {"schedule": "cosine", "steps": 6},
    "dream": {"schedule": "dream", "steps": 6},
    "bernoulli": {"schedule": "bernoulli", "steps": 6},
    "threshold": {"threshold": 0.5, "block_length": 6},
    "factor": {"factor": 1.2},
    "capped threshold": {"threshold": 0.99, "steps": 3},
    "guidance": {"guidance_scale": 1.5, "steps": 6},
    "repetition": {"repetition_penalty": 1.3},
    "stop": {"stop_ids": (STOP,), "block_length": 4},
    "llada2": {"sampler": "llada2", "block_length": 4, "stop_ids": (STOP,)},
    "llada2.1": {"sampler": "llada2.1", "block_length": 4, "editing_threshold": 0.4, "max_post_steps": 3},
    "sdar": {"sampler": "sdar"},
    "bd3lm": {"sampler": "bd3lm", "block_length": 4, "steps": 6, "stop_ids": (STOP,)},
    "prefix cache": {"cache": "prefix", "block_length": 4},
    "dual cache": {"sampler": "fast_dllm", "cache": "dual", "block_length": 4, "threshold": 0.6},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_row_becomes_what_it_is_alone(way):
    """In any batch, whichever side the padding is on: ids and the order of unmasking, but for steps it waited."""
    lengths, row_ids = [5, 2, 9, 4], torch.tensor([7, 2**40, 0, 3])
    options = {"gen_length": 12, "seed": 5, "pad_token_id": PAD} | WAYS[way]
    model, prompts = stub(stop_bias=2.0), prompts_of(lengths)
    alone = [
        generate(model, prompt[None], row_ids=row_ids[[row]], return_order=True, **options)
        for row, prompt in enumerate(prompts)
    ]
    assert len({tuple(row.ids[0, -12:].tolist()) for row in alone}) > 1
    for side in ("left", "right"):
        batch = batch_of(prompts, side)
        found = generate(model, **batch, row_ids=row_ids, return_order=True, **options)
        assert torch.equal(found.ids[:, :-12], batch["prompt_ids"])
        for row, expected in enumerate(alone):
            assert found.ids[row, -12:].tolist() == expected.ids[0, -12:].tolist(), (side, row)
            _, ours = found.unmask_step[row, -12:].unique(return_inverse=True)
            _, theirs = expected.unmask_step[0, -12:].unique(return_inverse=True)
            assert ours.tolist() == theirs.tolist()
        assert found.num_forwards >= max(row.num_forwards for row in alone)


@settings(deadline=None, max_examples=25)
@given(
    num_blocks=st.integers(1, 3), block_length=st.integers(1, 5), seed=st.integers(0, 99),
    schedule=st.sampled_from(["even", "linear", "cosine", "dream"]),
    remasking=st.sampled_from(["low_confidence", "margin", "entropy", "random", "left_to_right"]),
    temperature=st.sampled_from([0.0, 1.3]), data=st.data(),
)  # fmt: skip
def test_every_mask_is_filled_once_in_no_more_steps_than_asked_for(
    num_blocks, block_length, seed, schedule, remasking, temperature, data
):
    steps = num_blocks * data.draw(st.integers(1, block_length))
    prompts, length, frames = torch.arange(6).view(2, 3), num_blocks * block_length, []
    found = generate(
        stub(seed), prompts, gen_length=length, block_length=block_length, steps=steps, schedule=schedule,
        remasking=remasking, temperature=temperature, seed=seed, return_order=True,
        on_step=lambda step, ids: frames.append(ids),
    )  # fmt: skip
    assert torch.equal(found.ids[:, :3], prompts) and (found.unmask_step[:, :3] == -1).all()
    assert not (found.ids == MASK).any() and torch.equal(frames[-1], found.ids)
    assert found.num_forwards <= steps and len(frames) == found.num_forwards
    assert found.num_forwards == steps or schedule != "even"
    for step, (before, after) in enumerate(pairwise(frames), 1):
        changed = before != after
        assert (before[changed] == MASK).all() and torch.equal(changed, found.unmask_step == step)
    # Blocks are written one after the other.
    last = found.unmask_step[:, 3:].unflatten(1, (num_blocks, block_length))
    assert (last.amax(2)[:, :-1] < last.amin(2)[:, 1:]).all()


def test_a_threshold_of_one_is_one_token_a_step_and_of_zero_one_step():
    options = {"gen_length": 8, "return_order": True}
    greedy = generate(stub(), prompts_of([4])[0][None], **options)
    slow = generate(stub(), prompts_of([4])[0][None], threshold=1.0, **options)
    assert slow.num_forwards == 8 and torch.equal(slow.ids, greedy.ids)
    assert torch.equal(slow.unmask_step, greedy.unmask_step)
    assert generate(stub(), prompts_of([4])[0][None], threshold=0.0, **options).num_forwards == 1


def test_a_row_ends_at_its_first_stop_id_and_waits_for_what_comes_before():
    model, prompts = stub(stop_bias=4.0), torch.arange(8).view(4, 2)
    free = generate(model, prompts, gen_length=12)
    found = generate(model, prompts, gen_length=12, stop_ids=(STOP,), pad_token_id=PAD, return_order=True)
    ends = [row[2:].index(STOP) if STOP in row[2:] else 12 for row in free.tolist()]
    assert any(end < 11 for end in ends)
    for row, end in enumerate(ends):
        assert found.ids[row, : 2 + end + 1].tolist() == free[row, : 2 + end + 1].tolist()
        assert (found.ids[row, 2 + end + 1 :] == PAD).all()
    assert generate(model, prompts[:1], gen_length=12, stop_ids=(STOP,), return_order=True).num_forwards <= 12
    assert torch.equal(generate(model, prompts, gen_length=12, stop_ids=(STOP,), early_stop=False), free)


def test_end_tokens_can_be_suppressed_or_come_last():
    model, prompts = stub(stop_bias=4.0), torch.arange(8).view(4, 2)
    options = {"gen_length": 12, "stop_ids": (STOP,), "early_stop": False, "return_order": True}
    assert STOP in generate(model, prompts, **options).ids
    assert STOP not in generate(model, prompts, eos="suppress", **options).ids
    last = generate(model, prompts, eos="last", **options)
    for ids, step in zip(last.ids, last.unmask_step, strict=True):
        if STOP in ids:  # what is proposed as the end is committed when nothing else is left to commit
            assert step[ids == STOP].min() > step[(ids != STOP) & (step >= 0)].max()
    with pytest.raises(ValueError, match="eos='last' needs stop_ids"):
        generate(model, prompts, gen_length=4, eos="last")


def test_text_is_filled_in_wherever_its_masks_are():
    text = torch.tensor([[5, MASK, 9, MASK, MASK, 3, PAD], [MASK, 8, MASK, 1, 2, MASK, 6]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 0], [1] * 7])
    found = generate(stub(), text, attention_mask=mask, infill=True, block_length=3, return_order=True)
    is_given = text != MASK
    assert torch.equal(found.ids[is_given], text[is_given]) and not (found.ids == MASK).any()
    assert torch.equal(found.unmask_step >= 0, ~is_given)
    alone = generate(stub(), text[:1, :6], infill=True, block_length=3)
    assert torch.equal(found.ids[:1, :6], alone)
    left = generate(stub(), text[:1].roll(1, 1), attention_mask=mask[:1].roll(1, 1), infill=True, block_length=3)
    assert torch.equal(left[:, 1:], alone) and left[0, 0] == PAD


def test_the_mask_token_is_committed_on_request_only():
    model = stub()
    model.spec["bias"] = {str(MASK): 30.0}
    prompts = torch.arange(4).view(2, 2)
    assert not (generate(model, prompts, gen_length=6) == MASK).any()
    found = generate(model, prompts, gen_length=6, sampler="llada", reference_quirks=True, return_order=True)
    assert (found.ids[:, 2:] == MASK).all() and found.num_forwards == 6


def test_a_penalty_keeps_tokens_from_coming_again():
    model, prompts = stub(), torch.arange(8).view(4, 2)
    model.spec["bias"] = {"7": 8.0}
    free = generate(model, prompts, gen_length=10)
    penalized = generate(model, prompts, gen_length=10, repetition_penalty=3.0)
    assert (free == 7).sum() > 20 and (penalized == 7).sum() <= 4


def test_draws_differ_by_seed_and_row_and_come_back():
    prompts = torch.arange(3).repeat(4, 1)
    options = {"gen_length": 8, "temperature": 1.5}
    first = generate(stub(), prompts, seed=1, **options)
    assert torch.equal(first, generate(stub(), prompts, seed=1, **options))
    assert len({tuple(row) for row in first.tolist()}) == 4
    assert not torch.equal(first, generate(stub(), prompts, seed=2, **options))
    moved = generate(stub(), prompts[:2], seed=1, row_ids=torch.tensor([3, 1]), **options)
    assert torch.equal(moved, first[[3, 1]])
