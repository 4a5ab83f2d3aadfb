"""Give a tokenizer a chat template by name or from a file, and values for the template's own variables."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_FOLDER = resources.files("lift.data") / "chat_templates"
_TAKEN = ("messages", "tools", "documents", "add_generation_prompt", "continue_final_message", "tokenize")
_CONTROL_TOKEN = re.compile(r"<\|[^<>|\s]+\|>")
_PROBE = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


def template_names() -> list[str]:
    """Return the names of the chat templates that come with the package."""
    return sorted(entry.name.removesuffix(".jinja") for entry in _FOLDER.iterdir() if entry.name.endswith(".jinja"))


def read_chat_template(chosen: str) -> str:
    """Return the text of a chat template: one of `template_names()`, or a file's.

    Raises: LiftError if there is none of that name, or the file cannot be read.
    """
    names = template_names()
    if chosen in names:
        return (_FOLDER / f"{chosen}.jinja").read_text("utf-8")
    path = Path(chosen).expanduser()
    if not path.is_file():
        raise LiftError(f"chat_template must be one of {', '.join(names)}, or a file with a template, got {chosen!r}.")
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LiftError(f"chat_template: {chosen} cannot be read as text in UTF-8: {error}.") from None


def check_template_kwargs(kwargs: Mapping[str, Any]) -> None:
    """Raise LiftError unless every key can name a variable of a template, and every value is plain data."""
    for name, value in kwargs.items():
        if not str(name).isidentifier() or name in _TAKEN:
            raise LiftError(f"chat_template_kwargs sets variables of the template, and {name!r} is none of its own.")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise LiftError(
                f"chat_template_kwargs: {name} must be plain data, as JSON has it, got {value!r}."
            ) from None


def set_chat_template(
    tokenizer: PreTrainedTokenizerBase, chosen: str | None = None, kwargs: Mapping[str, Any] | None = None
) -> None:
    """Give `tokenizer` the chat template `chosen`, and write `kwargs` into its template as defaults of its variables.

    Both are then part of the tokenizer's own template, which is saved with it: whoever samples, by whatever library,
    gets the text that was trained. An argument that a sampler hands to `apply_chat_template` still wins.

    Args:
        tokenizer: is changed.
        chosen: one of `template_names()`, or a file of Jinja; by default the template that the tokenizer has.
        kwargs: what `apply_chat_template` would take, such as {"enable_thinking": False}.

    Raises: LiftError if there is no such template, or its Jinja is wrong, or kwargs have no template.
    """
    if chosen is not None:
        text, before = read_chat_template(chosen), tokenizer.chat_template
        tokenizer.chat_template = text
        try:
            _look_at(tokenizer, chosen)
        except LiftError:
            tokenizer.chat_template = before
            raise
    if not kwargs:
        return
    check_template_kwargs(kwargs)
    if tokenizer.chat_template is None:
        raise LiftError(
            "chat_template_kwargs are for a chat template, and the tokenizer has none: name a chat_template."
        )
    template = tokenizer.chat_template
    texts = template if isinstance(template, dict) else {"default": template}
    unread = [name for name in kwargs if not any(re.search(rf"\b{name}\b", text) for text in texts.values())]
    if unread:
        logger.warning("the chat template reads no %s, which chat_template_kwargs sets", ", ".join(unread))
    # Python's literals of plain data are Jinja's too.
    defaults = "".join(
        f"{{%- set {name} = {name} if {name} is defined else {value!r} %}}\n" for name, value in kwargs.items()
    )
    texts = {name: text if text.startswith(defaults) else defaults + text for name, text in texts.items()}
    tokenizer.chat_template = texts if isinstance(template, dict) else texts["default"]


def _look_at(tokenizer: PreTrainedTokenizerBase, chosen: str) -> None:
    """Render a conversation by a new template: refuse wrong Jinja, and name control tokens that would be split."""
    from jinja2 import TemplateSyntaxError

    from lift.data.chat_template import render
    from lift.data.control_tokens import encode

    try:
        text = render(_PROBE, tokenizer, "a conversation", context={}, is_prompt=False)
    except LiftError as refusal:
        if isinstance(error := refusal.__cause__, TemplateSyntaxError):
            raise LiftError(f"chat_template {chosen} is no valid Jinja: {error.message}.") from None
        return  # it may ask for what this conversation lacks; the rows will say
    split = [
        token
        for token in dict.fromkeys(_CONTROL_TOKEN.findall(text))
        if (ids := encode(token, tokenizer, chosen)) == [tokenizer.unk_token_id] or len(ids) > 1
    ]
    if split:
        logger.warning(
            "the chat template %s writes %s, which this tokenizer does not know and splits into pieces of text: take "
            "--chat_template plain, or the tokenizer's own template",
            chosen, ", ".join(split),
        )  # fmt: skip
