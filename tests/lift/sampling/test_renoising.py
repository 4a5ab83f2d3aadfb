"""Canvases of random tokens: as transformers' own loop decodes them, and each row as it is alone."""

from __future__ import annotations

from collections import deque

import pytest
import torch

from lift import LiftError
from lift.sampling.renoising import RenoisingConfig, diffusion_gemma, entropy_of, generate_by_renoising, within_bound
from tests.lift_kernels.tiny_models import build


class Replayed:
    def __init__(self, draws):
        self.draws = deque(draws)

    def begin(self, forward, block, step):
        pass

    def tokens(self, logits, row, column):
        return self.draws.popleft().flatten()

    def token_ids(self, row, column, vocab_size):
        return self.draws.popleft().flatten()


def test_transformers_own_loop_writes_the_same(monkeypatch):
    model = build("diffusion-gemma", torch.float32).eval()
    prompts, size = torch.arange(8).view(2, 4) + 5, model.config.canvas_length
    draws = []
    for name in ("multinomial", "randint"):
        function = getattr(torch, name)

        def draw(*args, function=function, **options):
            draws.append(function(*args, **options))
            return draws[-1]

        monkeypatch.setattr(torch, name, draw)
    options = {"max_denoising_steps": 4, "t_min": 0.5, "t_max": 0.9}
    with torch.no_grad():
        theirs = model.generate(
            prompts, max_new_tokens=2 * size, eos_token_id=None, pad_token_id=0, disable_compile=True, **options
        )
    theirs = theirs if isinstance(theirs, torch.Tensor) else theirs.sequences
    monkeypatch.undo()
    config = RenoisingConfig(gen_length=2 * size, canvas_length=size, steps=4, temperature_min=0.5, temperature_max=0.9)
    ours, num_forwards = generate_by_renoising(
        diffusion_gemma(model), prompts, config, vocab_size=model.config.text_config.vocab_size, pad_token_id=0,
        noise=Replayed(draws),
    )  # fmt: skip
    assert torch.equal(ours, theirs) and num_forwards <= 8 and len(theirs[:, 4:].unique()) > 4


def denoise(text, is_text, canvas, previous):
    """Each position knows the text and its neighbours."""
    seen = ((text * is_text).sum(1, keepdim=True) + canvas.cumsum(1)) % 13
    return 4 * torch.nn.functional.one_hot(seen, 13).float() + (0 if previous is None else previous / 8)


def test_a_row_is_what_it_is_alone_and_ends_at_its_stop_id():
    prompts, row_ids = torch.arange(12).view(4, 3), torch.tensor([5, 1, 9, 2])
    config = RenoisingConfig(gen_length=8, canvas_length=4, steps=5, stop_ids=(3,), confidence_threshold=1.5, seed=4)
    options = {"vocab_size": 13, "pad_token_id": 0}
    ids, _ = generate_by_renoising(denoise, prompts, config, row_ids=row_ids, **options)
    for row in range(4):
        alone, _ = generate_by_renoising(denoise, prompts[[row]], config, row_ids=row_ids[[row]], **options)
        assert ids[row, : alone.shape[1]].tolist() == alone[0].tolist() and not ids[row, alone.shape[1] :].any()
        answer = ids[row, 3:].tolist()
        if 3 in answer:
            assert not any(answer[answer.index(3) + 1 :])
    assert len({tuple(row) for row in ids[:, 3:].tolist()}) > 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_are_written_as_they_are_alone(side):
    """Each has its positions and its draws, also behind its first canvas."""
    model = build("diffusion-gemma", torch.float32).eval()
    size, lengths, row_ids = model.config.canvas_length, (2, 7, 4), torch.tensor([3, 8, 1])
    vocab_size = model.config.text_config.vocab_size
    prompts = [torch.arange(length) + 5 + 9 * row for row, length in enumerate(lengths)]
    padded, mask = torch.full((3, 7), 1), torch.zeros(3, 7, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        place = slice(-len(prompt), None) if side == "left" else slice(len(prompt))
        padded[row, place], mask[row, place] = prompt, 1
    config = RenoisingConfig(gen_length=2 * size, canvas_length=size, steps=3, seed=2)
    options = {"vocab_size": vocab_size, "pad_token_id": 0}
    ids, _ = generate_by_renoising(
        diffusion_gemma(model), padded, config, attention_mask=mask, row_ids=row_ids, **options
    )
    assert torch.equal(ids[:, :7], padded)
    for row, prompt in enumerate(prompts):
        alone, _ = generate_by_renoising(
            diffusion_gemma(model), prompt[None], config, row_ids=row_ids[[row]], **options
        )
        assert ids[row, 7:].tolist() == alone[0, len(prompt) :].tolist()
    with pytest.raises(LiftError, match=r"attention_mask must have shape \(3, 7\)"):
        generate_by_renoising(diffusion_gemma(model), padded, config, attention_mask=mask[:2], **options)


def test_entropies_before_a_kept_position_sum_to_no_more_than_the_bound():
    entropy = entropy_of(torch.randn(3, 7, 11) * 3)
    for row, kept in zip(entropy.tolist(), within_bound(entropy, 1.0).tolist(), strict=True):
        for position, value in enumerate(row):
            before = sum(other for other in row if other < value)
            assert kept[position] == (before <= 1.0)
    uniform = torch.zeros(1, 2, 8)
    torch.testing.assert_close(entropy_of(uniform), torch.full((1, 2), 8.0).log())
    assert entropy_of(torch.tensor([[[0.0, -torch.inf]]])).item() == 0
