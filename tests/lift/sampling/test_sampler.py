from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ModernBertConfig, ModernBertForMaskedLM

import lift
from lift.sampling import one_pass
from lift.sampling.sampler import generate
from lift_kernels import apply_lift_kernels

MASK, PAD = 1, 0


def tiny_modernbert(seed: int = 0, dropout: float = 0.0) -> ModernBertForMaskedLM:
    torch.manual_seed(seed)
    config = ModernBertConfig(
        vocab_size=23,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        layer_types=["full_attention"] * 2,
        embedding_dropout=dropout,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=None,
        cls_token_id=None,
        sep_token_id=None,
        # Large weights: confidences that differ, and an argmax that depends on the context.
        initializer_range=0.6,
    )
    return ModernBertForMaskedLM(config)


def decode_plainly(model, prompt, gen_length, block_length, steps, attention_mask=None):
    """One row, one position at a time, by Python loops over float64 probabilities."""
    ids = prompt.tolist() + [MASK] * gen_length
    mask = None if attention_mask is None else torch.cat([attention_mask, torch.ones(gen_length)])[None].long()
    num_blocks = gen_length // block_length
    steps_per_block = steps // num_blocks
    for block in range(num_blocks):
        still_masked = list(range(len(prompt) + block * block_length, len(prompt) + (block + 1) * block_length))
        for step in range(steps_per_block):
            # The first steps take the larger half of what cannot be shared evenly.
            quota = math.ceil((block_length - step) / steps_per_block)
            logits = model(input_ids=torch.tensor([ids]), attention_mask=mask).logits[0].double()
            candidates = []
            for position in still_masked:
                probability = logits[position].index_fill(0, torch.tensor([MASK]), -torch.inf).softmax(-1)
                token = int(probability.argmax())
                candidates.append((-float(probability[token]), position, token))
            for _, position, token in sorted(candidates)[:quota]:
                ids[position] = token
                still_masked.remove(position)
    return ids


@pytest.mark.parametrize("is_patched", [False, True], ids=["logits", "token_stats"])
@pytest.mark.parametrize(
    ("gen_length", "block_length", "steps"),
    [
        (12, 12, 12),
        (12, 4, 6),  # three blocks, two tokens a step
        (12, 6, 8),  # 2, 2, 1, 1 tokens a step: a remainder
        (7, 7, 3),  # 3, 2, 2
        (12, 4, 3),  # a block at once
        (5, 1, 5),  # left to right
    ],
)
def test_decoding_agrees_with_plain_loops(gen_length, block_length, steps, is_patched):
    model = tiny_modernbert().eval()
    prompts = torch.randint(2, 23, (6, 5))
    with torch.no_grad():
        expected = [decode_plainly(model, prompt, gen_length, block_length, steps) for prompt in prompts]
    assert len({tuple(row[5:]) for row in expected}) > 1
    if is_patched:
        apply_lift_kernels(model)
    ids = generate(model, prompts, gen_length=gen_length, mask_token_id=MASK, block_length=block_length, steps=steps)
    assert ids.dtype == torch.int64 and ids.tolist() == expected


@pytest.mark.parametrize("is_patched", [False, True], ids=["logits", "token_stats"])
def test_left_padding_with_an_attention_mask_changes_nothing(is_patched):
    model = tiny_modernbert().eval()
    prompts = torch.randint(2, 23, (4, 6))
    prompts[0, :3] = PAD
    attention_mask = (prompts != PAD).long()
    with torch.no_grad():
        expected = [
            decode_plainly(model, prompt, 8, 8, 8, mask) for prompt, mask in zip(prompts, attention_mask, strict=True)
        ]
        unmasked = decode_plainly(model, prompts[0], 8, 8, 8)
    assert unmasked != expected[0]
    if is_patched:
        apply_lift_kernels(model)
    ids = generate(model, prompts, gen_length=8, mask_token_id=MASK, attention_mask=attention_mask)
    assert ids.tolist() == expected


class Scripted(torch.nn.Module):
    """Predicts token 2 + (position mod 5), with the confidence that a script gives each position."""

    def __init__(self, confidence: torch.Tensor, mask_share: float = 0.0) -> None:
        super().__init__()
        self.confidence, self.mask_share = confidence, mask_share
        self.config = SimpleNamespace(vocab_size=10, mask_token_id=MASK)
        self.calls = 0

    def forward(self, input_ids, attention_mask=None):
        self.calls += 1
        B, L = input_ids.shape
        probability = torch.zeros(B, L, 10)
        position = torch.arange(L)
        probability[:, position, 2 + position % 5] = self.confidence[:, :L]
        probability[..., MASK] = self.mask_share
        probability[..., 8:] = (1 - probability.sum(-1, keepdim=True)) / 2
        return SimpleNamespace(logits=probability.log())


def commit_order(model, prompt_length, gen_length, **options):
    """The positions of row 0 that each step committed."""
    frames = [torch.full((1, prompt_length + gen_length), MASK)]
    prompt = torch.full((model.confidence.shape[0], prompt_length), 9)

    def on_step(step, ids):
        assert step == len(frames)
        frames.append(ids[:1])

    final = generate(model, prompt, gen_length=gen_length, on_step=on_step, **options)
    assert torch.equal(final[:1], frames[-1]) and not (final == MASK).any()
    expected = 2 + torch.arange(prompt_length + gen_length) % 5
    assert torch.equal(final[0, prompt_length:], expected[prompt_length:])
    frames[0][:, :prompt_length] = 9
    return [(new != old)[0].nonzero()[:, 0].tolist() for old, new in itertools.pairwise(frames)]


def test_the_most_confident_positions_come_first():
    #                     prompt      block 1             block 2
    script = torch.tensor([[0.99, 0.99, 0.4, 0.7, 0.5, 0.6, 0.9, 0.95, 0.8, 0.85]])
    model = Scripted(script)
    assert commit_order(model, 2, 8, block_length=4) == [[3], [5], [4], [2], [7], [6], [9], [8]]
    assert model.calls == 8
    assert commit_order(model, 2, 8, block_length=4, steps=4) == [[3, 5], [2, 4], [6, 7], [8, 9]]
    assert commit_order(model, 2, 8, steps=3) == [[6, 7, 9], [3, 5, 8], [2, 4]]
    assert commit_order(model, 2, 8, steps=1) == [[2, 3, 4, 5, 6, 7, 8, 9]]


def test_ties_go_to_the_lower_position():
    assert commit_order(Scripted(torch.full((1, 6), 0.8)), 0, 6, steps=3) == [[0, 1], [2, 3], [4, 5]]


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(9)), st.sampled_from([1, 3, 9]), st.data())
def test_any_order_of_confidence_is_followed(ranks, num_blocks, data):
    block_length = 9 // num_blocks
    steps = num_blocks * data.draw(st.integers(1, block_length))
    confidence = 0.4 + torch.tensor([ranks]) / 20
    order = commit_order(Scripted(confidence), 0, 9, block_length=block_length, steps=steps)
    flat = sorted(range(9), key=lambda position: (position // block_length, -ranks[position]))
    starts = itertools.accumulate(map(len, order), initial=0)
    assert order == [sorted(flat[start : start + len(step)]) for start, step in zip(starts, order, strict=False)]
    sizes = [len(step) for step in order[: steps // num_blocks]]
    assert sizes == sorted(sizes, reverse=True) and max(sizes) - min(sizes) <= 1


def test_the_mask_token_is_never_committed():
    # [MASK] has 0.55 everywhere and beats every token: the rest decides.
    model = Scripted(torch.tensor([[0.2, 0.4, 0.25, 0.3]]), mask_share=0.55)
    assert commit_order(model, 0, 4) == [[1], [3], [2], [0]]


@pytest.mark.parametrize("is_patched", [False, True], ids=["logits", "token_stats"])
def test_suppressed_ids_are_never_committed_and_the_rest_decides(is_patched):
    model, prompts = tiny_modernbert().eval(), torch.randint(2, 23, (3, 4))
    plain = generate(model, prompts, gen_length=8, mask_token_id=MASK)
    suppressed = plain[:, 4:].unique()[:4].tolist()  # what it would write
    with torch.no_grad():
        model.decoder.bias[suppressed] = 30.0
    assert set(generate(model, prompts, gen_length=8, mask_token_id=MASK)[:, 4:].unique().tolist()) <= {*suppressed}
    if is_patched:
        apply_lift_kernels(model)
    found = generate(model, prompts, gen_length=8, mask_token_id=MASK, suppress_ids=suppressed)
    assert not torch.isin(found[:, 4:], torch.tensor([MASK, *suppressed])).any()
    with torch.no_grad():
        model.decoder.bias[suppressed] = -1e4  # the same tokens win; only their shares of the probability differ
    free = generate(model, prompts, gen_length=8, mask_token_id=MASK, steps=1)
    with torch.no_grad():
        model.decoder.bias[suppressed] = 30.0
    options = {"gen_length": 8, "mask_token_id": MASK, "steps": 1, "suppress_ids": torch.tensor(suppressed)}
    assert torch.equal(generate(model, prompts, **options), free)
    assert not torch.equal(plain, found)


@pytest.mark.parametrize("is_patched", [False, True])
def test_the_head_is_given_no_more_than_the_positions_asked_about(is_patched, monkeypatch):
    model = tiny_modernbert().eval()
    if is_patched:
        apply_lift_kernels(model)
    with torch.no_grad():
        model.decoder.bias[[MASK, 5]] = 30.0
    sizes, forward, op = [], model.decoder.forward, one_pass.linear_sample

    def counted(function):
        return lambda rows, *rest, **options: (sizes.append(rows.shape[:-1].numel()), function(rows, *rest, **options))[
            1
        ]

    monkeypatch.setattr(model.decoder, "forward", counted(forward))
    monkeypatch.setattr(one_pass, "linear_sample", counted(op))
    for penalty in (1.0, 1.5):  # the latter needs logits
        sizes.clear()
        options = {"suppress_ids": [5], "repetition_penalty": penalty}
        generate(model, torch.randint(2, 23, (3, 4)), gen_length=4, mask_token_id=MASK, **options)
        assert [size for size in sizes if size] == [12, 9, 6, 3]  # what is still masked


def test_the_mode_of_each_module_is_restored_and_decoding_is_deterministic():
    model = tiny_modernbert(dropout=0.5).train()
    model.head.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    prompts = torch.randint(2, 23, (2, 4))
    first = generate(model, prompts, gen_length=6, mask_token_id=MASK)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert torch.equal(first, generate(model, prompts, gen_length=6, mask_token_id=MASK))

    def fail(step, ids):
        assert not model.training and not torch.is_grad_enabled()
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        generate(model, prompts, gen_length=6, mask_token_id=MASK, on_step=fail)
    assert {name: module.training for name, module in model.named_modules()} == modes


def test_the_ids_given_to_on_step_and_the_prompt_are_not_shared():
    prompt = torch.full((1, 2), 9)
    result = generate(Scripted(torch.full((1, 6), 0.8)), prompt, gen_length=4, on_step=lambda step, ids: ids.zero_())
    assert result.tolist() == [[9, 9, 4, 5, 6, 2]] and prompt.tolist() == [[9, 9]]


@pytest.mark.parametrize("remasking", ["low_confidence", "margin", "entropy", "random"])
def test_a_confidence_is_the_probability_at_the_commitment(remasking):
    """Whatever the order; progress tells it as the text grows."""
    model, prompts = tiny_modernbert().eval(), torch.tensor([[5, 6, 7], [PAD, 8, 9]])
    mask = (prompts != PAD).long()
    seen = []
    found = generate(
        model, prompts, attention_mask=mask, gen_length=6, steps=3, mask_token_id=MASK, remasking=remasking,
        on_progress=seen.append, return_order=True,
    )  # fmt: skip
    before = torch.cat([prompts, torch.full((2, 6), MASK)], 1)
    attended = torch.cat([mask, torch.ones(2, 6, dtype=torch.int64)], 1)
    for progress in seen:
        with torch.no_grad():
            logits = model(before, attention_mask=attended).logits.index_fill(-1, torch.tensor(MASK), -torch.inf)
        is_new = (before == MASK) & (progress.ids != MASK)
        expected = logits.softmax(-1).gather(-1, progress.ids[..., None])[..., 0]
        torch.testing.assert_close(progress.confidence[is_new], expected[is_new], rtol=1e-4, atol=1e-5)
        assert (progress.confidence[progress.unmask_step < 0] == -1).all()
        before = progress.ids
    assert len(seen) == 3 and torch.equal(seen[-1].confidence, found.confidence) and (found.confidence[:, 3:] > 0).all()


def test_a_mask_token_in_the_prompt_stays():
    result = generate(Scripted(torch.full((1, 4), 0.8)), torch.tensor([[MASK, 9]]), gen_length=2)
    assert result[0, :2].tolist() == [MASK, 9]


def test_generate_is_a_public_name():
    assert lift.generate is generate


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"gen_length": 0}, "gen_length must be at least 1, got 0"),
        ({"block_length": 3}, "block_length must divide gen_length 8, got 3"),
        ({"block_length": 0}, "block_length must be at least 1, got 0"),
        ({"block_length": 16}, "block_length must divide gen_length 8, got 16"),
        ({"steps": 9}, "at most gen_length 8, got 9"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"block_length": 2, "steps": 6}, "steps must be a multiple of the number of blocks, 4, .* got 6"),
        ({"mask_token_id": None}, "model.config has none. Pass tokenizer.mask_token_id"),
        ({"mask_token_id": 23}, r"mask_token_id must be in \[0, 23\), the model's vocabulary, got 23"),
        ({"mask_token_id": -1}, r"mask_token_id must be in \[0, 23\)"),
        ({"stop_ids": (4, MASK)}, r"stop_ids hold the mask token \(id 1\), which ends nothing: leave it out"),
        (
            {"prompt_ids": torch.zeros(3, dtype=torch.int64)},
            r"prompt_ids must be \(B, P\) int64, got \(3,\) int64",
        ),
        ({"prompt_ids": torch.zeros(1, 3)}, r"prompt_ids must be \(B, P\) int64, got \(1, 3\) float32"),
        ({"attention_mask": torch.ones(1, 2)}, r"attention_mask must have shape \(1, 3\) like prompt_ids"),
    ],
)
def test_what_does_not_fit_is_refused(options, complaint):
    arguments = {"prompt_ids": torch.full((1, 3), 5), "gen_length": 8, "mask_token_id": MASK} | options
    with pytest.raises(ValueError, match=complaint):
        generate(tiny_modernbert(), **arguments)
