from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lift.data import encode_prompt, prepare_dataset
from lift.errors import LiftError

Halves = Callable[..., tuple[str, str]]

TURNS = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<turn>{{ m.role }}\n{{ m.content | trim }}"
    "{% for c in m.tool_calls or [] %}{{ c | tojson }}{% endfor %}<end>{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{{ '' }}{% endif %}"
)
CONTROL = ["<bos>", "<pad>", "<eos>", "<mask>", "<turn>", "<end>"]


def control_ids(tokenizer: Any, ids: list[int]) -> list[str]:
    return [token for token in tokenizer.convert_ids_to_tokens(ids) if token in CONTROL]


@pytest.mark.parametrize("spelled", CONTROL)
@pytest.mark.parametrize("text", ["print('{}') x", "{} x", "a{0}{0}b", "x {}."])
def test_words_that_spell_a_control_token_stay_words(
    turn_tokenizer: Callable[..., Any], halves: Halves, spelled: str, text: str
) -> None:
    """A row has the control tokens of its form, and the text as it was written, in prompt and response."""
    words = text.format(spelled)
    for template, own in ((None, ["<bos>", "<eos>"]), (TURNS, ["<turn>", "<end>", "<turn>", "<end>"])):
        tokenizer = turn_tokenizer(template)
        prompt = "x" + words  # at the beginning of a plain row <bos> would be the row's own
        row = prepare_dataset([{"prompt": prompt, "completion": words}], tokenizer, max_length=99, show_progress=False)[
            0
        ]
        assert control_ids(tokenizer, row["input_ids"]) == own
        if template is None:
            assert tokenizer.decode(row["input_ids"]) == f"<bos>{prompt}{words}<eos>"
        else:
            assert tokenizer.decode(row["input_ids"]) == f"<turn>user\n{prompt}<end><turn>assistant\n{words}<end>"
        assert encode_prompt(prompt, tokenizer) == row["input_ids"][: row["prompt_length"]]


def test_so_do_those_in_tools_calls_and_their_keys(turn_tokenizer: Callable[..., Any], halves: Halves) -> None:
    tokenizer = turn_tokenizer(TURNS)
    call = {"name": "<turn>", "arguments": {"<end>": "<eos>"}}
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "<end><turn>user"},
        {"role": "assistant", "content": "w"},
    ]
    row = prepare_dataset([{"messages": turns, "tools": [{"name": "<turn>"}]}], tokenizer, max_length=400)[0]
    assert control_ids(tokenizer, row["input_ids"]) == ["<turn>", "<end>"] * 4
    assert tokenizer.decode(row["input_ids"]) == (
        '[{"name": "<turn>"}]<turn>user\nq<end><turn>assistant\n{"name": "<turn>", "arguments": {"<end>": "<eos>"}}<end>'
        "<turn>tool\n<end><turn>user<end><turn>assistant\nw<end>"
    )


@pytest.mark.parametrize(
    ("prompt", "completion", "expected"),
    [
        ("a", "b<eos>", ("<bos>a", "b<eos>")),
        ("<bos>a", "b<eos><eos>", ("<bos>a", "b<eos>")),
        ("a", "b <eos>\n", ("<bos>a", "b <eos>")),
    ],
)
def test_a_plain_row_gets_only_what_the_text_does_not_bring(
    turn_tokenizer: Callable[..., Any], halves: Halves, prompt: str, completion: str, expected: tuple[str, str]
) -> None:
    tokenizer = turn_tokenizer()
    row = prepare_dataset([{"prompt": prompt, "completion": completion}], tokenizer, max_length=99)[0]
    assert halves({"prompt": prompt, "completion": completion}, tokenizer) == expected
    assert control_ids(tokenizer, row["input_ids"]) == ["<bos>", "<eos>"]
    with pytest.raises(LiftError, match="the completion is empty"):
        halves({"prompt": prompt, "completion": "<eos>"}, tokenizer)


def test_so_does_a_row_with_separators(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{"prompt": "[CLS] two [SEP]", "completion": "four [SEP]"}]
    assert prepare_dataset(rows, bert_tokenizer, max_length=9)["input_ids"][0] == [2, 5, 3, 8, 3]


def test_a_tokenizer_that_knows_the_token_as_a_word_refuses_the_row(bert_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{"prompt": "two", "completion": "four"}, {"prompt": "two", "completion": "four [SEP] five"}]
    with pytest.raises(
        LiftError, match=r"row 1 .*spells the control token '\[SEP\]', which this tokenizer cannot write"
    ):
        prepare_dataset(rows, bert_tokenizer, max_length=9)


def test_says_that_it_kept_words(turn_tokenizer: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"prompt": "a", "completion": "b<eos>"}, {"prompt": "<end>", "completion": "b"}]
    with caplog.at_level(logging.INFO, logger="lift"):
        prepare_dataset(rows, turn_tokenizer(), max_length=99, show_progress=False)
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith("1 of 2 rows spell control tokens")
    caplog.clear()
    encode_prompt("a", turn_tokenizer())
    encode_prompt("<end>", turn_tokenizer(TURNS))
    assert caplog.messages == ["the prompt spells <end>, a control token of the tokenizer; it was encoded as text"]


def test_no_space_is_written_around_a_kept_word() -> None:
    """A tokenizer that writes a space mark before every text, as SentencePiece does."""
    pieces = ["▁", *"ab<eos>:\n", "<|e|>"]
    core = Tokenizer(models.BPE({piece: i for i, piece in enumerate(dict.fromkeys([*pieces, "|"]))}, []))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    core.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|e|>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{{ ':' if m.role == 'user' else '<|e|>' }}{% endfor %}"
    )
    row = prepare_dataset([{"prompt": "a<|e|>b", "completion": "b"}], tokenizer, max_length=99)[0]
    assert tokenizer.convert_ids_to_tokens(row["input_ids"]) == [*"▁a<|e|>b:b", "<|e|>"]


def test_a_template_that_cuts_its_texts_loses_no_word(turn_tokenizer: Callable[..., Any], halves: Halves) -> None:
    template = TURNS.replace("m.content | trim", "m.content.split('os>')[0]")
    assert halves({"prompt": "a<eos>", "completion": "b"}, turn_tokenizer(template))[0] == (
        "<turn>user\na<e<end><turn>assistant\n"
    )
