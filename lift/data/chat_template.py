"""Render a tokenizer's chat template: the same text every day, and any failure one sentence."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from lift.data.messages import Message
from lift.errors import LiftError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEMPLATE_DATE = datetime(2024, 7, 26)
"""What a template that asks for today is told, in training and sampling: rows must not change from day to day, or a
resumed run is not the same run. It is the day that Llama's templates write where they can ask for none."""

_DIRECTIVES = "aAbBcdDeFGHIjmMnpRStTuUVwWxXyYZz"


def template_text(tokenizer: PreTrainedTokenizerBase, where: str, *, has_tools: bool = False) -> str | None:
    """Return the template that a row is written with, None if the tokenizer has none.

    Of several named templates it is `tool_use` for rows with tools, where there is such a one, and else `default`.

    Raises: LiftError that lists the names if there are several, and none for this row.
    """
    template = tokenizer.chat_template
    if not isinstance(template, dict):
        return template
    name = "tool_use" if has_tools and "tool_use" in template else "default"
    if name not in template:
        raise LiftError(
            f"{where}: the tokenizer has several chat templates, {', '.join(sorted(template))}, and none is called "
            "default; set tokenizer.chat_template to the text of one of them."
        )
    return str(template[name])


def reads_the_clock(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a template of the tokenizer asks for the date or the time."""
    template = tokenizer.chat_template
    return any(
        "strftime_now" in text for text in (template.values() if isinstance(template, dict) else [template or ""])
    )


def render(
    messages: list[Message],
    tokenizer: PreTrainedTokenizerBase,
    where: str,
    *,
    context: dict[str, list[Any]],
    is_prompt: bool,
) -> str:
    """Return the template's text of messages, with the header of the answer behind them if `is_prompt`.

    Args:
        messages: with the strings role and content.
        tokenizer: has a chat template.
        where: how an error names the row.
        context: `tools` and `documents`, as far as the row has them.
        is_prompt: hand it `add_generation_prompt`.

    Raises: LiftError if the template fails, in whatever way, or there are several and none for this row.
    """
    template = template_text(tokenizer, where, has_tools="tools" in context) or ""
    # A function among the template's variables would not arrive: transformers 5 hands on plain data alone.
    dated = {"chat_template": _stopped_clock() + template} if "strftime_now" in template else {}
    options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": is_prompt, **context, **dated}
    try:
        text = tokenizer.apply_chat_template(messages, **options)
    except Exception as error:  # a template runs code: it raises what Python raises
        reason = str(error) or type(error).__name__
        raise LiftError(f"{where}: the tokenizer's chat template rejects the messages: {reason}") from error
    return str(text)


@cache
def _stopped_clock() -> str:
    """Return a macro of the name and the argument of the function that transformers gives templates.

    Its own newline goes with the tag, as transformers renders, and the template behind it stays as it is.
    """
    directives = {f"%{letter}": TEMPLATE_DATE.strftime(f"%{letter}") for letter in _DIRECTIVES}
    directives |= {f"%-{letter}": str(int(directives[f"%{letter}"])) for letter in "dHIjmMSy"}
    steps = [("%%", "\0"), *directives.items(), ("\0", "%")]
    replaced = " | ".join(f"replace({old!r}, {new!r})" for old, new in steps)
    return "{%- macro strftime_now(format) -%}{{ format | " + replaced + " }}{%- endmacro %}\n"
