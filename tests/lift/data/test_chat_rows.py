from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lift.errors import LiftError

Halves = Callable[..., tuple[str, str]]

HEADER = "<turn>{{ m.role }}\n"
ASSISTANT = "<turn>assistant\n{{ '' }}"
EACH, END = "{% for m in messages %}", "{% endfor %}"
ASKED = "{% if add_generation_prompt %}" + ASSISTANT + "{% endif %}"


@pytest.mark.parametrize(
    ("template", "prompt", "response"),
    [
        # As LLaDA's own, which names no add_generation_prompt.
        (
            f"{EACH}{{{{ '<bos>' if loop.first }}}}{HEADER}{{{{ m.content | trim }}}}<end>{END}{ASSISTANT}",
            "<bos><turn>user\nas<end><turn>assistant\n",
            "as<end>",
        ),
        # As ChatML: white space belongs to the end of the turn.
        (f"{EACH}{HEADER}{{{{ m.content }}}}<end>\n{END}{ASSISTANT}", "<turn>user\nas<end>\n<turn>assistant\n", "as<end>"),
        # It begins with a system turn of its own, which ends as every turn does.
        (
            f"<turn>system\nhelp<end>\n{EACH}{HEADER}{{{{ m.content }}}}<end>\n{END}{ASSISTANT}",
            "<turn>system\nhelp<end>\n<turn>user\nas<end>\n<turn>assistant\n",
            "as<end>",
        ),
        # Nothing ends a turn but the next header, in control tokens or in plain text.
        (f"{EACH}{HEADER}{{{{ m.content }}}}{END}{ASSISTANT}", "<turn>user\nas<turn>assistant\n", "as<eos>"),
        (f"{EACH}{{{{ m.role }}}}: {{{{ m.content }}}}\n{END}assistant:", "user: as\nassistant:", " as<eos>"),
        # It opens a turn only behind the user's.
        (
            f"{EACH}{HEADER}{{{{ m.content }}}}<end>{END}{{% if messages[-1].role == 'user' %}}{ASSISTANT}{{% endif %}}",
            "<turn>user\nas<end><turn>assistant\n",
            "as<end>",
        ),
        # It never opens one, so that the header is the model's to write.
        (f"{EACH}{HEADER}{{{{ m.content }}}}<end>{END}", "<turn>user\nas<end>", "<turn>assistant\nas<end>"),
    ],
)  # fmt: skip
def test_an_answer_ends_where_its_turn_does_though_the_template_opens_another(
    turn_tokenizer: Callable[..., Any], halves: Halves, template: str, prompt: str, response: str
) -> None:
    """The question and the answer are the same word, and a part of the word assistant."""
    tokenizer = turn_tokenizer(template)
    assert halves({"prompt": "as", "completion": "as"}, tokenizer) == (prompt, response)


@pytest.mark.parametrize("opened", [ASKED, ASSISTANT])
def test_the_published_boundary_is_the_users_turn_and_one_more_id(
    turn_tokenizer: Callable[..., Any], halves: Halves, opened: str
) -> None:
    """The header counts as response, also where the template opens the turn unasked."""
    tokenizer = turn_tokenizer(f"{EACH}{HEADER}{{{{ m.content }}}}<end>{END}{opened}")
    row = {"prompt": "as", "completion": "as"}
    assert halves(row, tokenizer) == ("<turn>user\nas<end><turn>assistant\n", "as<end>")
    published = halves(row, tokenizer, prompt_boundary="user_turn_newline")
    assert published == ("<turn>user\nas<end><turn>", "assistant\nas<end>")


def test_a_template_that_opens_a_turn_keeps_every_message_of_the_completion(
    turn_tokenizer: Callable[..., Any], halves: Halves
) -> None:
    tokenizer = turn_tokenizer(f"{EACH}{HEADER}{{{{ m.content }}}}<end>{END}{ASSISTANT}")
    turns = [{"role": role, "content": "y"} for role in ("assistant", "user", "assistant")]
    assert halves({"prompt": "y", "completion": turns}, tokenizer) == (
        "<turn>user\ny<end><turn>assistant\n",
        "y<end><turn>user\ny<end><turn>assistant\ny<end>",
    )


@pytest.mark.parametrize(
    ("closing", "eos_token", "response"),
    [
        ("", "<eos>", "b<eos>"),
        ("\n\n", "<eos>", "b\n\n<eos>"),
        ("<eos>", "<eos>", "b<eos>"),
        ("<end>", "<eos>", "b<end>"),
        ("<end>\n", "<eos>", "b<end>\n"),
        ("<end>\n", "<end>", "b<end>\n"),
    ],
)
def test_an_answer_has_one_end(
    turn_tokenizer: Callable[..., Any], halves: Halves, closing: str, eos_token: str, response: str
) -> None:
    """The template's, else the tokenizer's, and none of the data beside it."""
    tokenizer = turn_tokenizer(f"{EACH}{HEADER}{{{{ m.content }}}}{closing}{END}{ASKED}", eos_token=eos_token)
    written = closing.strip() or eos_token
    for end_of_data in ("", written, f"{written}\n", written * 2, eos_token):
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b" + end_of_data}]
        assert halves({"prompt": "a", "completion": "b" + end_of_data}, tokenizer)[1] == response
        assert halves({"messages": [*turns, *turns]}, tokenizer)[1] == response


def test_an_end_is_found_behind_an_answer_that_the_template_rewrites(
    turn_tokenizer: Callable[..., Any], halves: Halves
) -> None:
    for closing, end in (("<end>", "<end>"), ("", "<eos>")):
        for opened in (ASKED, ASSISTANT):
            tokenizer = turn_tokenizer(f"{EACH}{HEADER}{{{{ m.content | upper }}}}{closing}{END}{opened}")
            assert halves({"prompt": "a", "completion": "e"}, tokenizer)[1] == f"E{end}"


def test_a_template_that_rewrites_its_prompt_cannot_be_used(turn_tokenizer: Callable[..., Any], halves: Halves) -> None:
    tokenizer = turn_tokenizer(f"{{{{ messages | length }}}}{EACH}{{{{ m.content }}}}{END}")
    with pytest.raises(LiftError, match=r"row 0 .*: the chat template writes .* differently .*; use a template"):
        halves({"prompt": "a", "completion": "b"}, tokenizer)
