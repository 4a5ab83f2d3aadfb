"""The doubles behave as the published classes do."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.doubles import a2d_qwen3, dream, llada, llada2_moe, llada_moe

V, L = 64, 7

MODELS = {
    "llada": lambda: llada.LLaDAModelLM(llada.LLaDAConfig()),
    "llada-tied": lambda: llada.LLaDAModelLM(llada.LLaDAConfig(weight_tying=True, scale_logits=True)),
    "llada-moe": lambda: llada_moe.LLaDAMoEModelLM(llada_moe.LLaDAConfig()),
    "llada2": lambda: llada2_moe.LLaDA2MoeModelLM(llada2_moe.LLaDA2MoeConfig()),
    "a2d-qwen3": lambda: a2d_qwen3.A2DQwen3LMHeadModel(a2d_qwen3.A2DQwen3Config()),
    "sdar": lambda: a2d_qwen3.SDARForCausalLM(a2d_qwen3.SDARConfig()),
    "dream": lambda: dream.DreamModel(dream.DreamConfig()),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    return request.param().eval()


@pytest.fixture
def input_ids():
    return torch.randint(V, (3, L))


def full_mask(model) -> dict:
    return {"attention_mask": torch.zeros(3, 1, L, L)} if model.config.model_type == "llada2_moe" else {}


def test_logits_are_finite_and_every_position_sees_every_other(model, input_ids):
    logits = model(input_ids, **full_mask(model)).logits
    assert logits.shape == (3, L, V) and logits.isfinite().all()
    changed = input_ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % V
    assert not torch.allclose(model(changed, **full_mask(model)).logits[:, 0], logits[:, 0], atol=1e-6)


def test_order_matters(model, input_ids):
    swapped = input_ids[:, [1, 0, *range(2, L)]]
    assert not torch.allclose(
        model(swapped, **full_mask(model)).logits[:, -1], model(input_ids, **full_mask(model)).logits[:, -1], atol=1e-6
    )


def test_a_saved_model_loads_to_the_bit(model, input_ids, tmp_path):
    expected = model(input_ids, **full_mask(model)).logits
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(input_ids, **full_mask(model)).logits, expected)
    assert loaded.config.model_type == model.config.model_type


def test_every_parameter_is_trained(model, input_ids):
    model(input_ids, **full_mask(model)).logits.square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_gradient_checkpointing_gives_the_same_gradients_or_is_refused(model, input_ids):
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable  # 5.x, 4.x
    if isinstance(model, llada.LLaDAModelLM):
        with pytest.raises(ValueError, match=r"LLaDAModelLM does not support (gradient|activation) checkpointing"):
            enable()
        return

    def gradients():
        model.zero_grad()
        model.train()(input_ids, **full_mask(model)).logits.square().sum().backward()
        return [p.grad.clone() for p in model.parameters()]

    expected = gradients()
    enable({"use_reentrant": False})
    assert model.model.gradient_checkpointing
    for ours, truth in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(ours, truth)


def test_llada_keeps_its_head_inside_and_returns_logits_from_the_base_model(input_ids):
    model = llada.LLaDAModelLM(llada.LLaDAConfig(embedding_size=128, scale_logits=True, include_bias=True)).eval()
    outputs = model(input_ids, attention_mask=torch.zeros(3, L), output_hidden_states=True)
    head = model.get_output_embeddings()
    assert head is model.model.transformer.ff_out and head.weight.shape == (128, 16)
    assert torch.equal(model.base_model(input_ids)[0], outputs.logits)
    torch.testing.assert_close(outputs.logits, head(outputs.hidden_states[-1]) / 4)
    with pytest.warns(UserWarning, match="cannot calculate the loss"):
        assert model(input_ids, labels=input_ids).loss is None
    with pytest.raises(TypeError, match="unexpected keyword"):
        model(input_ids, num_items_in_batch=1)


def test_llada_ties_the_head_to_the_embedding(input_ids):
    model = llada.LLaDAModelLM(llada.LLaDAConfig(weight_tying=True)).eval()
    outputs = model(input_ids, output_hidden_states=True)
    wte = model.model.transformer.wte
    assert model.get_output_embeddings() is wte
    torch.testing.assert_close(outputs.logits, F.linear(outputs.hidden_states[-1], wte.weight))


@pytest.mark.parametrize("name", ["llada-moe", "llada2", "dream"])
def test_the_decoder_gives_the_hidden_states_of_the_head(name, input_ids):
    model = MODELS[name]().eval()
    hidden_states = model.model(input_ids, **full_mask(model))[0]
    torch.testing.assert_close(model.lm_head(hidden_states), model(input_ids, **full_mask(model)).logits)


def test_mixtures_report_their_router_and_upcast_their_logits(input_ids):
    moe = MODELS["llada-moe"]().eval().bfloat16()
    outputs = moe(input_ids, output_router_logits=True)
    assert outputs.logits.dtype == torch.float32 and outputs.aux_loss.item() > 0
    assert [x.shape for x in outputs.router_logits] == [(3 * L, 2)]
    with pytest.raises(AssertionError):
        moe(input_ids, labels=input_ids)
    llada2 = MODELS["llada2"]().eval()
    outputs = llada2(input_ids, **full_mask(llada2), labels=input_ids, output_router_logits=True)
    torch.testing.assert_close(outputs.loss, F.cross_entropy(outputs.logits.flatten(0, 1), input_ids.flatten()))
    assert len(outputs.router_logits) == 1 and outputs.aux_loss is None


def test_llada2_takes_only_a_four_dimensional_mask_and_obeys_it(input_ids):
    model = MODELS["llada2"]().eval()
    with pytest.raises(ValueError, match="only support block attention mask"):
        model(input_ids, attention_mask=torch.ones(3, L))
    with pytest.raises(AttributeError):
        model(input_ids)
    causal = torch.ones(3, 1, L, L).tril().log()
    changed = input_ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % V
    torch.testing.assert_close(
        model(changed, attention_mask=causal).logits[:, 0], model(input_ids, attention_mask=causal).logits[:, 0]
    )


def test_dream_takes_full_or_a_bool_mask_and_shifts_only_its_loss(input_ids):
    model = MODELS["dream"]().eval()
    logits = model(input_ids).logits
    assert torch.equal(model(input_ids, attention_mask="full").logits, logits)
    torch.testing.assert_close(model(input_ids, attention_mask=torch.ones(3, 1, L, L, dtype=torch.bool)).logits, logits)
    with pytest.raises(RuntimeError, match="attn_mask dtype"):
        model(input_ids, attention_mask=torch.ones(3, L, dtype=torch.int64))
    torch.testing.assert_close(model(input_ids, num_logits_to_keep=2).logits, logits[:, -2:])
    loss = model(input_ids, labels=input_ids).loss
    torch.testing.assert_close(loss, F.cross_entropy(logits[:, :-1].flatten(0, 1), input_ids[:, 1:].flatten()))
