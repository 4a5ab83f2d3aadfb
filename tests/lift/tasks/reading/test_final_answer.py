"""Which part of an output is its answer."""

from __future__ import annotations

import time

import pytest

from lift.tasks.reading import find_answer, find_phrase, plain_text


def read(output: str) -> str | None:
    found = find_answer(output)
    return found.box if found.box is not None else found.text.strip()


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("<answer>1</answer> x <answer>2</answer> 3", "2"),
        ("<ANSWER>1</Answer>", "1"),
        ("<answer>1</answer> x <answer>2", "1"),  # the last complete one
        ("<answer>draft <answer>2</answer>", "2"),
        ("<answer>1</answer> 2 </answer>", "1"),
        ("x <answer>2", "2"),
        ("x <answer>2</answer}", "2"),
        ("whole", "whole"),
        ("no block</answer> \\boxed{3}", "3"),
        ("\\boxed{1} <answer> \n</answer> \\boxed{2}", "1"),
        ("\\boxed{1} <answer>2</answer>", "2"),
        ("<answer>\\boxed{1} or \\boxed{2}</answer>", "2"),
        ("<answer>1<|im_end|>2</answer>", "1"),
        ("1<|eot_id|>2", "1"),
        ("１２＋３", "12+3"),
    ],
)
def test_blocks_and_end_tokens(output, answer):
    assert read(output) == answer


@pytest.mark.parametrize(
    ("output", "box"),
    [
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1\\}}", "\\{1\\}"),
        ("\\boxed {7}", "7"),
        ("\\boxed 7.", "7."),
        ("\\boxed\\frac12$", "\\frac12"),
        ("\\fbox{7}", "7"),
        ("\\boxed{\\boxed{7}}", "7"),
        ("\\boxed{\\text{a \\fbox{b} c}}", "b"),
        ("\\boxed{7", "7"),
        ("\\boxed{7> junk", "7"),
        ("\\boxed{7\nnext line", "7"),
        ("\\boxed{\\frac{1}{2}\nnext", "\\frac{1}{2}"),
        ("\\boxed{5} then \\boxed{...}", "5"),
        ("\\boxed{5} then \\boxed{}", "5"),
        ("\\boxed{5} then \\boxed{\\ldots}", "5"),
        ("\\boxed{5} then \\boxed{your answer here}", "5"),
        ("\\boxed{…}", None),
        ("\\boxedfoo{7}", None),
        ("boxed{7}", None),
    ],
)
def test_boxes(output, box):
    assert find_answer(output).box == box


def test_nfkc_makes_no_other_number():
    assert plain_text("3½") == "3 1/2"
    assert plain_text("10²") == "10^{2}"
    assert plain_text("x⁻¹²") == "x^{-12}"
    assert plain_text("1\u202f000 \u2212 5") == "1 000 - 5"


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("The answer is 3.5. So", "3.5"),
        ("answer is 1. The final answer is: 2", "2"),
        ("**Answer:** 18 eggs\nmore", "18 eggs"),
        ("The answer is\n 7", "7"),
        ("answers are 3", None),
        ("The answer is", None),
    ],
)
def test_phrases(text, phrase):
    assert find_phrase(text) == phrase


def test_reading_is_linear_in_the_text():
    def seconds(output: str) -> float:
        start = time.process_time()
        find_answer(output)
        return time.process_time() - start

    for piece in ("\\boxed{", "<answer>", "<answer></answer>", "\\boxed ", "{", "\\boxed{}"):
        assert seconds(piece * 20_000) < 0.7
