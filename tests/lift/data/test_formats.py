from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lift.data import prepare_dataset
from lift.data.columns import Columns
from lift.data.formats import encode_prompt, encode_row
from lift.errors import LiftError

PAIR = Columns(prompt="prompt", completion="completion")
MESSAGES = Columns(messages="messages")


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def encode(tokenizer: PreTrainedTokenizerFast, prompt: Any, completion: Any) -> tuple[list[int], list[int]]:
    return encode_row({"prompt": prompt, "completion": completion}, PAIR, tokenizer, "row 3")


def test_plain_row_of_bert(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    """[CLS] two plus two is [SEP] | four nine [SEP], where nine is unknown."""
    assert encode(bert_tokenizer, "two plus two is", "four nine") == ([2, 5, 6, 5, 7, 3], [8, 1, 3])
    assert encode(bert_tokenizer, "", "four") == ([2, 3], [8, 3])


def test_plain_row_prefers_bos_and_eos(word_tokenizer: Callable[..., PreTrainedTokenizerFast]) -> None:
    words = "[UNK] <s> </s> [CLS] [SEP] a b"
    all_four = word_tokenizer(words, bos_token="<s>", eos_token="</s>", cls_token="[CLS]", sep_token="[SEP]")
    assert encode(all_four, "a", "b") == ([1, 5, 4], [6, 2])
    no_separator = word_tokenizer(words, bos_token="<s>", eos_token="</s>")
    assert encode(no_separator, "a", "b") == ([1, 5], [6, 2])
    zero_is_an_id = word_tokenizer("<s> [UNK] </s> a b", bos_token="<s>", eos_token="</s>")
    assert encode(zero_is_an_id, "a", "b") == ([0, 3], [4, 2])


def test_plain_row_of_characters_gets_no_special_token(char_tokenizer: PreTrainedTokenizerFast) -> None:
    assert encode(char_tokenizer, "12", "341") == ([2, 3], [4, 5, 2])


@pytest.mark.parametrize("form", ["strings", "lists", "mixed", "messages"])
def test_chat_template_makes_the_turns(chat_tokenizer: PreTrainedTokenizerFast, form: str) -> None:
    """<s> <|user|> two plus two <|end|> <|assistant|> | four <|end|>"""
    user, assistant = message("user", "two plus two"), message("assistant", "four")
    if form == "messages":
        ids = encode_row({"messages": [user, assistant]}, MESSAGES, chat_tokenizer, "row 3")
    elif form == "strings":
        ids = encode(chat_tokenizer, "two plus two", "four")
    elif form == "lists":
        ids = encode(chat_tokenizer, [user], [assistant])
    else:
        ids = encode(chat_tokenizer, [user], "four")
    assert ids == ([0, 3, 6, 7, 6, 5, 4], [8, 5])


def test_the_published_boundary_counts_the_assistants_header_as_response(
    chat_tokenizer: PreTrainedTokenizerFast,
) -> None:
    row = {"prompt": "two plus two", "completion": "four"}
    ids = encode_row(row, PAIR, chat_tokenizer, "row 3", "user_turn_newline")
    assert ids == ([0, 3, 6, 7, 6, 5], [4, 8, 5])
    options = {"max_length": 16, "prompt_boundary": "user_turn_newline"}
    assert prepare_dataset([row], chat_tokenizer, **options)["prompt_length"] == [6]
    with pytest.raises(LiftError, match="prompt_boundary must be one of generation_prompt, user_turn_newline"):
        prepare_dataset([row], chat_tokenizer, max_length=16, prompt_boundary="user_turn")


def test_chat_keeps_earlier_turns_in_the_prompt(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [
        message("system", "plus"),
        message("user", "two"),
        message("assistant", "four"),
        message("user", "five"),
        message("assistant", "two two"),
    ]
    ids = encode_row({"messages": turns}, MESSAGES, chat_tokenizer, "row 3")
    assert ids == ([0, 2, 7, 5, 3, 6, 5, 4, 8, 5, 3, 9, 5, 4], [6, 6, 5])
    # As prompt and completion the response may hold several turns.
    assert encode(chat_tokenizer, turns[:2], turns[2:]) == (
        [0, 2, 7, 5, 3, 6, 5, 4],
        [8, 5, 3, 9, 5, 4, 6, 6, 5],
    )


def test_chat_template_sees_no_keys_that_are_null(
    chat_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked at the call, as releases of transformers differ in whether they drop such keys themselves."""
    seen: list[Any] = []
    render = chat_tokenizer.apply_chat_template
    monkeypatch.setattr(
        chat_tokenizer,
        "apply_chat_template",
        lambda turns, **options: (seen.append(turns), render(turns, **options))[1],
    )
    user, assistant = message("user", "two"), {**message("assistant", "four"), "name": "x"}
    encode(chat_tokenizer, [{**user, "name": None}], [assistant])
    assert [user] in seen and [user, assistant] in seen
    assert all(None not in turn.values() for turns in seen for turn in turns)


def test_boundary_inside_a_token_of_the_full_text() -> None:
    """The template ends the prompt with a and the response starts with b, and the tokenizer knows ab."""
    core = Tokenizer(models.BPE({"a": 0, "b": 1, ".": 2, "ab": 3}, [("a", "b")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ 'a' if m.role == 'assistant' }}{{ m.content }}.{% endfor %}"
        "{{ 'a' if add_generation_prompt }}"
    )
    assert tokenizer("b.ab.")["input_ids"] == [1, 2, 3, 2]
    assert encode(tokenizer, "b", "b") == ([1, 2, 0], [1, 2])


def test_no_space_is_invented_at_the_boundary() -> None:
    """A tokenizer that writes a space mark before every text must not write one before the response."""
    core = Tokenizer(models.BPE({"\u2581": 0, "a": 1, "b": 2, ":": 3}, []))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{{ ':' if m.role == 'user' }}{% endfor %}"
    assert tokenizer("b")["input_ids"] == [0, 2]
    assert encode(tokenizer, "a", "b") == ([0, 1, 3], [2])


def test_template_that_rewrites_its_prompt(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    chat_tokenizer.chat_template = "{{ messages|length }}{% for m in messages %} {{ m.content }}{% endfor %}"
    with pytest.raises(LiftError, match=r"row 3: the chat template writes .* differently .*; use a template"):
        encode(chat_tokenizer, "two", "four")


def test_template_that_refuses(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    chat_tokenizer.chat_template = "{{ raise_exception('no system turn, please') }}"
    with pytest.raises(LiftError, match=r"row 3: the tokenizer's chat template rejects .*: no system turn, please"):
        encode(chat_tokenizer, "two", "four")


@pytest.mark.parametrize(
    ("prompt", "completion", "error"),
    [
        ("two", "", r"row 3: the completion is empty"),
        ("two", " \n", r"row 3: the completion is empty"),
        (None, "four", r"row 3: column 'prompt' is null; fill the cell or remove the row"),
        ("two", None, r"row 3: column 'completion' is null"),
        (2, "four", r"row 3: column 'prompt' must be a string or a list of messages, got int"),
        ("two", 4.0, r"row 3: column 'completion' must be a string or a list of messages, got float"),
        ([], "four", r"row 3: column 'prompt' must be a string or a list of messages, got an empty list"),
        (
            ["two"],
            "four",
            r"row 3: column 'prompt' must hold messages with the strings role and content, got 'two'",
        ),
        (
            [{"role": "user"}],
            "four",
            r"row 3: column 'prompt' must hold messages with the strings role and content",
        ),
        (
            [message("user", "two")],
            [message("user", "four")],
            r"row 3: the last message must be the assistant's, got role",
        ),
        ([message("user", "two")], [message("assistant", "")], r"row 3: the completion is empty"),
    ],
)
@pytest.mark.parametrize("kind", ["bert_tokenizer", "chat_tokenizer"])
def test_bad_cells_name_the_row(
    request: pytest.FixtureRequest, kind: str, prompt: Any, completion: Any, error: str
) -> None:
    with pytest.raises(LiftError, match=error):
        encode(request.getfixturevalue(kind), prompt, completion)


def test_bad_conversations_name_the_row(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(LiftError, match=r"row 3: column 'messages' must hold a prompt before the last message"):
        encode_row({"messages": [message("assistant", "four")]}, MESSAGES, chat_tokenizer, "row 3")
    with pytest.raises(LiftError, match=r"row 3: column 'messages' must be a list of messages, got str"):
        encode_row({"messages": "two"}, MESSAGES, chat_tokenizer, "row 3")


def test_messages_need_a_template(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [message("user", "two"), message("assistant", "four")]
    remedy = r"row 3: a list of messages needs a chat template .*; pass --chat_template plain, set tokenizer\.chat_template, or give strings"
    with pytest.raises(LiftError, match=remedy):
        encode_row({"messages": turns}, MESSAGES, bert_tokenizer, "row 3")
    with pytest.raises(LiftError, match=remedy):
        encode(bert_tokenizer, turns[:1], turns[1:])


def test_text_that_the_tokenizer_cannot_encode(char_tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(LiftError, match=r"row 3: the tokenizer cannot encode the text: .*Missing \[UNK\]"):
        encode(char_tokenizer, "12", "3x")


def test_a_completion_of_no_tokens(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    bert_tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer()
    with pytest.raises(LiftError, match=r"row 3: the completion is empty after tokenisation"):
        encode(bert_tokenizer, "two", "\x00\x01")


@pytest.mark.parametrize("name", ["bert_tokenizer", "chat_tokenizer", "char_tokenizer"])
def test_a_sampler_starts_from_the_ids_that_were_trained_on(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(name)
    prompt = "12" if name == "char_tokenizer" else "two plus two"
    trained, _ = encode(tokenizer, prompt, "3" if name == "char_tokenizer" else "four")
    assert encode_prompt(prompt, tokenizer) == trained
