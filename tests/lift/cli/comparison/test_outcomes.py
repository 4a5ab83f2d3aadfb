"""What judges runs follows from what their histories hold."""

from __future__ import annotations

from lift.cli.comparison.outcomes import outcomes_of, series
from tests.lift.cli.comparison.support import history

SCORED = [
    {"step": step, "seconds": step, "eval_gsm_n": 100, "eval_gsm_score": step / 10, "eval_gsm_score_low": 0.0,
     "eval_gsm_score_as_published": 0.9, "eval_gsm_score_as_published_low": 0.0, "eval_gsm_runtime": 1.0}
    for step in (0, 2, 4)
]  # fmt: skip
OTHER = [
    {
        "step": 4,
        "eval_arc_n": 9,
        "eval_arc_acc": 0.5,
        "eval_arc_acc_low": 0.1,
        "eval_arc_acc_norm": 0.6,
        "eval_arc_perplexity": 7.0,
        "eval_arc_perplexity_low": 6.0,
    }
]


def test_decoded_answers_come_before_likelihood():
    lines = [*history(4, 1.0, 0.25), *SCORED]
    solved, score, loss = outcomes_of([lines, lines], task="sudoku", has_common_loss=True)
    assert (solved.label, score.label, loss.label) == ("puzzles solved (%)", "gsm score", "held-out SFT loss (nats)")
    assert [point.value for point in series(lines, solved)] == [0, 25]
    assert [(point.step, point.seconds, point.value) for point in series(lines, score)] == [
        (0, 0, 0),
        (2, 2, 0.2),
        (4, 4, 0.4),
    ]
    assert [point.value for point in series(lines, loss)] == [2.0, 1.5, 1.0]
    assert solved.more_is_better and score.more_is_better and not loss.more_is_better


def test_a_task_without_a_verdict_of_ours_is_judged_by_what_has_an_interval():
    (found,) = outcomes_of([OTHER], task=None, has_common_loss=False)
    assert found.name == "arc_acc" and series(OTHER, found)[0].value == 0.5


def test_what_some_runs_lack_judges_none():
    assert [one.name for one in outcomes_of([SCORED, history(4, 1.0, 0.5)], task=None, has_common_loss=True)] == [
        "loss"
    ]
    assert outcomes_of([], task=None, has_common_loss=False) == []


def test_what_is_no_number_is_no_point():
    lines = [
        {"step": 0, "eval_loss": 2.0},
        {"step": 1, "eval_loss": None},
        {"step": 2, "eval_loss": 1.0, "seconds": None},
    ]
    (loss,) = outcomes_of([lines], task=None, has_common_loss=True)
    assert [(point.step, point.value) for point in series(lines, loss)] == [(0, 2.0), (2, 1.0)]
