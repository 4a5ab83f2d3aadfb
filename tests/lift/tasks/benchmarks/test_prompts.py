"""The published words of each benchmark."""

from __future__ import annotations

import hashlib

import pytest

from lift.tasks.benchmarks import prompts


@pytest.mark.parametrize(
    ("prompt", "start", "end"),
    [
        (prompts.gsm8k({"question": "Q?"}), "You are a math expert. You will be given a question to solve. Solve it step by step. Wrap the final answer in a \\boxed{}. \nRespond in the following format:\n<reasoning>\n", "</reasoning>\n<answer>\n\\boxed{...}\n</answer>\n\nQ?"),
        (prompts.mathematics({"question": "Q?"}), "You are a math expert. You will be given a question to solve. Solve it step by step. Wrap the final answer in a \\boxed{}.\nRespond", '\\boxed{...}\n</answer>" \n\n\nQ?'),
        (prompts.countdown({"numbers": [30, 100, 93], "target": 23}), "Using only the provided numbers, create", "For example: \\boxed{a + b * c}Respond in the following format:\n<reasoning>\nYour reasoning here\n</reasoning>\n<answer>\n\\boxed{...}\n</answer>\n\nNumbers: [30, 100, 93]\nTarget: 23"),
        (prompts.sudoku({"puzzle": "3102200002100320"}), "\nPlease solve the following 4x4 Sudoku puzzle. The puzzle is", "<answer>\n[16-character solution string with no spaces or separators]\n</answer>\n\n\nSolve the following Sudoku puzzle: 3102200002100320\n"),
        (prompts.humaneval({"prompt": "def f():\n"}), "You are a coding expert. You will be given a coding problem to solve. Solve it step by step.\n\nRespond", "</reasoning>\n<answer>\n```python\nYour code here\n```\n</answer>\n\n\ndef f():\n"),
        (prompts.mbpp({"prompt": "Add.", "test_list": ["assert a", "assert b"]}), "You are a coding expert. You will be given a coding problem to solve. Solve it step by step. Ensure you wrap the answer in ```python```.\n\n", "\n\n\nAdd.\n\n Your code should pass the following tests:\n\nassert a\nassert b"),
    ],
)  # fmt: skip
def test_a_prompt_begins_and_ends_as_published(prompt, start, end):
    assert prompt.startswith(start) and prompt.endswith(end)


def test_the_words_in_front_are_the_published_ones():
    """Hashes of the system prompts in divelab/LIFT at b2cacc0, eval/*.py, as Python reads them."""
    published = {
        prompts._GSM8K: "f11d75a70609", prompts._MATH500: "3e82f3bac66b", prompts._COUNTDOWN: "a303f737bca2",
        prompts._SUDOKU: "758dc4e1b10c", prompts._MBPP: "f5b51f11e0b9", prompts._HUMANEVAL: "5ccf450afcc7",
    }  # fmt: skip
    for text, digest in published.items():
        assert hashlib.sha256(text.encode()).hexdigest()[:12] == digest
