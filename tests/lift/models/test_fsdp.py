"""When FSDP is set up on CPUs, and what it gathers at once. Whole runs in two processes: tests/lift/training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch import distributed
from transformers import BertConfig, BertForMaskedLM

from lift.errors import LiftError
from lift.models.fsdp import choose_units, shard_on_cpu
from tests.lift.support.llada_layout import llada_layout
from tests.lift.support.tiny import tiny_model


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """As accelerate leaves one on CPUs, in a process of a launcher that was told to use FSDP2."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(PartialState, "_shared_state", {})
    state = SimpleNamespace(
        device=torch.device("cpu"), distributed_type=DistributedType.MULTI_CPU, mixed_precision="no", fsdp_plugin=None
    )
    return SimpleNamespace(state=state)


def is_left_alone(accelerator: SimpleNamespace) -> bool:
    return accelerator.state.fsdp_plugin is None and not PartialState._shared_state


def test_a_cpu_run_that_asks_for_fsdp2_becomes_one(accelerator):
    shard_on_cpu(accelerator)
    assert accelerator.state.distributed_type == DistributedType.FSDP == PartialState._shared_state["distributed_type"]
    assert accelerator.state.fsdp_plugin.fsdp_version == 2
    assert accelerator.state.fsdp_plugin.mixed_precision_policy is None


def test_its_precision_and_its_plug_in_are_those_asked_for(accelerator):
    accelerator.state.mixed_precision = "bf16"
    shard_on_cpu(accelerator, {"fsdp_version": 2, "transformer_cls_names_to_wrap": ["Block"]})
    plugin = accelerator.state.fsdp_plugin
    assert plugin.mixed_precision_policy.param_dtype == torch.bfloat16
    assert plugin.transformer_cls_names_to_wrap == ["Block"]


@pytest.mark.parametrize("why", ["not asked for", "on a GPU", "set up already"])
def test_other_runs_are_left_alone(accelerator, monkeypatch, why):
    if why == "not asked for":
        monkeypatch.delenv("ACCELERATE_USE_FSDP")
    elif why == "on a GPU":
        accelerator.state.device = torch.device("cuda")
    else:
        accelerator.state.distributed_type = DistributedType.FSDP
    shard_on_cpu(accelerator)
    assert is_left_alone(accelerator)


def test_what_does_not_train_on_cpus_is_refused_with_the_remedy(accelerator, monkeypatch):
    with pytest.raises(LiftError, match="FSDP1 does not train on CPUs: set fsdp_version: 2"):
        shard_on_cpu(accelerator, {"fsdp_version": 1})
    with monkeypatch.context() as patch:
        patch.setattr(torch.accelerator, "is_available", lambda: True)
        with pytest.raises(LiftError, match="needs the GPUs hidden: set CUDA_VISIBLE_DEVICES=''"):
            shard_on_cpu(accelerator)
    monkeypatch.setattr(distributed, "is_initialized", lambda: False)
    with pytest.raises(LiftError, match="needs a launcher, also for one process"):
        shard_on_cpu(accelerator)
    assert is_left_alone(accelerator)


def preparing(model: Any, wrapped: list[str] | None = None) -> SimpleNamespace:
    """An accelerator whose `prepare` returns what the model names as embeddings meanwhile."""
    plugin = SimpleNamespace(transformer_cls_names_to_wrap=wrapped)

    def prepare(*objects: Any) -> tuple[Any, Any]:
        return model.get_input_embeddings(), model.get_output_embeddings()

    return SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin), prepare=prepare)


def tiny_bert() -> BertForMaskedLM:
    return BertForMaskedLM(
        BertConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    )


def test_layers_that_hold_an_embedding_are_no_units():
    """The embeddings become a unit of their own."""
    model = tiny_model()
    assert set(model._no_split_modules) == {"ModernBertEmbeddings", "ModernBertEncoderLayer"}
    accelerator = preparing(model)
    choose_units(accelerator, model)
    assert accelerator.state.fsdp_plugin.transformer_cls_names_to_wrap == ["ModernBertEncoderLayer"]


def test_a_model_that_names_no_layers_is_one_unit():
    model = tiny_bert()
    model._no_split_modules = None
    accelerator = preparing(model)
    choose_units(accelerator, model)
    assert accelerator.state.fsdp_plugin.transformer_cls_names_to_wrap == []


def test_layers_that_the_user_named_stay():
    model = tiny_model()
    accelerator = preparing(model, ["ModernBertEmbeddings"])
    choose_units(accelerator, model)
    assert accelerator.state.fsdp_plugin.transformer_cls_names_to_wrap == ["ModernBertEmbeddings"]


def test_a_parameter_shared_with_another_module_keeps_the_embeddings_in_the_root():
    """The bias of BERT's head also belongs to the module around it."""
    model = tiny_bert()
    assert model.cls.predictions.bias is model.cls.predictions.decoder.bias
    embeddings = model.get_input_embeddings(), model.get_output_embeddings()
    accelerator = preparing(model)
    choose_units(accelerator, model)
    assert accelerator.prepare(model) == (None, None)
    assert (model.get_input_embeddings(), model.get_output_embeddings()) == embeddings  # only meanwhile


@pytest.mark.parametrize("build", [tiny_model, llada_layout])
def test_other_embeddings_may_be_a_unit(build):
    model = build()
    accelerator = preparing(model)
    choose_units(accelerator, model)
    assert accelerator.prepare(model) == (model.get_input_embeddings(), model.get_output_embeddings())
