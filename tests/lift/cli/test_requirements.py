"""What flags need beside model and data, asked for before anything is read."""

from __future__ import annotations

import importlib.util
import json

import pytest
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.training_args import OptimizerNames

from lift.cli import requirements
from lift.cli.requirements import check_requirements
from lift.errors import LiftError


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(requirements, "find_spec", lambda name: None)


def sentence(**values) -> str:
    with pytest.raises(LiftError) as error:
        check_requirements(values)
    return str(error.value)


def test_nothing_is_asked_for():
    check_requirements({})
    check_requirements({"report_to": None, "optim": None, "deepspeed": None, "push_to_hub": False})
    check_requirements({"report_to": "none", "optim": ["adamw_torch_fused"]})
    check_requirements({"report_to": ["all"], "lr_scheduler_kwargs": {"a": 1}, "fsdp_config": '{"version": 2}'})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"report_to": "wandb"}, "report_to=wandb needs wandb, which is not installed: pip install wandb."),
        ({"report_to": ["none", "azure_ml"]}, "report_to=azure_ml needs azureml, which is not installed: pip install azureml-sdk."),
        ({"report_to": "tensorboard"}, "report_to=tensorboard needs tensorboard, which is not installed: pip install tensorboard."),
        ({"report_to": "paper"}, "report_to must be one of azure_ml, clearml, "),
        ({"optim": OptimizerNames.ADAMW_BNB}, "optim=adamw_bnb_8bit needs bitsandbytes, which is not installed: pip install bitsandbytes."),
        ({"optim": ["paged_lion_32bit"]}, "optim=paged_lion_32bit needs bitsandbytes"),
        ({"optim": "galore_adamw_8bit"}, "optim=galore_adamw_8bit needs galore_torch, which is not installed: pip install galore-torch."),
        ({"optim": "adalomo"}, "optim=adalomo needs lomo_optim"),
        ({"deepspeed": "zero.json"}, "deepspeed needs deepspeed, which is not installed: pip install deepspeed."),
        ({"use_liger_kernel": True}, "use_liger_kernel needs liger_kernel, which is not installed: pip install liger-kernel."),
        ({"eval_tasks": "countdown"}, "eval_tasks needs lm_eval, which is not installed: pip install 'lift-kernels[eval]'."),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)  # fmt: skip
def test_a_package_that_is_missing_is_named_with_the_way_to_it(nothing_installed, values, words):
    assert sentence(**values).startswith(words)


def test_what_is_installed_passes(monkeypatch):
    monkeypatch.setattr(requirements, "find_spec", lambda name: object())
    check_requirements({"report_to": ["wandb", "kubeflow"], "optim": "adamw_bnb_8bit", "use_liger_kernel": True})
    check_requirements({"optim": "apollo_adamw", "optim_target_modules": ["all-linear"]})
    assert sentence(optim="apollo_adamw") == (
        "optim=apollo_adamw needs the names of the layers it works on: pass --optim_target_modules."
    )


def test_every_reporter_of_transformers_is_known():
    assert INTEGRATION_TO_CALLBACK.keys() <= requirements._REPORTERS.keys()


def test_optimisers_that_need_a_package_are_those_that_torch_does_not_have(nothing_installed):
    of_torch = {"adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop"}
    for optimiser in OptimizerNames:
        if optimiser.value in of_torch:
            check_requirements({"optim": optimiser})
        else:
            assert f"optim={optimiser.value} needs " in sentence(optim=optimiser)


FILES = ("accelerator_config", "fsdp_config")


@pytest.mark.parametrize("name", FILES)
def test_a_configuration_file_is_looked_at(tmp_path, name):
    path = tmp_path / "c.json"
    assert sentence(**{name: str(path)}).startswith(f"{name}: no file at {path}: check the path")
    path.write_text(json.dumps({"version": 2}))
    check_requirements({name: str(path)})
    path.write_text("[1]")
    assert sentence(**{name: str(path)}) == f"{name}: {path} must be a file of one JSON mapping, got '[1]'."
    path.write_bytes(b"\xff\xfe")
    assert "cannot be read as text in UTF-8" in sentence(**{name: str(path)})
    assert sentence(**{name: '{"a": 1, "a": 2}'}) == f"{name}: the key 'a' stands twice: keep one."


def test_mappings_are_mappings():
    for name in ("lr_scheduler_kwargs", "gradient_checkpointing_kwargs", "activation_checkpointing_kwargs"):
        check_requirements({name: '{"a": 1}'})
        assert sentence(**{name: "{a"}) == f"{name} must be a mapping, JSON on the command line, got '{{a'."
    flags = {name for name in TrainingArguments._VALID_DICT_FIELDS if name != "parallelism_config"}
    assert flags <= {*requirements._MAPPINGS, *requirements._MAPPINGS_OR_FILES}


def test_the_hub_must_be_reachable_and_know_who_asks(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert sentence(push_to_hub=True).startswith("push_to_hub needs the Hub, and HF_HUB_OFFLINE says not to use it")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert sentence(push_to_hub=True).startswith("push_to_hub needs a token of the Hub: run hf auth login")
    check_requirements({"push_to_hub": True, "hub_token": "t"})
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "t")
    check_requirements({"push_to_hub": True})


def test_a_package_is_looked_for_without_importing_it():
    assert requirements.find_spec is importlib.util.find_spec
