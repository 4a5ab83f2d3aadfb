"""Arguments of a patched model: honoured, or refused by a sentence that names model and argument."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from lift_kernels import TokenStats, apply_lift_kernels
from lift_kernels.models import OneForward
from tests.lift_kernels.tiny_models import TINY, TINY_MODELS, B, L, V, build

LABELS = torch.arange(B * L).view(B, L) % V
LABELS[0, 1:] = -100
IDS = torch.arange(B * L).view(B, L) % V
LIFT = {"timestep": torch.full((B,), 0.5), "num_keep": torch.ones(B).long(), "order": torch.ones(B).long()}


@pytest.fixture(scope="module")
def model():
    return apply_lift_kernels(build("bert", torch.float32)).eval()


def call(model, *args, **arguments):
    return model(*args, **({} if args else {"input_ids": IDS}) | {"labels": LABELS} | arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"labels": LABELS.int()}, TypeError, "labels must be int64, got int32"),
        ({"labels": LABELS.tolist()}, TypeError, "labels must be a torch.Tensor, got list"),
        ({"labels": LABELS[:, :2]}, ValueError, r"labels must have shape \(3, 12\) to match hidden_states"),
        ({"labels": LABELS[:, 0]}, ValueError, r"labels must have shape \(3, 12\) to match hidden_states"),
        ({"labels": LABELS.where(LABELS != 12, V)}, ValueError, rf"labels must lie in \[0, {V}\)"),
        ({"labels": LABELS.where(LABELS != 12, -1)}, ValueError, rf"labels must lie in \[0, {V}\)"),
        ({"token_weight": torch.ones(B)}, ValueError, r"token_weight must have shape \(3, 12\) to match labels .*got \(3,\)"),
        ({"token_weight": torch.ones(B, 1)}, ValueError, r"token_weight must have shape \(3, 12\) to match labels"),
        ({"token_weight": torch.ones(L, B)}, ValueError, r"token_weight must have shape \(3, 12\) to match labels"),
        ({"token_weight": torch.ones(B * L)}, ValueError, r"token_weight must have shape \(3, 12\) to match labels"),
        ({"token_weight": torch.full((B, L), math.nan)}, ValueError, r"token_weight\[0, 0\] must be finite"),
        ({"token_weight": torch.ones(B, L, requires_grad=True)}, ValueError, "token_weight must be a constant"),
        ({"token_weight": torch.ones(B, L).long()}, TypeError, "token_weight must be float32 or"),
        ({"token_weight": 2.0}, TypeError, "token_weight must be a torch.Tensor, got float"),
        ({"denominator": 0}, ValueError, "denominator must be positive and finite, got 0"),
        ({"denominator": torch.tensor(-1.0)}, ValueError, "denominator must be positive and finite, got -1"),
        ({"denominator": torch.ones(B)}, ValueError, r"denominator must have shape \(\)"),
        ({"denominator": "12"}, TypeError, "denominator must be a float, got str"),
        ({"num_items_in_batch": -1}, ValueError, "num_items_in_batch must be positive"),
        ({"num_items_in_batch": "12"}, TypeError, "num_items_in_batch must be a float, got str"),
        ({"num_targets": 3}, ValueError, "num_targets must be the number of targets that are not ignored, 25, got 3"),
        ({"num_targets": 25.0}, TypeError, "num_targets must be an int, got float"),
        ({"num_targets": -1}, ValueError, "num_targets must lie in"),
        ({"return_token_stats": 1}, TypeError, "return_token_stats must be a bool, got int"),
        ({"predicts_next": "yes"}, TypeError, "predicts_next must be a bool, got str"),
        ({"first_position": "one"}, ValueError, "first_position must be one of 'ignore', 'zeros', got 'one'"),
        ({"first_position": 0}, TypeError, "first_position must be a str"),
        ({"lift": LIFT["timestep"]}, TypeError, "lift must be a dict of arguments of lift_cross_entropy"),
        ({"lift": LIFT | {"num_kept": 1}}, TypeError, "lift must have .*: correct 'num_kept'"),
        ({"lift": {"timestep": LIFT["timestep"]}}, TypeError, "lift must have .*: correct 'num_keep'"),
        ({"lift": LIFT, "token_weight": torch.ones(B, L)}, ValueError, "token_weight must be None with lift"),
        ({"token_weights": torch.ones(B, L)}, TypeError, "with labels there is no argument 'token_weights'"),
        ({"next_sentence_label": LABELS[:, 0]}, TypeError, "with labels there is no argument 'next_sentence_label'"),
        ({"output_hidden_states": True}, ValueError, "output_hidden_states=True is not supported with labels"),
        ({"output_attentions": True}, ValueError, "output_attentions=True is not supported with labels"),
        ({"output_router_logits": True}, ValueError, "output_router_logits=True is not supported with labels"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(model, arguments, error, message):
    with pytest.raises(error, match=f"^BertForMaskedLM: {message}"):
        call(model, **arguments)


def test_what_lift_holds_is_named(model):
    for name, value in {"timestep": torch.full((B,), 1.5), "order": torch.full((B,), 3)}.items():
        with pytest.raises(ValueError, match=rf"^lift_cross_entropy: {name}\[0\] must"):
            call(model, lift=LIFT | {name: value})


@pytest.mark.parametrize("name", ["output_hidden_states", "output_attentions"])
def test_more_outputs_are_refused_from_the_config_too_unless_the_call_says_no(model, name, monkeypatch):
    expected = call(model).loss
    monkeypatch.setitem(model.config.__dict__, f"_{name}" if f"_{name}" in model.config.__dict__ else name, True)
    with pytest.raises(ValueError, match=rf"^BertForMaskedLM: config.{name}=True is not supported with labels"):
        call(model)
    assert torch.equal(call(model, **{name: False}).loss, expected)


def test_a_call_without_labels_has_them(model):
    assert len(model(IDS, output_hidden_states=True).hidden_states) == 3
    assert isinstance(model(IDS, return_dict=False), tuple)


@pytest.mark.parametrize("family", ["bert", "modernbert", "llada", "dream"])
def test_a_tuple_on_request(family):
    model = apply_lift_kernels(build(family, torch.float32)).eval()
    inputs = TINY_MODELS[family].inputs(TINY) | {"labels": LABELS.where(torch.arange(L) > 0, -100)}
    expected = model(**inputs, return_token_stats=True)
    assert len(model(**inputs, return_dict=False)) == 1
    for by_config in (False, True):
        model.config.return_dict = not by_config
        arguments = {} if by_config else {"return_dict": False}
        loss, stats = model(**inputs, return_token_stats=True, **arguments)
        assert torch.equal(loss, expected.loss)
        assert isinstance(stats, TokenStats) and torch.equal(stats.entropy, expected.token_stats.entropy)
    assert model(**inputs, return_dict=True).logits is None


def test_the_tuple_of_an_output_holds_what_is_public(model):
    assert list(map(type, call(model).to_tuple())) == [torch.Tensor]
    assert list(map(type, call(model, return_token_stats=True).to_tuple())) == [torch.Tensor, TokenStats]
    output = call(model, lift=LIFT)
    loss, stats, learnability = output.to_tuple()
    assert loss is output[0] is output.loss and output[1] is output.token_stats is stats
    assert learnability is output.learnability


def test_labels_may_come_by_position(model):
    names = list(inspect.signature(type(model).forward).parameters)[1:]
    place = names.index("labels")
    ours = model(IDS, torch.ones_like(IDS), *[None] * (place - 2), LABELS)
    assert ours.logits is None and torch.equal(ours.loss, call(model).loss)


def test_a_step_without_a_label_has_a_loss_of_0(model):
    for count in (0, torch.tensor(0)):
        loss = call(model, labels=torch.full((B, L), -100), num_items_in_batch=count).loss
        assert loss == 0 and loss.requires_grad


def test_arguments_that_transformers_passes_to_any_model_are_known(model):
    expected = call(model).loss
    known = {"output_hidden_states": None, "output_attentions": False, "use_cache": False, "return_dict": True}
    assert torch.equal(call(model, position_ids=torch.arange(L)[None], **known).loss, expected)


def test_meta_tensors_give_shapes():
    model = apply_lift_kernels(build("llada", torch.float32).to("meta"))  # whose own code reads no ids or masks
    moved = {name: value.to("meta") for name, value in {"input_ids": IDS, "labels": LABELS}.items()}
    output = model(**moved, token_weight=torch.ones(B, L, device="meta"), return_token_stats=True)
    output.loss.backward()
    assert output.loss.is_meta and output.token_stats.argmax.shape == (B, L)
    lift = OneForward(**{name: value.to("meta") for name, value in LIFT.items()})
    assert model(**moved, lift=lift).learnability.shape == (B, L)
