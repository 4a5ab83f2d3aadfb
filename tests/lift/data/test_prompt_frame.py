"""What stands in front of every prompt of a training stands there in sampling too."""

from __future__ import annotations

import pytest
from datasets import Dataset

from lift.data import PromptFrame, encode_prompt, frame_of_rows, prepare_dataset
from tests.lift.support.tiny import prose_tokenizer

TRACE = {"question": "2+2?", "thinking_trajectories": ["add"], "sol": "4", "attempt": "4", "answer": "add #### 4"}
ROWS = {
    "s1k": TRACE,
    "s1k-1.1": TRACE | {"deepseek_thinking_trajectory": "add", "deepseek_attempt": "4"},
    "gsm8k": TRACE,
    "kodcode": TRACE | {"solution": "4", "conversations": None},
    "lift-sft-12k": TRACE,
}


def prompts_of(rows, tokenizer, **options) -> list[list[int]]:
    prepared = prepare_dataset(rows, tokenizer, max_length=400, show_progress=False, **options)
    return [row["input_ids"][: row["prompt_length"]] for row in prepared]


def turns(*contents: str, roles: str = "sua") -> dict:
    names = {"s": "system", "u": "user", "a": "assistant"}
    return {"messages": [{"role": names[r], "content": c} for r, c in zip(roles, contents, strict=True)]}


@pytest.mark.parametrize("has_template", [False, True])
@pytest.mark.parametrize("name", ROWS)
def test_the_text_of_a_format(name, has_template):
    tokenizer = prose_tokenizer()
    if not has_template:
        tokenizer.chat_template = None
    rows = Dataset.from_list([ROWS[name]])
    frame = frame_of_rows(rows, name)
    assert "<reasoning>" in frame.system and frame == PromptFrame.from_record(frame.record)
    (trained,) = prompts_of(rows, tokenizer, data_format=name)
    assert encode_prompt("2+2?", tokenizer, frame) == trained != encode_prompt("2+2?", tokenizer)


@pytest.mark.parametrize("column", ["messages", "talk", "prompt"])
def test_the_system_turn_that_all_conversations_begin_with(column):
    tokenizer = prose_tokenizer()
    found = [turns("be kind", "hi", "yes"), turns("be kind", "well?", "so so")]
    options = {"messages_column": "talk"} if column == "talk" else {}
    rows = [{column: row["messages"]} for row in found]
    if column == "prompt":
        rows = [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in found]
    frame = frame_of_rows(Dataset.from_list(rows), **options)
    assert frame == PromptFrame("be kind", "system") == PromptFrame.from_record(frame.record)
    trained = prompts_of(rows, tokenizer, **options)
    assert [encode_prompt(text, tokenizer, frame) for text in ("hi", "well?")] == trained


@pytest.mark.parametrize(
    "rows",
    [
        [turns("be kind", "hi", "yes"), turns("be brief", "hi", "yes")],
        [turns("be kind", "hi", "yes"), turns("hi", "yes", roles="ua")],
        [turns("hi", "yes", roles="ua")] * 2,
        [{"prompt": "hi", "completion": "yes"}] * 2,
    ],
)
def test_where_they_have_none_in_common_nothing_is_added(rows):
    frame = frame_of_rows(Dataset.from_list(rows))
    assert frame.system == "" and frame.record == {} and PromptFrame.from_record({}) == PromptFrame()
    assert encode_prompt("hi", prose_tokenizer(), frame) == encode_prompt("hi", prose_tokenizer())


def test_a_control_token_in_the_text_is_text():
    tokenizer = prose_tokenizer()
    for role in ("user", "system"):
        ids = encode_prompt("q", tokenizer, PromptFrame("say [EOS]", role))
        assert tokenizer.eos_token_id not in ids
