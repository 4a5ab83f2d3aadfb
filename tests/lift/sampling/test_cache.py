"""Keys and values kept between forwards: exact where attention is block-causal, as of the block's start where full."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from lift import LiftError, generate
from lift.sampling.cache import BlockCache, PairCache
from tests.doubles.fast_dllm import FastDLLMModelLM
from tests.doubles.llada import LLaDAConfig
from tests.lift.support.caching_decoder import caching_decoder
from tests.lift.support.stub_denoiser import StubDenoiser

MASK = 62


def fed_lengths(model) -> list[int]:
    lengths = []
    model.model.register_forward_pre_hook(
        lambda _, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    return lengths


@pytest.mark.parametrize("origin", ["answer", "start"])
@pytest.mark.parametrize(
    "options", [{}, {"guidance_scale": 1.0}, {"shift": "repeat"}], ids=["plain", "guided", "shifted"]
)
def test_finished_blocks_are_kept_exactly(origin, options):
    model, prompts = caching_decoder(), torch.arange(15).view(3, 5)
    mask = torch.tensor([[0, 0, 1, 1, 1], [1] * 5, [0, 1, 1, 1, 1]])
    options = {
        "gen_length": 12, "block_length": 4, "attention": "block_causal", "mask_token_id": MASK, "return_order": True,
        "attention_mask": mask, "block_origin": origin,
    } | options  # fmt: skip
    plain = generate(model, prompts, **options)
    lengths = fed_lengths(model)
    cached = generate(model, prompts, cache="prefix", **options)
    assert torch.equal(cached.ids, plain.ids) and len(plain.ids[:, 5:].unique()) > 8
    assert torch.equal(cached.unmask_step.argsort(dim=1, stable=True), plain.unmask_step.argsort(dim=1, stable=True))
    assert max(lengths) <= 8 and len(lengths) == cached.num_forwards > plain.num_forwards


def test_a_forward_is_fed_what_its_cache_lacks():
    columns = torch.arange(20.0).view(1, 1, 10, 2)
    cache = BlockCache("Model")
    cache.begin(0, 10, keep=True)
    assert cache.update(columns, columns, 0)[0] is columns
    cache.begin(4, 10, keep=False)
    new = -columns[..., 4:, :]
    assert torch.equal(cache.update(new, new, 0)[0], torch.cat([columns[..., :4, :], new], 2))
    cache.begin(4, 6, keep=False)
    new = -columns[..., 4:6, :]
    found = cache.update(new, new, 0)[1]
    assert torch.equal(found, torch.cat([columns[..., :4, :], new, columns[..., 6:, :]], 2))
    assert cache.get_seq_length() == 4
    cache.look(None)
    cache.begin(4, 6, keep=False)
    with pytest.raises(LiftError, match="Model does not use the past_key_values that it is given: set cache=None"):
        cache.look(None)


class Pairs:
    """A layer's keys as `BlockCache` holds them, in the hands of a model that takes pairs and returns all of them."""

    def __init__(self, kept, replaced, num_columns) -> None:
        self.kept, self.replaced, self.all = kept, replaced, []
        self.start = (
            0 if kept is None else int(replaced[0].int().argmax()) if replaced is not None else kept[0][0].shape[2]
        )

    def get_seq_length(self) -> int:
        return self.start

    def update(self, keys, values, layer):
        if self.kept is not None:
            old = self.kept[layer][0]
            end = self.start + keys.shape[2]
            keys = torch.cat([old[:, :, : self.start], keys, old[:, :, end:]], 2)
        self.all.append((keys, keys))
        return keys, keys


class PairStub(StubDenoiser):
    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=False, replace_position=None):
        pairs = Pairs(past_key_values, replace_position, input_ids.shape[1])
        output = self._logits(input_ids, attention_mask, None, pairs)
        output.past_key_values = pairs.all
        return output


class PrefixOnlyStub(PairStub):
    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=False):
        return super().forward(input_ids, attention_mask, past_key_values, use_cache)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_code_that_takes_pairs_gets_them(cache):
    spec = {"seed": 4, "vocab_size": 48, "mask_token_id": 47, "layers": 2}
    options = {"sampler": "fast_dllm", "gen_length": 12, "block_length": 4, "cache": cache, "return_order": True}
    prompts = torch.arange(10).view(2, 5)
    expected = generate(StubDenoiser(spec), prompts, **options)
    found = generate(PairStub(spec), prompts, **options)
    assert torch.equal(found.ids, expected.ids) and torch.equal(found.unmask_step, expected.unmask_step)
    assert not torch.equal(expected.ids, generate(StubDenoiser(spec), prompts, **options | {"cache": None}).ids)


def fast_dllm(num_layers: int) -> FastDLLMModelLM:
    torch.manual_seed(0)
    model = FastDLLMModelLM(LLaDAConfig(n_layers=num_layers, mask_token_id=MASK)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    return model


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_pairs_of_fast_dllms_code_are_those_of_the_blocks_first_forward(cache):
    """As without a cache, in forwards that see old keys and values at the columns that a cache keeps."""
    prompts, block_length = torch.arange(10).view(2, 5), 4
    options = {"gen_length": 12, "block_length": block_length, "return_order": True}
    model, count = fast_dllm(2), 0
    plain = generate(model, prompts, **options)
    lengths = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    found = generate(model, prompts, cache=cache, **options)
    hook.remove()
    later = [4] * 3 if cache == "dual" else []
    assert lengths == [n for start in (5, 9, 13) for n in (17, *(later or [17 - start] * 3))]

    kept = {}

    def keep(module, _, output):
        block, step = divmod(count, block_length)
        start = prompts.shape[1] + block * block_length
        if step == 0:
            kept[module] = output.clone()
            return output
        fed = slice(start, start + block_length if cache == "dual" else None)
        mixed = kept[module].clone()
        mixed[:, fed] = output[:, fed]
        return mixed

    def counted(*_):
        nonlocal count
        count += 1

    for block in model.model.transformer.blocks:
        block.k_proj.register_forward_hook(keep)
        block.v_proj.register_forward_hook(keep)
    model.register_forward_hook(counted)
    expected = generate(model, prompts, **options)
    assert torch.equal(found.ids, expected.ids) and torch.equal(found.unmask_step, expected.unmask_step)
    assert not torch.equal(found.ids, plain.ids)


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_a_cache_of_one_layer_is_exact(cache):
    """Its keys and values are those of the tokens alone, which do not change outside the block."""
    model, prompts = fast_dllm(1), torch.arange(10).view(2, 5)
    options = {"gen_length": 12, "block_length": 4}
    plain = generate(model, prompts, **options)
    assert torch.equal(generate(model, prompts, cache=cache, **options), plain) and len(plain[:, 5:].unique()) > 4


def test_dual_needs_code_that_replaces(monkeypatch):
    import lift.sampling.cache as module

    monkeypatch.setattr(module, "new_cache", lambda model: PairCache("LLaDA", False))
    spec = {"seed": 4, "vocab_size": 48, "mask_token_id": 47, "layers": 2}
    options = {"gen_length": 8, "block_length": 4}
    prompts = torch.arange(10).view(2, 5)
    with pytest.raises(
        LiftError, match="LLaDA takes no replace_position, which cache='dual' needs: set cache='prefix'"
    ):
        generate(PrefixOnlyStub(spec), prompts, cache="dual", **options)
    found = generate(PrefixOnlyStub(spec), prompts, cache="prefix", **options)
    monkeypatch.undo()
    assert torch.equal(found, generate(StubDenoiser(spec), prompts, cache="prefix", **options))


def test_models_without_a_cache_are_refused():
    config = BertConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=16,
    )  # fmt: skip
    options = {"gen_length": 4, "mask_token_id": MASK, "cache": "prefix", "block_length": 2}
    with pytest.raises(LiftError, match=r"BertForMaskedLM .*past_key_values.*: set cache=None"):
        generate(BertForMaskedLM(config), torch.zeros(1, 2, dtype=torch.int64), **options)
