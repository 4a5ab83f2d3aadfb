"""Verdicts on the answers to one document, as the metrics that lm-eval collects.

Importing this makes the model `lift` known to lm-eval: so `lm_eval --model lift --tasks FILE` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lift.evaluation.extra_answer import without_extra
from lift.evaluation.registration import register_model
from lift.statistics import pass_at_k
from lift.tasks.judging import judge, score_as_published
from lift.tasks.programs import judge_program, score_program_as_published
from lift.tasks.verdict import Verdict

register_model()

Document = Mapping[str, Any]
Scores = dict[str, Any]

_K = 16  # of the paper's AIME figure


def keep_all(responses: Sequence[Sequence[str]], _documents: Any) -> list[list[str]]:
    """Hand on all answers of each document, a filter of lm-eval, without those that only keep processes busy."""
    return [without_extra(answers) for answers in responses]


def gsm8k(document: Document, results: Sequence[Any]) -> Scores:
    return _scores(document, results, *_of("gsm8k"))


def math500(document: Document, results: Sequence[Any]) -> Scores:
    return _scores(document, results, *_of("math500"))


def aime24(document: Document, results: Sequence[Any]) -> Scores:
    return _with_pass_at_k(_scores(document, results, *_of("aime24")))


def aime25(document: Document, results: Sequence[Any]) -> Scores:
    return _with_pass_at_k(_scores(document, results, *_of("aime25")))


def countdown(document: Document, results: Sequence[Any]) -> Scores:
    return _scores(document, results, *_of("countdown"))


def sudoku(document: Document, results: Sequence[Any]) -> Scores:
    """Add to the share of valid grids that of keys, cells as (right, empty), and whether there was a grid at all."""
    found = _scores(document, results, *_of("sudoku_4x4"))
    details = [verdict["details"] for verdict in found["verdicts"]]
    empty = sum(detail["empty"] for detail in details)
    published = sum(verdict["published"] for verdict in found["verdicts"])
    return found | {
        "score_as_published": (published, empty),
        "match": sum(detail["match"] for detail in details) / len(details),
        "cells": (sum(detail["cells"] for detail in details), empty),
        "no_grid": sum(not detail["is_grid"] for detail in details) / len(details),
    }


def humaneval(document: Document, results: Sequence[Any]) -> Scores:
    """Judge programs by running them: lm-eval has refused the task by now without --confirm_run_unsafe_code."""
    return _scores(document, results, *_of_programs("humaneval"))


def mbpp(document: Document, results: Sequence[Any]) -> Scores:
    """As `humaneval`."""
    return _scores(document, results, *_of_programs("mbpp"))


def pooled_share(pairs: Sequence[tuple[float, float]]) -> float:
    """Return all that is right of all there is: (right, total) of each document."""
    return sum(right for right, _ in pairs) / max(1, sum(total for _, total in pairs))


def number_of_verdicts(verdicts: Sequence[Sequence[Any]]) -> int:
    """Return how many answers were judged."""
    return sum(len(of_document) for of_document in verdicts)


Judge = Callable[[str, Document], Verdict]
PublishedScore = Callable[[str, Document], float]


def _of(task: str) -> tuple[Judge, PublishedScore]:
    return (
        lambda output, row: judge(task, output, row),
        lambda output, row: score_as_published(task, output, row),
    )


def _of_programs(task: str) -> tuple[Judge, PublishedScore]:
    return (
        lambda output, row: judge_program(task, output, row, run_generated_code=True),
        lambda output, row: score_program_as_published(task, output, row, run_generated_code=True),
    )


def _scores(document: Document, results: Sequence[Any], judged: Judge, published: PublishedScore) -> Scores:
    answers = [results[0]] if isinstance(results[0], str) else list(results[0])
    verdicts: list[dict[str, Any]] = []
    for answer in answers:
        verdict = judged(answer, document)
        verdicts.append(
            {
                "correct": verdict.correct,
                "answer": verdict.answer,
                "reason": verdict.reason,
                "published": published(answer, document),
                "details": dict(verdict.details),
            }
        )
    return {
        "score": sum(verdict["correct"] for verdict in verdicts) / len(verdicts),
        "score_as_published": sum(verdict["published"] for verdict in verdicts) / len(verdicts),
        "verdicts": verdicts,
    }


def _with_pass_at_k(scores: Scores) -> Scores:
    """Add pass@16, unbiased; where there are fewer answers than that, there is no estimate."""
    correct = [verdict["correct"] for verdict in scores["verdicts"]]
    return scores | ({f"pass@{_K}": pass_at_k(len(correct), sum(correct), _K)} if len(correct) >= _K else {})
