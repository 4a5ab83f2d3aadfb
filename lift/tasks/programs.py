"""Judge programs that a model wrote, of HumanEval and MBPP: confined, and only where the user says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lift.confinement import run_program
from lift.errors import LiftError
from lift.tasks.reading import find_code
from lift.tasks.reading.final_answer import cut_at_end_token
from lift.tasks.verdict import Verdict, check_row

PROGRAM_TASKS = ("humaneval", "mbpp")
_FIELDS = {"humaneval": ("prompt", "test", "entry_point"), "mbpp": ("test_list",)}


def judge_program(
    task: str, output: str, reference: Mapping[str, Any], *, run_generated_code: bool = False, seconds: float = 10.0
) -> Verdict:
    """Judge the program in an output by its tests, in a confined child (`lift.tasks.run_program`).

    Args:
        task: "humaneval" or "mbpp".
        output: the model's text; the last block of Python in it counts. For humaneval, text without a block continues
            the prompt, as lm-eval's task asks for.
        reference: fields of the row: `prompt`, `test`, `entry_point` (humaneval), or `test_list`, and where there are
            any `test_imports` and `test_setup_code` (mbpp).
        run_generated_code: must be True: code that a model wrote is run.
        seconds: until a program is stopped.
    Raises: LiftError without the flag, for another task, a row that lacks a field, or where code cannot be confined.
    """
    if task not in PROGRAM_TASKS:
        raise LiftError(f"no programs to judge in the task {task!r}: use one of {', '.join(PROGRAM_TASKS)}.")
    check_row(task, reference, _FIELDS[task])
    if not run_generated_code:
        raise _not_allowed(task)
    code = find_code(output)
    if task == "humaneval":
        entry = str(reference["entry_point"])
        program = _humaneval_program(str(reference["prompt"]), output, code, entry)
        tests = f"{reference['test']}\n\ncheck({entry})\n"
    else:
        program = code
        tests, entry = _mbpp_tests(reference, code or "")
    if program is None:
        return Verdict(False, None, "no program")
    outcome = run_program(program, tests, entry, seconds)
    reason = {"pass": "all tests pass", "fail": "a test fails", "timeout": f"stopped after {seconds:g} s"}[outcome]
    return Verdict(outcome == "pass", program, reason)


def score_program_as_published(
    task: str, output: str, reference: Mapping[str, Any], *, run_generated_code: bool = False, seconds: float = 10.0
) -> float:
    """Return what the published scorer of LIFT counts, 1 or 0; its programs are confined here as well.

    The first block that opens with ```` ```python ```` counts, wherever it stands, without the prompt's imports and
    helpers; humaneval tests the first function in it, which may be a helper.
    """
    if not run_generated_code:
        raise _not_allowed(task)
    blocks = re.findall(r"```python\n(.*?)```", output, re.DOTALL)
    if not blocks:
        return 0.0
    if task == "humaneval":
        function = re.search(r"def (\w+)\(", blocks[0])
        test = str(reference["test"])
        if function is None or "def" not in test:
            return 0.0
        tests = f"{test[test.index('def') :]}\n\ncheck({function[1]})\n"
    else:
        tests = _mbpp_tests(reference, "")[0]
    return float(run_program(blocks[0], tests, "", seconds) == "pass")


def _humaneval_program(prompt: str, output: str, code: str | None, entry: str) -> str | None:
    """Return the prompt's imports and helpers with the answer, or the prompt with its continuation."""
    if code is not None and re.search(rf"^(?:async )?def {re.escape(entry)}\b", code, re.MULTILINE):
        start = re.search(rf"^(?:async )?def {re.escape(entry)}\b", prompt, re.MULTILINE)
        return (prompt[: start.start()] if start else "") + code
    continuation = cut_at_end_token(output) if code is None else code
    return prompt + continuation if continuation.strip() else None


def _mbpp_tests(reference: Mapping[str, Any], code: str) -> tuple[str, str]:
    """Return the tests, and the function that they call, empty where the answer does not define it."""
    asserts: Sequence[str] = reference["test_list"]
    lines = [*reference.get("test_imports", ()), str(reference.get("test_setup_code") or ""), *asserts]
    defined = set(re.findall(r"^(?:async )?def (\w+)", code, re.MULTILINE))
    called = [
        node.func.id
        for node in ast.walk(ast.parse("\n".join(asserts)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined
    ]
    return "\n".join(lines) + "\n", called[0] if called else ""


def _not_allowed(task: str) -> LiftError:
    return LiftError(f"{task} runs code that a model wrote, in a confined child: allow it by run_generated_code=True.")
