"""Every family that is known: the patched model against the same model's own logits."""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace

import accelerate
import pytest
import torch
from torch import nn

from lift_kernels import apply_lift_kernels
from lift_kernels.models import families
from lift_kernels.models.patch import unwrap_model
from lift_kernels.testing import assert_gradient_close, check_model_family, logits_loss
from tests.lift_kernels.tiny_models import (
    TINY,
    TINY_MODELS,
    B,
    L,
    LogitsSeen,
    V,
    build,
    gradients,
    labels_for,
    own_logits,
)

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


@pytest.fixture(params=TINY_MODELS)
def name(request) -> str:
    return request.param


def batch_for(name: str, model: nn.Module, dtype: torch.dtype):
    return TINY_MODELS[name].inputs(TINY), labels_for(name), torch.rand(B, L).to(dtype) * 10


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_loss_statistics_and_every_gradient_equal_those_of_the_logits(name, dtype):
    """And a call without labels is what it was, as is a model whose patch is removed."""
    tiny = TINY_MODELS[name]
    inputs = tiny.inputs(TINY) if name == "diffusion-gemma" else None  # whose labels are those of a canvas
    tolerance = 1e-5 if tiny.float32_logits else TOLERANCE[dtype]
    check_model_family(build(name, dtype), inputs, tolerance=tolerance, predicts_next=tiny.predicts_next)


@pytest.mark.parametrize(
    ("broken", "changes", "cause"),
    [
        (
            "bert",
            {"transform": None},
            "transform",
        ),
        ("roberta", {"head": lambda model: without_bias(model.lm_head.decoder)}, "head, as the model adds a bias"),
        ("llada-tied-scaled", {"logit_scale": None}, "logit_scale, as the model's logits are 0.25 times"),
        ("dream", {"predicts_next": False}, "predicts_next"),
        ("modernbert", {"transform": lambda model: model.head.norm}, "transform"),
    ],
)
def test_a_family_with_a_wrong_entry_is_found(monkeypatch, broken, changes, cause):
    model = build(broken)
    model_type = model.config.model_type
    family = replace(families.find_model_family(model), **changes)
    monkeypatch.setattr(families, "_FAMILIES", families._FAMILIES | {model_type: family})
    with pytest.raises(AssertionError, match=f"likely cause: ({cause})"):
        check_model_family(model)


def without_bias(head: nn.Linear) -> nn.Linear:
    other = nn.Linear(head.in_features, head.out_features, bias=False)
    other.weight = head.weight
    return other


def test_bfloat16_gradients_are_as_good_as_those_of_the_logits(name):
    """Against float64 with the same rounded parameters, beside the plain logits path in bfloat16."""
    plain = build(name, torch.bfloat16)
    inputs, labels, token_weight = batch_for(name, plain, torch.float32)
    truth_model = copy.deepcopy(plain).double()
    truth = gradients(truth_model, logits_loss(own_logits(name, truth_model, inputs), labels, token_weight, 17.0))
    logits = own_logits(name, plain, inputs)
    baseline = gradients(plain, logits_loss(logits.float(), labels, token_weight, 17.0))
    apply_lift_kernels(plain)
    loss = plain(**inputs, labels=labels, token_weight=token_weight, denominator=17.0).loss
    assert loss.dtype == torch.float32
    ours = gradients(plain, loss)
    # Through the layers both paths round alike but not equally, and each processor in its own way: the head itself is
    # held to the rule, the gradients before it are held to it together, as the error of a single one is chance.
    head = [key for key, p in plain.named_parameters() if p is unwrap_model(plain).get_output_embeddings().weight]
    assert head
    for key in head:
        assert_gradient_close(ours=ours[key], truth=truth[key], baseline=baseline[key])
    floor = max(rms(tensor) for tensor in truth.values()) / 1000

    def relative_errors(found):
        errors = [rms(found[key].double() - truth[key]) / rms(truth[key]).clamp(min=floor) for key in truth]
        return torch.stack(errors)

    ours, baseline = relative_errors(ours), relative_errors(baseline)
    assert rms(ours) <= 1.2 * rms(baseline)
    assert (ours <= 2 * baseline + 2**-6).all()


def rms(tensor):
    return tensor.square().mean().sqrt()


def test_logits_are_never_built(name):
    model = build(name)
    inputs, labels, _ = batch_for(name, model, torch.float64)
    with LogitsSeen(B * L, V) as unpatched:
        model(**inputs)
    apply_lift_kernels(model)
    with LogitsSeen(B * L, V) as patched:
        model(**inputs, labels=labels).loss.backward()
    assert unpatched.found and not patched.found


def test_the_signature_names_what_the_model_takes(name):
    """Trainers drop the columns of a data set that it does not name."""
    model = build(name)
    before = list(inspect.signature(model.forward).parameters)
    apply_lift_kernels(model)
    names = list(inspect.signature(model.forward).parameters)
    assert [parameter for parameter in names if parameter in before] == before
    assert {"labels", "token_weight", "denominator"} <= set(names)
    # transformers' Trainer then passes the labels of the whole step, and does not divide by the accumulation steps.
    assert any(p.kind is p.VAR_KEYWORD for p in inspect.signature(model.forward).parameters.values())


def test_a_deep_copy_is_patched_and_independent(name):
    model = apply_lift_kernels(build(name))
    inputs, labels, _ = batch_for(name, model, torch.float64)
    twin = copy.deepcopy(model)
    before = model(**inputs, labels=labels).loss
    with torch.no_grad():
        twin.get_output_embeddings().weight.add_(torch.randn_like(twin.get_output_embeddings().weight))
    assert not torch.equal(twin(**inputs, labels=labels).loss, before)
    assert torch.equal(model(**inputs, labels=labels).loss, before)
    assert model.state_dict().keys() == twin.state_dict().keys()


def test_a_saved_model_loads_without_us(name, tmp_path):
    model = build(name)
    inputs, _, _ = batch_for(name, model, torch.float64)
    keys, before = set(model.state_dict()), model(**inputs).logits
    apply_lift_kernels(model).save_pretrained(tmp_path)
    assert set(model.state_dict()) == keys
    loaded = type(model).from_pretrained(tmp_path, dtype=torch.float64, config=model.config)
    if name == "diffusion-gemma":
        loaded.final_logit_softcapping = model.final_logit_softcapping  # set on the instance by `build`
    torch.testing.assert_close(loaded(**inputs).logits, before)


# Where a graph ends torch.compile itself looks at .grad of the tensors that pass on.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf Tensor")
@pytest.mark.parametrize("compiled", ["llada", "dream", "roberta", "modernbert"])
def test_a_compiled_model_gives_the_same_loss(compiled):
    model = apply_lift_kernels(build(compiled))
    inputs, labels, token_weight = batch_for(compiled, model, torch.float64)
    call = {**inputs, "labels": labels, "token_weight": token_weight, "denominator": 17.0, "return_token_stats": True}
    plain = model(**call)
    expected = gradients(model, plain.loss)
    torch._dynamo.reset()
    whole_graph = compiled != "llada"  # whose own forward is run up to its last norm through a hook
    outputs = torch.compile(model, backend="aot_eager", fullgraph=whole_graph)(**call)
    torch.testing.assert_close(outputs.loss, plain.loss)
    torch.testing.assert_close(outputs.token_stats.log_prob, plain.token_stats.log_prob)
    for key, gradient in gradients(model, outputs.loss).items():
        torch.testing.assert_close(gradient, expected[key], msg=key)


@pytest.mark.parametrize("offloaded", ["llada", "dream", "distilbert"])
@pytest.mark.parametrize("patched_first", [True, False])
def test_weights_that_accelerate_keeps_elsewhere(offloaded, patched_first):
    """Its hooks bring them for the length of each module's call, the head's for the loss."""
    model = build(offloaded)
    inputs, labels, _ = batch_for(offloaded, model, torch.float64)
    expected = apply_lift_kernels(copy.deepcopy(model))(**inputs, labels=labels).loss
    if patched_first:
        apply_lift_kernels(model)
    accelerate.cpu_offload(model, execution_device="cpu")
    assert unwrap_model(model).get_output_embeddings().weight.device.type == "meta"
    apply_lift_kernels(model)
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs, labels=labels).loss, expected)


def test_a_router_loss_is_refused():
    model = build("llada2")
    model.config.output_router_logits = True
    with pytest.raises(ValueError, match=r"LLaDA2MoeModelLM has no router loss: set config.output_router_logits=False"):
        apply_lift_kernels(model)
