from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lift.data import encode_prompt, prepare_dataset
from lift.data.surrogates import find_lone_surrogate
from lift.errors import LiftError

TURNS = "{% for m in messages %}<turn>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<turn>{% endif %}"


def test_finds_the_first_half_in_nested_data() -> None:
    for value in ("a\ud83d", ["a", {"b": ("\ud83d",)}], {"\ud83d": 1}):
        assert find_lone_surrogate(value) == "\\ud83d"
    for value in ("a\U0001f600", {"a": [1, None, "b"]}, None, 2.0):
        assert find_lone_surrogate(value) is None


def test_dictionaries_and_prompts_with_one_are_one_sentence(turn_tokenizer: Callable[..., Any]) -> None:
    whole = {"prompt": "a", "completion": "b"}
    turns = [{"role": "user", "content": "\ud83d"}, {"role": "assistant", "content": "b"}]
    sentence = r"row 1 \(counted from 0\) holds \\ud83d, half of a surrogate pair"
    for rows in ([whole, {**whole, "completion": "b\ud83d"}], [{"messages": turns[1:] * 2}, {"messages": turns}]):
        with pytest.raises(LiftError, match=sentence):
            prepare_dataset(rows, turn_tokenizer(TURNS), max_length=9)
    for tokenizer in (turn_tokenizer(), turn_tokenizer(TURNS)):
        with pytest.raises(LiftError, match=r"the prompt: the text holds \\udcff, half of a surrogate pair") as caught:
            encode_prompt("a\udcff", tokenizer)  # a byte of the command line that is not UTF-8
        str(caught.value).encode()
