"""The table of `lift eval`."""

from __future__ import annotations

from lift.cli.evaluation_table import table

INFO = {"device_name": "cpu", "dtype": "bfloat16", "batch_rows": 8, "padding": "left, masked"}


def test_a_row_for_each_score_and_what_they_depend_on_below():
    tasks = [
        {
            "task": "lift_aime24", "num_documents": 30, "forwards_per_token": 0.5, "seconds": 3723.4,
            "scores": [
                {"name": "score", "value": 0.0333, "interval": [0.0059, 0.1667]},
                {"name": "score_as_published", "value": 0.1, "interval": [0.0346, 0.2562]},
            ],
        },
        {
            "task": "text", "num_documents": 2, "forwards_per_token": None, "seconds": 5.04,
            "scores": [{"name": "perplexity", "value": 312.25, "interval": None}],
        },
    ]  # fmt: skip
    assert table(tasks, INFO).splitlines() == [
        "task          n  metric               score  95 % interval  forwards/token     time",
        "-----------------------------------------------------------------------------------",
        "lift_aime24  30  score                3.33%  0.6% to 16.7%            0.50  1:02:03",
        "                 score_as_published  10.00%  3.5% to 25.6%",
        "text          2  perplexity           312.2                                   5.0 s",
        "",
        "device cpu, dtype bfloat16, batch size 8, padding: left, masked",
        "score is the right verdict, score_as_published LIFT's own scorer: never compare one with the other.",
    ]
