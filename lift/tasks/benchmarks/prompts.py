"""What a benchmark asks: the words of LIFT's published evaluation (github.com/divelab/LIFT, MIT), in the user's turn.

An answer begins behind `<reasoning>`, as there. Two differ: AIME's, which does not run there, has MATH500's words; and
HumanEval's shows the whole prompt, as a docstring alone does not name the function that is tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]

_ANSWER = "<reasoning>\nYour reasoning here\n</reasoning>\n<answer>\n{}\n</answer>"
_BOXED = _ANSWER.format("\\boxed{...}")
_CODE = _ANSWER.format("```python\nYour code here\n```")

_MATHEMATICS = (
    "You are a math expert. You will be given a question to solve. Solve it step by step. Wrap the final answer in a "
    "\\boxed{}."
)
# One blank and one newline are the published ones: the texts of the two sets differ in them.
_GSM8K = f"{_MATHEMATICS} \nRespond in the following format:\n{_BOXED}"
_MATH500 = f'{_MATHEMATICS}\nRespond in the following format:\n{_BOXED}" \n'
_COUNTDOWN = (
    "Using only the provided numbers, create an arithmetic expression that evaluates to exactly the provided target "
    "number. You may use the operations +, -, *, and / as needed, but each number must be used exactly once. Think "
    "step-by-step. After reasoning, provide only your final expression inside \\boxed{} tags without including an "
    "equals sign or the target number. For example: \\boxed{a + b * c}Respond in the following format:\n" + _BOXED
)
_SUDOKU = (
    "\nPlease solve the following 4x4 Sudoku puzzle. The puzzle is provided as a 16-character string reading "
    "left-to-right, top-to-bottom, where '0' represents empty cells.\n\nRules:\n- Fill empty cells with digits 1-4\n"
    "- Each row must contain digits 1-4 exactly once\n- Each column must contain digits 1-4 exactly once\n- Each 2x2 "
    "box must contain digits 1-4 exactly once\n\nImportant: Your solution must be a COMPLETE 16-character string with "
    "only the digits 1-4, representing your final solved grid.\n\nRespond in this exact format:\n<reasoning>\nYour "
    "step-by-step solving process\n</reasoning>\n<answer>\n[16-character solution string with no spaces or "
    "separators]\n</answer>\n"
)
_CODING = "You are a coding expert. You will be given a coding problem to solve. Solve it step by step."
_HUMANEVAL = f"{_CODING}\n\nRespond in the following format:\n{_CODE}\n"
_MBPP = f"{_CODING} Ensure you wrap the answer in ```python```.\n\nRespond in the following format:\n{_CODE}\n"


def gsm8k(row: Row) -> str:
    return f"{_GSM8K}\n\n{row['question']}"


def mathematics(row: Row) -> str:
    """Ask a problem of MATH500 or AIME."""
    return f"{_MATH500}\n\n{row['question']}"


def countdown(row: Row) -> str:
    return f"{_COUNTDOWN}\n\nNumbers: {list(row['numbers'])}\nTarget: {row['target']}"


def sudoku(row: Row) -> str:
    return f"{_SUDOKU}\n\nSolve the following Sudoku puzzle: {row['puzzle']}\n"


def humaneval(row: Row) -> str:
    return f"{_HUMANEVAL}\n\n{row['prompt']}"


def mbpp(row: Row) -> str:
    tests = "\n".join(row["test_list"])
    return f"{_MBPP}\n\n{row['prompt']}\n\n Your code should pass the following tests:\n\n{tests}"
