from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from lift.data import load_rows, prepare_dataset
from lift.data.messages import read_context, read_messages, without_table_nulls
from lift.errors import LiftError

Halves = Callable[..., tuple[str, str]]

TURNS = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<turn>{{ m.content }}"
    "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}<end>{% endfor %}"
    "{% if add_generation_prompt %}<turn>{% endif %}"
)
USER = {"role": "user", "content": "q"}


def call(**arguments: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": arguments}]}


def talk(**arguments: Any) -> list[dict[str, Any]]:
    return [USER, call(**arguments), {"role": "tool", "content": "2"}, {"role": "assistant", "content": "ok"}]


@pytest.mark.parametrize("source", ["dictionaries", "jsonl", "json", "table", "parquet", "saved"])
def test_a_table_adds_no_keys_to_calls_and_tools(
    turn_tokenizer: Callable[..., Any], tmp_path: Path, source: str
) -> None:
    rows = [
        {"messages": talk(a=1), "tools": [{"name": "f", "in": {"a": {"type": "int"}}}]},
        {"messages": talk(b=[{"c": 1}, {"d": "x"}]), "tools": [{"name": "f", "in": {"b": {"type": "str"}}}]},
        {"messages": talk(), "tools": None},
    ]
    given: Any = rows
    if source in ("jsonl", "json"):
        written = [json.dumps(rows)] if source == "json" else map(json.dumps, rows)
        (tmp_path / f"a.{source}").write_text("\n".join(written))
        given = load_rows(tmp_path / f"a.{source}")
    elif source != "dictionaries":
        given = Dataset.from_list(rows)
        if source == "parquet":
            given.to_parquet(tmp_path / "a.parquet")
            given = load_rows(tmp_path / "a.parquet")
        elif source == "saved":
            given.save_to_disk(tmp_path / "a")
            given = load_rows(tmp_path / "a")
    tokenizer = turn_tokenizer(TURNS)
    found = [tokenizer.decode(row["input_ids"]) for row in prepare_dataset(given, tokenizer, max_length=400)]
    rest = "<end><turn>2<end><turn>ok<end>"
    assert found == [
        '[{"name": "f", "in": {"a": {"type": "int"}}}]<turn>q<end><turn>[{"name": "f", "arguments": {"a": 1}}]' + rest,
        '[{"name": "f", "in": {"b": {"type": "str"}}}]<turn>q<end><turn>[{"name": "f", "arguments": {"b": [{"c": 1}, {"d": "x"}]}}]'
        + rest,
        '<turn>q<end><turn>[{"name": "f", "arguments": {}}]' + rest,
    ]


@pytest.mark.parametrize("source", ["dictionaries", "jsonl"])
def test_nulls_that_were_written_stay(turn_tokenizer: Callable[..., Any], tmp_path: Path, source: str) -> None:
    """All rows have the same keys, so that a table would do; its nulls could not be told from missing keys."""
    rows: Any = [{"messages": talk(a=None, b=1)[1:], "tools": [{"name": "f", "default": None}]}] * 2
    if source == "jsonl":
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
        rows = load_rows(tmp_path / "a.jsonl")
    tokenizer = turn_tokenizer(TURNS)
    for row in prepare_dataset(rows, tokenizer, max_length=400):
        assert tokenizer.decode(row["input_ids"]) == (
            '[{"name": "f", "default": null}]<turn>[{"name": "f", "arguments": {"a": null, "b": 1}}]<end>'
            "<turn>2<end><turn>ok<end>"
        )


def test_a_call_is_an_answer_and_content_may_be_missing_anywhere(
    turn_tokenizer: Callable[..., Any], halves: Halves
) -> None:
    tokenizer = turn_tokenizer(TURNS)
    written = '[{"name": "f", "arguments": {"a": 1}}]<end>'
    for content in ({"content": ""}, {"content": None}, {}):
        turn = {**{key: value for key, value in call(a=1).items() if key != "content"}, **content}
        assert halves({"messages": [USER, turn]}, tokenizer) == ("<turn>q<end><turn>", written)
        assert halves({"prompt": "q", "completion": [turn]}, tokenizer) == ("<turn>q<end><turn>", written)
        prompt, response = halves({"messages": [USER, turn, *talk(a=1)[2:]]}, tokenizer)
        assert (prompt, response) == (f"<turn>q<end><turn>{written}<turn>2<end><turn>", "ok<end>")


@pytest.mark.parametrize(
    "messages",
    [
        [USER, {"role": "assistant", "content": None}],
        [USER, {"role": "assistant", "content": None, "tool_calls": []}],
        [{"role": "user", "content": None, "tool_calls": [{"name": "f"}]}, {"role": "assistant", "content": "w"}],
        [{"role": "tool", "content": None}, {"role": "assistant", "content": "w"}],
    ],
)
def test_other_messages_need_content(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(LiftError, match="the cell must hold messages with the strings role and content, got"):
        read_messages(messages, "the cell")


def test_an_empty_answer_without_a_call_teaches_nothing(turn_tokenizer: Callable[..., Any], halves: Halves) -> None:
    for calls in ({}, {"tool_calls": []}, {"tool_calls": None}):
        with pytest.raises(LiftError, match="the completion is empty, so there is nothing to learn"):
            halves({"messages": [USER, {"role": "assistant", "content": "", **calls}]}, turn_tokenizer(TURNS))


def test_reads_tools_as_objects_or_as_json() -> None:
    tools = [{"name": "f"}, {"name": "g"}]
    for cell in (tools, json.dumps(tools), list(map(json.dumps, tools))):
        assert read_context(cell, "the cell") == tools
    for empty in (None, [], "", " ", "[]", "null"):
        assert read_context(empty, "the cell") is None
    for wrong in ("hammer", '{"name": "f"}', ["hammer"], [1], 1, {"name": "f"}):
        with pytest.raises(LiftError, match=r"^the cell must be a list of objects, or that list as JSON text, got "):
            read_context(wrong, "the cell")


def test_only_keys_are_left_out_and_only_of_structs() -> None:
    value = {"a": None, "b": [None, {"c": None, "d": 0}], "e": {"f": None}}
    features = Dataset.from_dict({"x": [{"a": "", "b": [{"c": "", "d": 0}], "e": {"f": ""}}]}).features["x"]
    assert without_table_nulls(value, features) == {"b": [None, {"d": 0}], "e": {}}
    assert without_table_nulls(value, None) == value
