"""What differs between versions of transformers: each function on the installed one and on what the others offer."""

from __future__ import annotations

import warnings
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from transformers import TrainingArguments

from lift.models.transformers_versions import (
    enable_own_checkpointing,
    fsdp_plugin_arguments,
    groups_by_length,
    is_transformers_4,
    keep_tensorboard_in_output_dir,
    keeps_packed_examples_apart,
    set_checkpointing_options,
    take_old_checkpointing_names,
    transformers_version,
    version_name,
    without_renaming_notice,
)
from tests.lift.support.llada_layout import llada_layout
from tests.lift.support.tiny import tiny_model

IDS = torch.arange(8).view(1, 8)


@pytest.mark.parametrize(
    ("name", "version", "is_4", "packs"),
    [
        ("4.57.6", (4, 57), True, False),
        ("5.0.2", (5, 0), False, False),
        ("5.1.0", (5, 1), False, True),
        ("5.23.0.dev0", (5, 23), False, True),
        ("6.0rc1", (6, 0), False, True),
    ],
)
def test_a_version_says_what_it_has(monkeypatch, name, version, is_4, packs):
    monkeypatch.setattr(metadata, "version", {"transformers": name}.get)
    assert (transformers_version(), is_transformers_4(), keeps_packed_examples_apart()) == (version, is_4, packs)


def test_the_version_is_that_of_the_installed_transformers():
    assert version_name() == transformers.__version__


def test_a_models_own_checkpointing_is_switched_on_with_its_options():
    model = tiny_model().train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert enable_own_checkpointing(model, {"use_reentrant": False})
    assert all(layer.gradient_checkpointing for layer in model.model.layers)
    model(IDS).logits.sum().backward()
    assert model.model.layers[0].mlp.Wi.weight.grad.any()


class Switches:
    """A model with the switches of one version; each remembers what it was given."""

    def __init__(self, *names: str) -> None:
        self.given: dict[str, Any] = {}
        for name in names:
            setattr(self, name, lambda name=name, **options: self.given.update({name: options}))


def test_the_new_name_is_taken_where_there_is_one_and_the_old_one_else():
    options = {"use_reentrant": False}
    both = Switches("activation_checkpointing_enable", "gradient_checkpointing_enable")
    assert enable_own_checkpointing(both, options)
    assert both.given == {"activation_checkpointing_enable": {"activation_checkpointing_kwargs": options}}
    old = Switches("gradient_checkpointing_enable")
    assert enable_own_checkpointing(old, options)
    assert old.given == {"gradient_checkpointing_enable": {"gradient_checkpointing_kwargs": options}}


def test_a_model_without_checkpointing_says_no():
    assert not enable_own_checkpointing(llada_layout(), {})
    assert not enable_own_checkpointing(torch.nn.Linear(2, 2), {})


def of_transformers_5(**given: Any) -> SimpleNamespace:
    fields = dict.fromkeys(
        f"{kind}_checkpointing{end}" for kind in ("gradient", "activation") for end in ("", "_kwargs")
    )
    return SimpleNamespace(**(fields | given))


def test_the_old_names_of_checkpointing_fill_in_for_the_new_ones():
    args = of_transformers_5(gradient_checkpointing=True, gradient_checkpointing_kwargs={"use_reentrant": True})
    take_old_checkpointing_names(args)
    assert args.activation_checkpointing and args.activation_checkpointing_kwargs == {"use_reentrant": True}
    args = of_transformers_5(gradient_checkpointing=True, activation_checkpointing=False)
    take_old_checkpointing_names(args)
    assert args.activation_checkpointing is False  # the user's own choice
    args = SimpleNamespace(gradient_checkpointing=True, gradient_checkpointing_kwargs=None)  # of transformers 4
    take_old_checkpointing_names(args)
    assert not hasattr(args, "activation_checkpointing")


def test_options_of_checkpointing_go_to_the_names_there_are():
    new, old = of_transformers_5(), SimpleNamespace(gradient_checkpointing_kwargs=None)
    for args in (new, old):
        set_checkpointing_options(args, {"use_reentrant": False})
        assert args.gradient_checkpointing_kwargs == {"use_reentrant": False}
    assert new.activation_checkpointing_kwargs == {"use_reentrant": False}
    assert not hasattr(old, "activation_checkpointing_kwargs")


def test_only_the_notice_of_the_renaming_is_hidden():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with without_renaming_notice():
            warnings.warn("`is_gradient_checkpointing` is deprecated, use another", FutureWarning, stacklevel=1)
            warnings.warn("`other` is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("`is_gradient_checkpointing` is deprecated, use another", FutureWarning, stacklevel=1)
    assert [str(warning.message)[:8] for warning in seen] == ["`other` ", "`is_grad"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"train_sampling_strategy": "group_by_length"}, True),
        ({"train_sampling_strategy": "random"}, False),
        ({"group_by_length": True}, True),
        ({"group_by_length": False}, False),
        ({"train_sampling_strategy": "random", "group_by_length": True}, True),  # another trainer's field beside it
        ({}, False),
    ],
)
def test_grouping_by_length_has_two_names(args, expected):
    assert groups_by_length(SimpleNamespace(**args)) is expected


def test_the_installed_training_arguments_have_one_of_them(tmp_path):
    name = {"group_by_length": True} if is_transformers_4() else {"train_sampling_strategy": "group_by_length"}
    plain = {"output_dir": str(tmp_path), "use_cpu": True}
    assert groups_by_length(TrainingArguments(**plain, **name)) and not groups_by_length(TrainingArguments(**plain))


def test_arguments_of_the_fsdp_plug_in_stand_in_the_environment_alone_before_5(tmp_path):
    assert fsdp_plugin_arguments(SimpleNamespace(fsdp_plugin_args={"fsdp_version": 2})) == {"fsdp_version": 2}
    assert fsdp_plugin_arguments(SimpleNamespace()) is None
    # By this name: no FSDP was asked for.
    args = TrainingArguments(str(tmp_path), use_cpu=True)
    assert hasattr(args, "fsdp_plugin_args") != is_transformers_4() and not fsdp_plugin_arguments(args)


class TensorBoardCallback:
    """As transformers 5 has it, without the package."""

    def __init__(self, logging_dir: str | None = None) -> None:
        self.logging_dir = logging_dir


@pytest.mark.skipif(is_transformers_4(), reason="the callback of transformers 4 has the folder from its arguments")
def test_tensorboard_writes_to_the_output_folder_from_the_first_entry_on(tmp_path):
    fresh, chosen, other = TensorBoardCallback(), TensorBoardCallback("elsewhere"), object()
    keep_tensorboard_in_output_dir(SimpleNamespace(output_dir=str(tmp_path)), [fresh, chosen, other])
    assert Path(fresh.logging_dir).parent == tmp_path / "runs" and chosen.logging_dir == "elsewhere"
