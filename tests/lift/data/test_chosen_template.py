"""Chat templates by name and from files, and the variables that are kept in them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lift.data import encode_prompt, prepare_dataset
from lift.data.chosen_template import read_chat_template, set_chat_template, template_names
from lift.errors import LiftError

USER, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "bc"}
CONVERSATION = [{"role": "system", "content": "s"}, USER, ANSWER, {"role": "user", "content": "d"}]
WRITTEN = {
    "plain": "<bos>system: s\nuser: a\nassistant: bc<eos>\nuser: d",
    "chatml": "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nbc<|im_end|>\n"
    "<|im_start|>user\nd<|im_end|>\n",
    "llada": "<bos><|start_header_id|>system<|end_header_id|>\n\ns<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
    "a<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nbc<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nd<|eot_id|>",
}
ASKED = {
    "plain": "\nassistant:",
    "chatml": "<|im_start|>assistant\n",
    "llada": "<|start_header_id|>assistant<|end_header_id|>\n\n",
}
WRITTEN["dream"], ASKED["dream"] = WRITTEN["chatml"], ASKED["chatml"]


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_each_name_is_the_published_form(turn_tokenizer: Callable[..., Any], name: str) -> None:
    assert template_names() == sorted(WRITTEN)
    set_chat_template(tokenizer := turn_tokenizer(), name)
    write = tokenizer.apply_chat_template
    assert write(CONVERSATION, tokenize=False) == WRITTEN[name]
    assert write(CONVERSATION, tokenize=False, add_generation_prompt=True) == WRITTEN[name] + ASKED[name]
    own_system = write([USER], tokenize=False).startswith(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    )
    assert own_system == (name == "dream")


def test_plain_needs_neither_bos_nor_eos(bert_tokenizer: PreTrainedTokenizerFast, caplog: Any) -> None:
    """BERT's [CLS] and [SEP] stand for them, as in its rows without a template."""
    bert_tokenizer.add_tokens(["user:", "assistant:"])  # 10, 11
    row = {"messages": [{"role": "user", "content": "two"}, {"role": "assistant", "content": "four five"}]}
    (found,) = prepare_dataset(
        [row], bert_tokenizer, max_length=9, chat_template="plain", show_progress=False
    ).to_list()
    assert found == {"input_ids": [2, 10, 5, 11, 8, 9, 3], "prompt_length": 4, "example_id": 0}
    assert encode_prompt("two", bert_tokenizer) == [2, 10, 5, 11] and not caplog.records


def test_control_tokens_that_would_be_split_are_named(turn_tokenizer: Callable[..., Any], caplog: Any) -> None:
    set_chat_template(tokenizer := turn_tokenizer(), "chatml")
    assert "chatml writes <|im_start|>, <|im_end|>, which this tokenizer does not know" in caplog.messages[0]
    caplog.clear()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    set_chat_template(tokenizer, "chatml")
    assert not caplog.records


def test_a_file_is_a_template(turn_tokenizer: Callable[..., Any], tmp_path: Path) -> None:
    (path := tmp_path / "mine.txt").write_text("{% for m in messages %}{{ m.content }};{% endfor %}", "utf-8-sig")
    set_chat_template(tokenizer := turn_tokenizer(), str(path))
    assert tokenizer.apply_chat_template(CONVERSATION, tokenize=False) == "s;a;bc;d;"
    path.write_text("{% for m in messages %}")
    with pytest.raises(LiftError, match=r"mine\.txt is no valid Jinja: Unexpected end of template") as caught:
        set_chat_template(tokenizer, str(path))
    assert "\n" not in str(caught.value) and tokenizer.apply_chat_template([USER], tokenize=False) == "a;"
    path.write_bytes(b"\xff")
    with pytest.raises(LiftError, match=r"mine\.txt cannot be read as text in UTF-8"):
        read_chat_template(str(path))
    with pytest.raises(LiftError, match=r"one of chatml, dream, llada, plain, or a file with a template, got 'none'"):
        read_chat_template("none")


VALUES = {"flag": False, "text": "q'\"é🙂%}}}\n\\n", "nested": {"a": [1, None, 2.5e-7]}}
SHOWN = "{{ flag }}|{{ text }}|{{ nested['a'] }}|{% for m in messages %}{{ m.content }}{{ flag }}{% endfor %}"


def test_variables_are_kept_in_the_saved_template(turn_tokenizer: Callable[..., Any], tmp_path: Path) -> None:
    tokenizer = turn_tokenizer(SHOWN)
    for _ in range(2):  # as for rows to train on, and rows to evaluate on
        set_chat_template(tokenizer, kwargs=VALUES)
    assert tokenizer.chat_template.endswith(SHOWN) and tokenizer.chat_template.count("set flag") == 1
    tokenizer.save_pretrained(tmp_path)
    write = AutoTokenizer.from_pretrained(tmp_path).apply_chat_template
    assert write([USER], tokenize=False) == f"False|{VALUES['text']}|[1, None, 2.5e-07]|aFalse"
    assert write([USER], tokenize=False, flag=7).endswith("|a7")
    set_chat_template(tokenizer, kwargs={"flag": True})
    assert tokenizer.apply_chat_template([USER], tokenize=False).endswith("|aTrue")


def test_each_of_several_templates_has_the_variables(turn_tokenizer: Callable[..., Any]) -> None:
    tokenizer = turn_tokenizer({"default": "{{ flag }}", "other": "{{ flag }}!"})
    set_chat_template(tokenizer, kwargs={"flag": 1})
    assert tokenizer.apply_chat_template([USER], tokenize=False, chat_template="other") == "1!"


def test_variables_that_cannot_be_kept_are_refused(turn_tokenizer: Callable[..., Any], caplog: Any) -> None:
    for kwargs, message in (
        ({"tools": []}, "'tools' is none of its own"),
        ({"a b": 1}, "'a b' is none of its own"),
        ({"a": {1, 2}}, "a must be plain data, as JSON has it"),
        ({"a": float("nan")}, "a must be plain data, as JSON has it"),
    ):
        with pytest.raises(LiftError, match=message):
            set_chat_template(turn_tokenizer(SHOWN), kwargs=kwargs)
    with pytest.raises(LiftError, match="the tokenizer has none: name a chat_template"):
        set_chat_template(turn_tokenizer(), kwargs={"a": 1})
    with caplog.at_level(logging.WARNING):
        set_chat_template(turn_tokenizer(SHOWN), kwargs={"flag": 1, "fla": 2})
    assert caplog.messages == ["the chat template reads no fla, which chat_template_kwargs sets"]
