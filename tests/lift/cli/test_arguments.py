"""What the flags of model and data allow, each and together."""

from __future__ import annotations

import pytest

from lift.cli.arguments import DataArguments, ModelArguments
from lift.errors import LiftError


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "pass either --model_name_or_path or --model_config, and only one of them."),
        ({"model_name_or_path": "m", "model_config": "{}"}, "pass either --model_name_or_path or --model_config"),
        ({"model_config": "{}", "dtype": "auto"}, "dtype=auto takes that of saved weights, and model_config has none"),
        ({"model_config": "{}", "use_peft": True}, "use_peft needs a model that was saved"),
        ({"dtype": "float64"}, "dtype must be one of float32, bfloat16, float16, auto, got 'float64'."),
        ({"lora_dropout": 1.0}, "lora_dropout must be at least 0 and below 1, got 1.0."),
    ],
)
def test_there_is_one_model_and_it_has_what_is_asked_of_it(options, sentence):
    with pytest.raises(LiftError) as error:
        ModelArguments(**options).check_model()
    assert str(error.value).startswith(sentence)


def test_models_that_go():
    ModelArguments(model_name_or_path="m", dtype="auto", use_peft=True).check_model()
    ModelArguments(model_config="{}", dtype="bfloat16").check_model()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"task": "sudoku", "train_data": "r"}, "pass either --task or --train_data, not both."),
        ({}, "no training data: pass --train_data FILE_OR_HUB_ID, --task sudoku|countdown, or --preset NAME."),
        ({"data_format": "gsm"}, "data_format must be one of s1k, s1k-1.1"),
    ],
)
def test_rows_have_one_source_and_a_known_format(options, sentence):
    with pytest.raises(LiftError) as error:
        DataArguments(**options).check_source()
    assert str(error.value).startswith(sentence)


def test_sources_that_go():
    DataArguments(task="sudoku").check_source()
    DataArguments(train_data="rows.jsonl", data_format="gsm8k").check_source()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"chat_template": "alpaca"},
            "must be one of chatml, dream, llada, plain, or a file with a template, got 'alp",
        ),
        ({"chat_template_kwargs": "[1]"}, "chat_template_kwargs must be a mapping, JSON on the command line, got"),
        ({"chat_template_kwargs": '{"messages": []}'}, "sets variables of the template, and 'messages' is none"),
    ],
)
def test_a_chat_template_is_looked_at_before_anything_is_loaded(options, message):
    with pytest.raises(LiftError, match=message):
        DataArguments(train_data=["rows.jsonl"], **options)
    DataArguments(train_data=["rows.jsonl"], chat_template="plain", chat_template_kwargs='{"a": null}')
