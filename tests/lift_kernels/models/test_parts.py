"""Models that cannot be patched: what is missing is named, and what to do."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from lift_kernels import apply_lift_kernels, register_model_family, remove_lift_kernels
from lift_kernels.models import families
from tests.doubles import dream
from tests.lift_kernels.tiny_models import V, build


@pytest.fixture(autouse=True)
def _own_table(monkeypatch):
    monkeypatch.setattr(families, "_FAMILIES", dict(families._FAMILIES))


@pytest.mark.parametrize("name", ["albert", "bert", "roberta", "camembert", "distilbert", "electra", "modernbert"])
@pytest.mark.parametrize("task", ["Model", "ForSequenceClassification"])
def test_a_model_without_a_head_names_the_class_that_has_one(name, task):
    with_head = build(name)
    stem = type(with_head).__name__.removesuffix("ForMaskedLM")
    model = getattr(transformers, stem + task)(with_head.config)
    with pytest.raises(
        ValueError,
        match=rf"^apply_lift_kernels: {stem}{task} has no language-model head \(.*\)\. Load .* with AutoModelForMaskedLM\.$",
    ):
        apply_lift_kernels(model)


def test_a_model_whose_code_came_with_it_names_the_class_of_that_code():
    config = dream.DreamConfig(vocab_size=V, hidden_size=16, pad_token_id=0, mask_token_id=1)
    config.auto_map = {"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"}
    inner = dream.DreamModel(config).model
    inner.config = config
    inner.get_output_embeddings = lambda: None
    with pytest.raises(
        ValueError, match=r"has no language-model head .* with AutoModelForCausalLM and trust_remote_code"
    ):
        apply_lift_kernels(inner)


@pytest.mark.parametrize("patch", [apply_lift_kernels, remove_lift_kernels])
@pytest.mark.parametrize(
    ("model", "what"),
    [
        (None, "NoneType"), ("bert-base", "str"), ({}, "dict"), (torch.ones(2), "Tensor"), (object(), "object"),
        (transformers.BertForMaskedLM, "the class BertForMaskedLM"), (lambda ids: ids, "function"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_model_is_a_type_error(patch, model, what):
    with pytest.raises(TypeError, match=rf"^{patch.__name__}: model must be a torch.nn.Module, got {what}\."):
        patch(model)


def test_a_module_without_a_config_is_not_known():
    with pytest.raises(ValueError, match=r"apply_lift_kernels: model type None \(Linear\) is not known"):
        apply_lift_kernels(nn.Linear(2, 3))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backend": "cuda"}, ValueError, "backend must be one of"),
        ({"backend": None}, TypeError, "backend must be a str"),
        ({"workspace_bytes": 0}, ValueError, "workspace_bytes must lie in"),
        ({"workspace_bytes": 1e9}, TypeError, "workspace_bytes must be an int"),
    ],
)
def test_options_are_checked_before_the_first_call(options, error, message):
    with pytest.raises(error, match=f"^apply_lift_kernels: {message}"):
        apply_lift_kernels(build("bert"), **options)


BERT = {"backbone": lambda m: m.bert, "head": lambda m: m.cls.predictions.decoder}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"head": lambda m: m.nope}, "'BertForMaskedLM' object has no attribute 'nope'"),
        ({"backbone": lambda m: m.nope}, "'BertForMaskedLM' object has no attribute 'nope'"),
        ({"transform": lambda m: m.cls.nope}, "'BertOnlyMLMHead' object has no attribute 'nope'"),
        ({"logit_scale": lambda m: m.config.nope}, "'BertConfig' object has no attribute 'nope'"),
        ({"backbone": lambda m: None}, "its backbone or last_norm is None"),
        ({"backbone": None, "last_norm": lambda m: "bert"}, "its backbone or last_norm is 'bert'"),
        ({"transform": lambda m: None}, "its transform is None"),
    ],
    ids=str,
)
def test_an_entry_that_finds_nothing_is_told_from_a_model_without_a_head(entry, message):
    register_model_family("bert", **BERT | entry)
    with pytest.raises(
        ValueError,
        match=rf"^apply_lift_kernels: BertForMaskedLM lacks what the family 'bert' names \({message}.*register_model_family",
    ):
        apply_lift_kernels(build("bert"))


def test_a_number_out_of_range_is_named():
    register_model_family("bert", **BERT, logit_softcap=lambda m: 0.0)
    with pytest.raises(ValueError, match=r"^apply_lift_kernels: logit_softcap must be positive and finite, got 0"):
        apply_lift_kernels(build("bert"))


FUNCTIONS = ("head", "backbone", "last_norm", "transform", "logit_scale", "logit_softcap")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("value", ["lm_head", 0.5, nn.Linear(2, 3), nn.Linear, [len]], ids=str)
def test_what_is_no_function_of_the_model_is_a_type_error(name, value):
    entry = {"head": len, "backbone": len} | {name: value}
    with pytest.raises(TypeError, match=rf"^register_model_family: {name} must be a function of the model, such as"):
        register_model_family("novel", **entry)
    assert "novel" not in families.known_model_types()


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ({"model_type": None}, TypeError, "model_type must be a str, got NoneType"),
        ({"model_type": ""}, ValueError, "model_type must not be empty"),
        ({"predicts_next": 1}, TypeError, "predicts_next must be a bool, got int"),
        ({"attention_mask": None}, TypeError, "attention_mask must be a str"),
        ({"attention_mask": "pairs"}, ValueError, "attention_mask must be one of 'tokens'"),
        ({"attention": "causal"}, ValueError, "attention must be one of 'full', 'block'"),
        ({"block_size": 0}, ValueError, r"block_size must lie in \[1, "),
        ({"backbone": None}, ValueError, "'novel' needs either backbone or last_norm"),
        ({"last_norm": len}, ValueError, "'novel' needs either backbone or last_norm"),
    ],
    ids=str,
)
def test_other_arguments_of_an_entry_are_named(entry, error, message):
    with pytest.raises(error, match=f"^register_model_family: {message}"):
        register_model_family(**{"model_type": "novel", "head": len, "backbone": len} | entry)
