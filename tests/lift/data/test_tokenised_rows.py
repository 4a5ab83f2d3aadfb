from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from lift.data import prepare_dataset

TURNS = "{% for m in messages %}<turn>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<turn>{% endif %}"
WITH_TOOLS = (
    "{% if tools %}{{ tools[0].name }}{% endif %}{% for d in documents or [] %}{{ d.text }}{% endfor %}" + TURNS
)
PAIR = {"prompt": "q", "completion": "w"}
TURN = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "w"}]


@pytest.mark.parametrize("row", [PAIR, {"messages": TURN}, {"prompt": TURN[:1], "completion": TURN[1:]}])
@pytest.mark.parametrize("with_format", [False, True])
@pytest.mark.parametrize("tools", [[{"name": "f"}], '[{"name": "f"}]'])
def test_tools_and_documents_reach_the_template(
    turn_tokenizer: Callable[..., Any], row: dict[str, Any], with_format: bool, tools: Any
) -> None:
    data_format = ("messages" if "messages" in row else "prompt-completion") if with_format else None
    tokenizer = turn_tokenizer(WITH_TOOLS)
    rows = [{**row, "tools": tools, "documents": None}, {**row, "documents": [{"text": "d"}]}, row]
    found = prepare_dataset(rows, tokenizer, max_length=99, data_format=data_format)
    assert [tokenizer.decode(one["input_ids"]) for one in found] == [
        f"{start}<turn>q<end><turn>w<end>" for start in ("f", "d", "")
    ]
    starts = [tokenizer.decode(one["input_ids"][: one["prompt_length"]]) for one in found]
    assert starts == [f"{start}<turn>q<end><turn>" for start in ("f", "d", "")]


@pytest.mark.parametrize(
    ("template", "word"), [(TURNS, "the chat template does not write"), (None, "need a chat template")]
)
def test_says_when_tools_are_lost(
    turn_tokenizer: Callable[..., Any], caplog: pytest.LogCaptureFixture, template: str | None, word: str
) -> None:
    rows = [{**PAIR, "tools": [{"name": "f"}]}, {**PAIR, "tools": []}]
    with caplog.at_level(logging.INFO, logger="lift"):
        prepare_dataset(rows, turn_tokenizer(template), max_length=99)
        prepare_dataset(rows[1:], turn_tokenizer(template), max_length=99)
        prepare_dataset(rows, turn_tokenizer(WITH_TOOLS), max_length=99)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("1 of 2 rows have tools or documents that") and word in caplog.messages[0]


def test_says_when_nothing_ends_an_answer(turn_tokenizer: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    is_open = TURNS.replace("<end>", "")
    with caplog.at_level(logging.INFO, logger="lift"):
        for template, eos_token in ((is_open, "<eos>"), (TURNS, None), (TURNS.replace("<end>", "<end>\n"), None)):
            prepare_dataset([PAIR], turn_tokenizer(template, eos_token=eos_token), max_length=99)
        assert caplog.messages == []
        prepare_dataset([PAIR], turn_tokenizer(is_open, eos_token=None), max_length=99)
    assert len(caplog.messages) == 1 and "1 of 1 answers have no end token" in caplog.messages[0]
