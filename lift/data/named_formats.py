"""Turn rows of public data sets into `prompt` and `completion`: one function for each, chosen by name.

The reasoning sets take the form of the published code of LIFT (arXiv 2605.22939): `SYSTEM_PROMPT` in front of the
question, in the user's turn, and the answer as `<reasoning>...</reasoning>`, a newline, `<answer>...</answer>`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lift.errors import LiftError

Row = Mapping[str, Any]

SYSTEM_PROMPT = (
    "\nRespond in the following format:\n<reasoning>\nYour reasoning here\n</reasoning>\n<answer>\n...\n</answer>\n"
)


def s1k(row: Row) -> dict[str, Any]:
    """simplescaling/s1K: `question`, the first of `thinking_trajectories`, `attempt`."""
    traces = _list(row, "thinking_trajectories")
    if not traces or not isinstance(traces[0], str):
        raise LiftError("the field 'thinking_trajectories' holds no text")
    return _reasoned(_text(row, "question"), traces[0], _text(row, "attempt"))


def s1k_1_1(row: Row) -> dict[str, Any]:
    """simplescaling/s1K-1.1: `question`, `deepseek_thinking_trajectory`, `deepseek_attempt`."""
    return _reasoned(_text(row, "question"), _text(row, "deepseek_thinking_trajectory"), _text(row, "deepseek_attempt"))


def gsm8k(row: Row) -> dict[str, Any]:
    """openai/gsm8k: `question`, and `answer`, whose reasoning ends at the first ####."""
    reasoning, mark, answer = _text(row, "answer").partition("####")
    if not mark:
        raise LiftError("the field 'answer' has no #### before its result")
    return _reasoned(_text(row, "question"), reasoning.strip(), answer.strip())


def kodcode(row: Row) -> dict[str, Any]:
    """KodCode/KodCode-Light-RL-10K: the first human and the first gpt turn of `conversations`.

    A gpt turn's <think> becomes <reasoning>; without either all of it counts as reasoning. What it lacks comes from
    other fields: the question from `question`, the answer from `r1_solution` or else `solution`.
    """
    turns = row.get("conversations")
    question = _first_turn(turns, "human") or _text(row, "question").strip()
    text = _first_turn(turns, "gpt").replace("<think>", "<reasoning>").replace("</think>", "</reasoning>")
    has_reasoning = "<reasoning>" in text and "</reasoning>" in text
    if has_reasoning and "<answer>" in text and "</answer>" in text:
        return _pair(question, text)
    code = _text(row, "r1_solution" if row.get("r1_solution") else "solution").strip()
    if has_reasoning:
        return _pair(question, f"{text}\n<answer>{code}</answer>")
    return _reasoned(question, text, code)


def lift_sft_12k(row: Row) -> dict[str, Any]:
    """divelab/LIFT-SFT-12K and divelab/dllm: `question`, the first of `thinking_trajectories` if any, `sol`."""
    traces = _list(row, "thinking_trajectories")
    trace = traces[0] if traces else ""
    if not isinstance(trace, str):
        raise LiftError("the field 'thinking_trajectories' holds no text")
    return _reasoned(_text(row, "question"), trace, _text(row, "sol"))


def messages(row: Row) -> dict[str, Any]:
    """Conversations: `messages`, a list of {role, content}, the last the assistant's; `tools`, `documents` if any."""
    return {"messages": _list(row, "messages"), **_context(row)}


def prompt_completion(row: Row) -> dict[str, Any]:
    """`prompt` and `completion`, each a string or a list of messages; `tools` and `documents` if any."""
    return {"prompt": _present(row, "prompt"), "completion": _present(row, "completion"), **_context(row)}


DATA_FORMATS: Mapping[str, Callable[[Row], dict[str, Any]]] = {
    "s1k": s1k,
    "s1k-1.1": s1k_1_1,
    "gsm8k": gsm8k,
    "kodcode": kodcode,
    "lift-sft-12k": lift_sft_12k,
    "messages": messages,
    "prompt-completion": prompt_completion,
}

FRAMED_FORMATS = tuple(name for name in DATA_FORMATS if name not in ("messages", "prompt-completion"))
"""Those that put `SYSTEM_PROMPT` in front of each question."""


def check_data_format(name: str) -> None:
    """Raise LiftError, with the list of names, unless `name` is one of `DATA_FORMATS`."""
    if name not in DATA_FORMATS:
        raise LiftError(f"data_format must be one of {', '.join(DATA_FORMATS)}, got {name!r}.")


def apply_data_format(name: str, row: Row, where: str) -> dict[str, Any]:
    """Return the row as `prompt` and `completion`, or as `messages`.

    Raises: LiftError that names the row (`where`), the field and the format, if the field is missing or unusable.
    """
    try:
        return DATA_FORMATS[name](row)
    except LiftError as error:
        raise LiftError(
            f"{where} does not have the format {name!r}: {error}; repair or remove the row, or choose another "
            "data_format."
        ) from None


def _reasoned(question: str, trace: str, answer: str) -> dict[str, Any]:
    return _pair(question, f"<reasoning>{trace}</reasoning>\n<answer>{answer}</answer>")


def _pair(question: str, completion: str) -> dict[str, Any]:
    return {"prompt": f"{SYSTEM_PROMPT}\n\n{question}", "completion": completion}


def _context(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("tools", "documents") if row.get(name) is not None}


def _first_turn(turns: Any, speaker: str) -> str:
    listed = turns if isinstance(turns, list) else []
    texts = (turn.get("value") for turn in listed if isinstance(turn, Mapping) and turn.get("from") == speaker)
    return next((text.strip() for text in texts if isinstance(text, str)), "")


def _present(row: Row, name: str) -> Any:
    if row.get(name) is None:
        raise LiftError(f"the field {name!r} is {'null' if name in row else 'missing'}")
    return row[name]


def _text(row: Row, name: str) -> str:
    value = _present(row, name)
    if not isinstance(value, str):
        raise LiftError(f"the field {name!r} must be a string, got {type(value).__name__}")
    return value


def _list(row: Row, name: str) -> list[Any]:
    value = _present(row, name)
    if not isinstance(value, list):
        raise LiftError(f"the field {name!r} must be a list, got {type(value).__name__}")
    return value
