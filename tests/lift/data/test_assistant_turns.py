"""All answers of a conversation are trained: each as if it were the last, with what stands between them as context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lift.data import MaskedDiffusionCollator, pack_dataset, prepare_dataset
from lift.data.chosen_template import set_chat_template
from lift.errors import LiftError

EACH, END = "{% for m in messages %}", "{% endfor %}"
HEADER = "<turn>{{ m.role }}\n"
ASKED = "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
CLOSED = f"{EACH}{HEADER}{{{{ m.content }}}}<end>\n{END}{ASKED}"
TEMPLATES = {
    "closed": CLOSED,
    # As LLaDA's own: a header of yet another answer, unasked.
    "opens": f"{EACH}{HEADER}{{{{ m.content | trim }}}}<end>{END}<turn>assistant\n",
    "rewrites": f"{EACH}{HEADER}{{{{ m.content | upper }}}}<end>{END}{ASKED}",
}
ROLES = ("system", "user", "assistant", "user", "assistant", "tool", "assistant", "assistant")


def conversation(roles: tuple[str, ...]) -> list[dict[str, str]]:
    """Texts of unequal length, some of which spell control tokens, or end with one."""
    texts = ["be brief", "as<end>?", "as", "why", "because <turn> as", "42", "a\nb <eos>", "so"]
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def prepare(tokenizer: Any, rows: list[Any], **options: Any) -> list[dict[str, Any]]:
    options = {"max_length": 400, "assistant_turns": "all"} | options
    return prepare_dataset(rows, tokenizer, show_progress=False, **options).to_list()


@pytest.mark.parametrize("template", [*TEMPLATES, "plain", "chatml", "dream", "llada"])
def test_each_answer_is_encoded_as_if_it_were_the_last(turn_tokenizer: Callable[..., Any], template: str) -> None:
    tokenizer = turn_tokenizer(TEMPLATES.get(template))
    if template not in TEMPLATES:
        names = ["im_start", "im_end", "start_header_id", "end_header_id", "eot_id"]
        tokenizer.add_tokens([f"<|{name}|>" for name in names], special_tokens=True)
        set_chat_template(tokenizer, template)
    messages = conversation(ROLES)
    (row,) = prepare(tokenizer, [{"messages": messages}])
    spans = list(zip(row["response_spans"][::2], row["response_spans"][1::2], strict=True))
    answers = [index for index, role in enumerate(ROLES) if role == "assistant"]
    assert len(spans) == len(answers) == 4 and row["prompt_length"] == spans[0][0]
    for index, (start, end) in zip(answers, spans, strict=True):
        (last,) = prepare(tokenizer, [{"messages": messages[: index + 1]}], assistant_turns="last")
        assert row["input_ids"][:end] == last["input_ids"] and start == last["prompt_length"]


def test_a_turn_behind_others_has_the_tokens_of_the_whole_text() -> None:
    """A tokenizer that writes a space at the start of each text would write one at the start of each turn."""
    words = [*"abc", "\u2581", "<eos>", "<unk>"]
    core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="first"), pre_tokenizers.Split("", "isolated")]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", unk_token="<unk>")
    tokenizer.chat_template = f"{EACH}{{{{ m.content }}}}{END}"
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, "abca", strict=True)]
    (row,) = prepare(tokenizer, [{"messages": turns}])
    assert row["input_ids"] == [3, 0, 1, 2, 0, 4] and row["response_spans"] == [2, 3, 4, 6]


def test_what_is_trained_is_the_answers_and_their_ends(turn_tokenizer: Callable[..., Any]) -> None:
    tokenizer = turn_tokenizer(CLOSED)
    rows = prepare(tokenizer, [{"messages": conversation(ROLES[:n])} for n in (5, 3)])
    batch = MaskedDiffusionCollator(tokenizer.pad_token_id, pad_in_loss=False)(rows)
    texts = [
        tokenizer.decode(ids[is_trained]) for ids, is_trained in zip(batch["input_ids"], batch["maskable"], strict=True)
    ]
    assert texts == ["as<end>\nbecause <turn> as<end>\n", "as<end>\n"]
    padded = MaskedDiffusionCollator(tokenizer.pad_token_id)(rows)
    assert (padded["maskable"] ^ batch["maskable"]).equal(batch["attention_mask"] == 0)


def test_an_answer_that_brings_its_end_has_one(turn_tokenizer: Callable[..., Any]) -> None:
    messages = conversation(ROLES[:5])
    ended = [m | {"content": m["content"] + "<end>" * (m["role"] == "assistant")} for m in messages]
    expected = prepare(turn_tokenizer(CLOSED), [{"messages": messages}])
    assert prepare(turn_tokenizer(CLOSED), [{"messages": ended}]) == expected


def test_a_prompt_of_several_turns_has_its_answers_trained_too(turn_tokenizer: Callable[..., Any]) -> None:
    messages = conversation(ROLES[:5])
    row = {"prompt": messages[:2], "completion": messages[2:]}
    expected = prepare(turn_tokenizer(CLOSED), [{"messages": messages}])
    assert prepare(turn_tokenizer(CLOSED), [row]) == expected


def test_an_answer_that_opens_and_one_that_is_empty_are_context(turn_tokenizer: Callable[..., Any]) -> None:
    messages = [{"role": r, "content": c} for r, c in (("assistant", "hi"), ("user", "a"), ("assistant", " "))]
    messages += [{"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]
    (row,) = prepare(tokenizer := turn_tokenizer(CLOSED), [{"messages": messages}])
    start, end = row["response_spans"]
    assert tokenizer.decode(row["input_ids"][start:end]) == "c<end>\n" and end == len(row["input_ids"])


def test_the_last_answer_gets_the_end_that_a_template_lacks(turn_tokenizer: Callable[..., Any]) -> None:
    tokenizer = turn_tokenizer(f"{EACH}{HEADER}{{{{ m.content }}}}\n{END}{ASKED}")
    (row,) = prepare(tokenizer, [{"messages": conversation(ROLES[1:5])}])
    assert tokenizer.decode(row["input_ids"]).endswith("<eos>") and row["response_spans"][-1] == len(row["input_ids"])


def test_a_cut_keeps_what_is_left_of_each_answer(turn_tokenizer: Callable[..., Any]) -> None:
    tokenizer, rows = turn_tokenizer(CLOSED), [{"messages": conversation(ROLES[:5])}]
    (whole,) = prepare(tokenizer, rows)
    first, second = whole["response_spans"][:2], whole["response_spans"][2:]
    for max_length, spans in (
        (second[0] + 2, [*first, second[0], second[0] + 2]),
        (second[0], first),
        (first[1] - 1, [first[0], first[1] - 1]),
    ):
        (cut,) = prepare(tokenizer, rows, max_length=max_length)
        assert cut["response_spans"] == spans and cut["input_ids"] == whole["input_ids"][:max_length]
    with pytest.raises(LiftError, match=rf"the prompt has {first[0]} tokens and max_length={first[0]} leaves no room"):
        prepare(tokenizer, rows, max_length=first[0])
    with pytest.raises(LiftError, match="none of the 1 rows fits"):
        prepare(tokenizer, rows, max_length=second[0], truncation="filter")


def test_packed_rows_train_the_same_tokens(turn_tokenizer: Callable[..., Any]) -> None:
    tokenizer = turn_tokenizer(CLOSED)
    rows = [{"messages": conversation(ROLES[:n])} for n in (5, 3, 8)] + [{"messages": conversation(ROLES[1:5])}]
    prepared = prepare_dataset(rows, tokenizer, max_length=400, assistant_turns="all", show_progress=False)
    packed = pack_dataset(prepared, max_length=400, show_progress=False).to_list()
    assert len(packed) < len(rows)
    collate = MaskedDiffusionCollator(tokenizer.pad_token_id, pad_in_loss=False)

    def trained(found: list[Any]) -> list[str]:
        batch = collate(found)
        return sorted(tokenizer.decode(batch["input_ids"][batch["maskable"]]))

    assert trained(packed) == trained(prepared.to_list())
    order = [number for row in packed for number in row["segment_example_ids"]]
    alone = [collate([prepared[number]]) for number in order]
    texts = [tokenizer.decode(batch["input_ids"][batch["maskable"]]) for batch in alone]
    assert tokenizer.decode(collate(packed)["input_ids"][collate(packed)["maskable"]]) == "".join(texts)


def test_a_template_that_rewrites_earlier_answers_is_refused(turn_tokenizer: Callable[..., Any]) -> None:
    """As those that drop an answer's thoughts once another follows."""
    tokenizer = turn_tokenizer(
        f"{EACH}{HEADER}{{{{ 'think ' if loop.last and m.role == 'assistant' }}}}{{{{ m.content }}}}<end>{END}{ASKED}"
    )
    with pytest.raises(LiftError, match=r"row 0 .*: the chat template writes message 3 differently once the conversat"):
        prepare(tokenizer, [{"messages": conversation(ROLES[:5])}])
    prepare(tokenizer, [{"messages": conversation(ROLES[:3])}])


def test_without_a_template_there_is_one_answer(bert_tokenizer: Any) -> None:
    (row,) = prepare(bert_tokenizer, [{"prompt": "two plus two", "completion": "four"}])
    assert row["response_spans"] == [row["prompt_length"], len(row["input_ids"])] == [5, 7]


def test_options_that_do_not_go_together(turn_tokenizer: Callable[..., Any]) -> None:
    rows = [{"prompt": "a", "completion": "b"}]
    with pytest.raises(LiftError, match="assistant_turns must be one of last, all, got 'every'"):
        prepare(turn_tokenizer(CLOSED), rows, assistant_turns="every")
    with pytest.raises(LiftError, match="prompt_boundary='user_turn_newline' is the published code's"):
        prepare(turn_tokenizer(CLOSED), rows, prompt_boundary="user_turn_newline")
