from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from typing import Any

import pytest
from transformers.utils import chat_template_utils

from lift.data import encode_prompt, prepare_dataset
from lift.data.chat_template import TEMPLATE_DATE
from lift.errors import LiftError

TURNS = "{% for m in messages %}<turn>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<turn>{% endif %}"
ROW = {"prompt": "q", "completion": "w"}


@pytest.mark.parametrize(
    ("dated", "expected"),
    [
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
        ('{{ strftime_now(format="%A %-d.%-m.%y, %H:%M:%S %%d") }}', "Friday 26.7.24, 00:00:00 %d"),
        ("{% if strftime_now is defined %}{% set day = strftime_now('%Y-%m-%d') %}{% endif %}{{ day }}", "2024-07-26"),
        ("{% macro day(form) %}{{ strftime_now(form) }}{% endmacro %}{{ day('%F') }}", "2024-07-26"),
        ("{{ strftime_now('%Y') | int + 1 }}", "2025"),
    ],
)
@pytest.mark.parametrize("is_named", [False, True])
def test_a_template_is_told_the_same_date_every_day(
    turn_tokenizer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, dated: str, expected: str, is_named: bool
) -> None:
    template = f"\n  <turn>{dated}<end>{TURNS}"  # its white space stays
    tokenizer = turn_tokenizer({"default": template, "rag": "x"} if is_named else template)
    found = []
    for day in (1, 2):
        clock = type("Clock", (datetime.datetime,), {"now": classmethod(lambda cls, tz=None, d=day: cls(2030, 1, d))})
        monkeypatch.setattr(chat_template_utils, "datetime", clock)
        row = prepare_dataset([ROW], tokenizer, max_length=99, show_progress=False)[0]
        prompt = row["input_ids"][: row["prompt_length"]]
        assert prompt == encode_prompt("q", tokenizer)
        found.append(tokenizer.decode(prompt))
    assert found == [f"\n  <turn>{expected}<end><turn>q<end><turn>"] * 2


def test_says_that_the_template_asks_for_the_date(
    turn_tokenizer: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="lift"):
        prepare_dataset([ROW], turn_tokenizer(TURNS), max_length=99, show_progress=False)
        assert caplog.messages == []
        prepare_dataset([ROW], turn_tokenizer("{{ strftime_now('%Y') }}" + TURNS), max_length=99, show_progress=False)
    assert len(caplog.messages) == 1 and str(TEMPLATE_DATE.date()) in caplog.messages[0]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('no system turn, please') }}", "no system turn, please"),
        ("{{ 1 + messages }}", "unsupported operand"),
        ("{{ 1 // 0 }}", "by zero"),
        ("{{ messages[0].missing.deeper }}", "has no attribute 'missing'"),
        ("{% for m in messages %}", "end of template|endfor"),
    ],
)
def test_a_template_that_fails_names_the_row(turn_tokenizer: Callable[..., Any], template: str, reason: str) -> None:
    rows = [{"prompt": "a", "completion": "b"}] * 2
    with pytest.raises(
        LiftError, match=rf"row 0 \(.*: the tokenizer's chat template rejects the messages: .*({reason})"
    ):
        prepare_dataset(rows, turn_tokenizer(template), max_length=99, show_progress=False)
    with pytest.raises(LiftError, match="the prompt: the tokenizer's chat template rejects"):
        encode_prompt("a", turn_tokenizer(template))


def test_of_several_templates_one_is_used_or_all_are_named(turn_tokenizer: Callable[..., Any]) -> None:
    named = {"tool_use": "{{ tools[0].name }}" + TURNS, "rag": "x"}
    with pytest.raises(
        LiftError, match=r"row 0 .*several chat templates, rag, tool_use, and none is called default; set"
    ):
        prepare_dataset([ROW], turn_tokenizer(named), max_length=99, show_progress=False)
    with pytest.raises(LiftError, match=r"the prompt: .*several chat templates, rag, tool_use"):
        encode_prompt("q", turn_tokenizer(named))
    tokenizer = turn_tokenizer({**named, "default": TURNS})
    rows = [ROW, {**ROW, "tools": [{"name": "f"}]}]
    found = [tokenizer.decode(row["input_ids"]) for row in prepare_dataset(rows, tokenizer, max_length=99)]
    assert found == ["<turn>q<end><turn>w<end>", "f<turn>q<end><turn>w<end>"]
