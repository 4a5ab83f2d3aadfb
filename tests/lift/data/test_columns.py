from __future__ import annotations

import pytest

from lift.data.columns import Columns, find_columns
from lift.errors import LiftError

PAIR = Columns(prompt="prompt", completion="completion")
MESSAGES = Columns(messages="messages")


@pytest.mark.parametrize(
    ("present", "named", "expected"),
    [
        (["completion", "prompt", "id"], {}, PAIR),
        (["messages", "prompt"], {}, MESSAGES),
        (["prompt", "completion", "q", "a"], {"prompt": "q", "completion": "a"}, Columns("q", "a")),
        (["prompt", "completion", "a"], {"completion": "a"}, Columns("prompt", "a")),
        (["q", "completion"], {"prompt": "q"}, Columns("q", "completion")),
        (["prompt", "completion", "chat"], {"messages": "chat"}, Columns(messages="chat")),
        (["prompt", "completion", "messages"], {"messages": "messages"}, MESSAGES),
        (["prompt", "completion", "messages"], {"completion": "completion"}, PAIR),
        (["messages", "tools"], {}, Columns(messages="messages", tools="tools")),
        (
            ["q", "a", "tools", "documents"],
            {"prompt": "q", "completion": "a"},
            Columns("q", "a", None, "tools", "documents"),
        ),
        (["tools", "a"], {"prompt": "tools", "completion": "a"}, Columns("tools", "a")),
    ],
)
def test_finds_columns(present: list[str], named: dict[str, str], expected: Columns) -> None:
    names = {"prompt": None, "completion": None, "messages": None, **named}
    assert find_columns(present, **names) == expected


@pytest.mark.parametrize(
    ("present", "named", "error"),
    [
        (
            ["question", "answer"],
            {},
            r"the data have the columns question, answer, and neither .*--prompt_column question "
            "--completion_column answer",
        ),
        (
            ["prompt", "completion", "messages"],
            {},
            r"two conversations in a row: choose with --messages_column messages, or with --prompt_column prompt",
        ),
        (["q", "messages"], {"prompt": "q"}, r"the data have the columns q, messages, and neither"),
        (
            ["q", "a"],
            {"prompt": "x"},
            r"--prompt_column x: there is no such column; the data have the columns q, a\.",
        ),
        (["q", "a"], {"completion": "x"}, r"--completion_column x: there is no such column"),
        (["q", "a"], {"messages": "x"}, r"--messages_column x: there is no such column"),
        (
            ["q", "a"],
            {"messages": "q", "prompt": "a"},
            r"--messages_column cannot be combined with --prompt_column",
        ),
    ],
)
def test_bad_columns_list_what_is_there(present: list[str], named: dict[str, str], error: str) -> None:
    names = {"prompt": None, "completion": None, "messages": None, **named}
    with pytest.raises(LiftError, match=error):
        find_columns(present, **names)
