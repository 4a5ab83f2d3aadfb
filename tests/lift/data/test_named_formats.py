"""Each format on rows written by hand: the expected text is written out, not built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AddedToken, PreTrainedTokenizerFast

from lift.data import DATA_FORMATS, load_rows, prepare_dataset
from lift.data.named_formats import apply_data_format
from lift.errors import LiftError

PROMPT = """
Respond in the following format:
<reasoning>
Your reasoning here
</reasoning>
<answer>
...
</answer>


What is two plus two?"""
QUESTION = "What is two plus two?"
KODCODE = {"question": f" {QUESTION}\n", "solution": "old()\n", "r1_solution": " new() ", "conversations": None}
TURNS = [{"role": "user", "content": "two"}, {"role": "assistant", "content": "four"}]


def turns(human: str | None, gpt: str) -> list[dict[str, Any]]:
    return [{"from": "system", "value": "x"}, {"from": "human", "value": human}, {"from": "gpt", "value": gpt}]


@pytest.mark.parametrize(
    ("name", "row", "completion"),
    [
        (
            "s1k",
            {
                "question": QUESTION,
                "thinking_trajectories": [" Add.\n", "Count."],
                "attempt": "It is 4.",
                "solution": "4",
            },
            "<reasoning> Add.\n</reasoning>\n<answer>It is 4.</answer>",
        ),
        (
            "s1k-1.1",
            {
                "question": QUESTION,
                "deepseek_thinking_trajectory": "Add.",
                "deepseek_attempt": "It is 4.",
                "gemini_thinking_trajectory": "x",
                "gemini_attempt": "y",
            },
            "<reasoning>Add.</reasoning>\n<answer>It is 4.</answer>",
        ),
        (
            "gsm8k",
            {"question": QUESTION, "answer": "2 + 2 = <<2+2=4>>4\nSo 4.\n#### 4"},
            "<reasoning>2 + 2 = <<2+2=4>>4\nSo 4.</reasoning>\n<answer>4</answer>",
        ),
        (
            "gsm8k",
            {"question": QUESTION, "answer": "Add.#### 4 #### 5"},
            "<reasoning>Add.</reasoning>\n<answer>4 #### 5</answer>",
        ),
        (
            "lift-sft-12k",
            {"question": QUESTION, "thinking_trajectories": ["Add.", "Count."], "sol": "4", "source_type": "math"},
            "<reasoning>Add.</reasoning>\n<answer>4</answer>",
        ),
        (
            "lift-sft-12k",
            {"question": QUESTION, "thinking_trajectories": [], "sol": "4"},
            "<reasoning></reasoning>\n<answer>4</answer>",
        ),
        (
            "kodcode",
            {**KODCODE, "conversations": turns(QUESTION, " <think>Add.</think>\nHere.\n")},
            "<reasoning>Add.</reasoning>\nHere.\n<answer>new()</answer>",
        ),
        (
            "kodcode",
            {**KODCODE, "conversations": turns(QUESTION, "<think>Add.</think>\n<answer>f()</answer>")},
            "<reasoning>Add.</reasoning>\n<answer>f()</answer>",
        ),
        (
            "kodcode",
            {**KODCODE, "conversations": turns(QUESTION, "Just add.")},
            "<reasoning>Just add.</reasoning>\n<answer>new()</answer>",
        ),
        ("kodcode", KODCODE, "<reasoning></reasoning>\n<answer>new()</answer>"),
        ("kodcode", {**KODCODE, "r1_solution": None}, "<reasoning></reasoning>\n<answer>old()</answer>"),
        (
            "kodcode",
            {**KODCODE, "conversations": turns(None, "Just add.")},
            "<reasoning>Just add.</reasoning>\n<answer>new()</answer>",
        ),
    ],
)
def test_reasoning_rows(name: str, row: dict[str, Any], completion: str) -> None:
    before = repr(row)
    assert apply_data_format(name, row, "row 3") == {"prompt": PROMPT, "completion": completion}
    assert repr(row) == before


def test_plain_rows() -> None:
    assert apply_data_format("messages", {"messages": TURNS, "id": 1}, "row 3") == {"messages": TURNS}
    pair = {"prompt": "two", "completion": TURNS[1:]}
    assert apply_data_format("prompt-completion", {**pair, "id": 1}, "row 3") == pair


def test_kodcode_asks_what_the_human_asked() -> None:
    row = {**KODCODE, "conversations": turns("Write f.", "Just add.")}
    assert apply_data_format("kodcode", row, "row 3")["prompt"].endswith("</answer>\n\n\nWrite f.")


@pytest.mark.parametrize(
    ("name", "row", "error"),
    [
        ("s1k", {"question": QUESTION, "thinking_trajectories": ["Add."]}, "the field 'attempt' is missing"),
        ("s1k", {"question": None, "thinking_trajectories": ["Add."], "attempt": "4"}, "the field 'question' is null"),
        (
            "s1k",
            {"question": "", "thinking_trajectories": [], "attempt": "4"},
            "the field 'thinking_trajectories' holds no text",
        ),
        (
            "s1k",
            {"question": "", "thinking_trajectories": "Add.", "attempt": "4"},
            "the field 'thinking_trajectories' must be a list, got str",
        ),
        (
            "s1k-1.1",
            {"question": "", "deepseek_attempt": "4"},
            "the field 'deepseek_thinking_trajectory' is missing",
        ),
        ("gsm8k", {"question": QUESTION, "answer": "It is 4."}, "the field 'answer' has no #### before its result"),
        ("gsm8k", {"question": QUESTION, "answer": 4}, "the field 'answer' must be a string, got int"),
        (
            "lift-sft-12k",
            {"question": "", "thinking_trajectories": [None], "sol": "4"},
            "the field 'thinking_trajectories' holds no text",
        ),
        ("kodcode", {"question": QUESTION, "conversations": 3}, "the field 'solution' is missing"),
        ("kodcode", {"solution": "f()"}, "the field 'question' is missing"),
        ("messages", {"messages": None}, "the field 'messages' is null"),
        ("prompt-completion", {"prompt": "two"}, "the field 'completion' is missing"),
    ],
)
def test_a_bad_row_is_one_sentence_with_row_field_and_format(name: str, row: dict[str, Any], error: str) -> None:
    with pytest.raises(LiftError) as caught:
        apply_data_format(name, row, "row 3")
    assert str(caught.value) == (
        f"row 3 does not have the format {name!r}: {error}; repair or remove the row, or choose another data_format."
    )


def test_rows_of_a_format_become_ids(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    """The prompt of a user's turn is exact, and the other columns are gone."""
    rows = [{"question": "two plus two", "answer": "four #### five", "other": i} for i in range(2)]
    instruction = apply_data_format("gsm8k", rows[0], "row 0")["prompt"].split()
    chat_tokenizer.add_tokens([AddedToken(w, single_word=True) for w in instruction if w not in chat_tokenizer.vocab])
    prepared = prepare_dataset(rows, chat_tokenizer, max_length=64, data_format="gsm8k")
    text = apply_data_format("gsm8k", rows[0], "row 0")
    assert prepared.to_list()[1] == {
        **prepare_dataset([text], chat_tokenizer, max_length=64).to_list()[0],
        "example_id": 1,
    }
    ids, length = prepared[0]["input_ids"], prepared[0]["prompt_length"]
    assert ids[length - 5 : length] == [6, 7, 6, 5, 4]  # two plus two <|end|> <|assistant|>
    conversation = prepare_dataset([{"messages": TURNS, "x": 1}], chat_tokenizer, max_length=8, data_format="messages")
    assert conversation.to_list() == [{"input_ids": [0, 3, 6, 5, 4, 8, 5], "prompt_length": 5, "example_id": 0}]


def test_bad_options(chat_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{"question": "two", "answer": "four #### five"}, {"question": "two"}]
    with pytest.raises(LiftError, match=r"data_format must be one of s1k, s1k-1\.1, gsm8k, .*, got 'gsm'\."):
        prepare_dataset(rows, chat_tokenizer, max_length=64, data_format="gsm")
    with pytest.raises(LiftError, match="data_format='gsm8k' names its own columns: leave out prompt_column"):
        prepare_dataset(rows, chat_tokenizer, max_length=64, data_format="gsm8k", prompt_column="question")
    with pytest.raises(
        LiftError, match=r"row 1 \(counted from 0\) does not have the format 'gsm8k': .*'answer' is null"
    ):
        prepare_dataset(rows, chat_tokenizer, max_length=64, data_format="gsm8k")


def test_every_format_is_documented() -> None:
    assert all(function.__doc__ for function in DATA_FORMATS.values())


def test_the_real_gsm8k(shared_dir: Path) -> None:
    """All 7473 rows have the format, and nothing of question and answer is lost but the mark."""
    rows = load_rows(shared_dir / "data" / "gsm8k_train.jsonl").to_list()
    assert len(rows) == 7473
    for index, row in enumerate(rows):
        text = apply_data_format("gsm8k", row, f"row {index}")
        assert text["prompt"].endswith("</answer>\n\n\n" + row["question"])
        reasoning, answer = text["completion"].removeprefix("<reasoning>").split("</reasoning>\n<answer>")
        assert f"{reasoning}\n#### {answer.removesuffix('</answer>')}" == row["answer"]
