"""Programs in outputs: which text is the program, and what is run for it."""

from __future__ import annotations

import pytest

from lift.confinement.seccomp import unsupported
from lift.errors import LiftError
from lift.tasks import judge_program, score_program_as_published

runs = pytest.mark.skipif(bool(unsupported()), reason=unsupported() or "runs")

HUMANEVAL = {
    "prompt": "from typing import List\n\n\ndef helper(x: int) -> int:\n    return x + 1\n\n\n"
    'def add_one(xs: List[int]) -> List[int]:\n    """Add one to each."""\n',
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate([1, 2]) == [2, helper(2)]\n",
    "entry_point": "add_one",
}
MBPP = {"test_imports": ["import math"], "test_list": ["assert math.isclose(half(3), 1.5)", "assert half(0) == 0"]}
ANSWER = "def add_one(xs: List[int]) -> List[int]:\n    return [helper(x) for x in xs]\n"


def fenced(code: str, language: str = "python") -> str:
    return f"Some words.\n<answer>\n```{language}\n{code}```\n</answer><|eot_id|>```python\nraise\n```"


def is_right(task: str, output: str, **changes: object) -> bool:
    reference = {**(HUMANEVAL if task == "humaneval" else MBPP), **changes}
    return judge_program(task, output, reference, run_generated_code=True).correct


@runs
def test_a_humaneval_answer_is_judged_with_the_imports_and_helpers_of_its_prompt():
    assert is_right("humaneval", fenced(ANSWER))
    assert is_right("humaneval", fenced(ANSWER, ""))
    assert is_right("humaneval", "```python\n" + ANSWER)  # cut off behind the function
    assert not is_right("humaneval", fenced(ANSWER.replace("helper(x)", "x")))
    assert not is_right("humaneval", fenced("def add(xs):\n    return xs\n"))


@runs
def test_a_continuation_of_the_prompt_is_a_program_as_well():
    assert is_right("humaneval", "    return [x + 1 for x in xs]\n<|endoftext|>junk(")
    assert not is_right("humaneval", "    return xs\n")
    assert judge_program("humaneval", " \n", HUMANEVAL, run_generated_code=True).reason == "no program"


@runs
def test_the_last_block_that_defines_something_counts():
    first, last = "def half(x):\n    return x\n", "def half(x):\n    return x / 2\n"
    assert is_right(
        "mbpp", f"```python\n{first}```\nNo:\n```python\n{last}```\nUse it:\n```python\nprint(half(3))\n```"
    )
    assert not is_right("mbpp", f"```python\n{last}```\nNo:\n```python\n{first}```")
    assert is_right("mbpp", last)  # without a block
    assert not is_right("mbpp", "I cannot.")


@runs
def test_an_answer_that_equals_everything_is_wrong_in_mbpp_too():
    program = "class Yes:\n    __eq__ = lambda *_: True\ndef half(x):\n    return Yes()\n"
    assert not is_right("mbpp", fenced(program), test_imports=[], test_list=["assert half(3) == 1.5"])
    assert is_right("mbpp", fenced("y = 4\ndef half(x):\n    return x / 2\n"), test_setup_code="root = 2")


@runs
def test_the_published_scorer_tests_the_first_function_of_the_first_block():
    def published(task: str, output: str) -> float:
        return score_program_as_published(
            task, output, HUMANEVAL if task == "humaneval" else MBPP, run_generated_code=True
        )

    right = "def half(x):\n    return x / 2\n"
    assert published("mbpp", fenced(right)) == 1
    assert published("mbpp", fenced(right, "")) == 0
    assert published("mbpp", right) == 0
    whole = (
        "from typing import List\ndef add_one(xs):\n    return [x + 1 for x in xs]\ndef helper(x):\n    return x + 1\n"
    )
    assert published("humaneval", fenced(whole)) == 1
    assert (
        published("humaneval", fenced("def helper(x):\n    return x + 1\n" + whole)) == 0
    )  # right, and tested on a helper
    assert is_right("humaneval", fenced("def helper(x):\n    return x + 1\n" + whole))


def test_code_is_run_only_where_the_user_says_so(monkeypatch):
    monkeypatch.setattr("lift.tasks.programs.run_program", None)
    for function in (judge_program, score_program_as_published):
        with pytest.raises(LiftError, match=r"runs code that a model wrote.*run_generated_code=True"):
            function("mbpp", fenced("def half(x): ..."), MBPP)


def test_bad_rows_are_named():
    with pytest.raises(LiftError, match="a row of humaneval must have prompt and test and entry_point"):
        judge_program("humaneval", "", MBPP, run_generated_code=True)
    with pytest.raises(LiftError, match="no programs to judge in the task 'gsm8k'"):
        judge_program("gsm8k", "", {}, run_generated_code=True)
