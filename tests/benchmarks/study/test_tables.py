from __future__ import annotations

from benchmarks.study.comparisons import runs_of
from benchmarks.study.plan import FULL
from benchmarks.study.predictions import PREDICTIONS
from benchmarks.study.tables import differences_table, likelihood_table, methods_table, predictions_table, starts_table
from tests.benchmarks.study.lines import made_lines


def cells(table):
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]


def test_predicted_and_found_stand_side_by_side_and_the_primaries_are_corrected():
    # A gain as large as the noise between half-way models, so that p values are neither 0 nor 1.
    runs = runs_of(made_lines({("fsa", "lift3"): 0.05, ("fsa", "hard"): 0.05, ("sort6_short", "lift3"): -0.2}))
    rows = cells(predictions_table(runs, PREDICTIONS))
    assert len(rows) == len(PREDICTIONS) and all(len(row) == 10 for row in rows)
    by_name = {(row[0], row[1], row[2]): row for row in rows}
    against_sft = by_name["fsa", "answers, one token a step", "lift3 - sft"]
    assert against_sft[3:5] == ["better (+7.7)", "better"] and against_sft[5].startswith("+5.0 [+4.9")
    assert against_sft[9] == "20 of 20" and "Holm" not in against_sft[6]
    assert by_name["sort6_short", "answers, one token a step", "lift3 - sft"][4] == "worse"
    assert sum("Holm" in row[6] for row in rows) == 2


def test_what_the_correction_takes_and_where_runs_disagree_is_said():
    lines = made_lines({})
    for line in lines:
        job = line["job"]
        if (job.get("setting"), job["method"]) == ("fsa", "lift3"):
            # By half-way model p is a little below 0.05, which Holm doubles: the other primary finds nothing.
            line["found"]["answers"] = 0.4 + (0.01, 0.02, 0.03, 0.05, 0.005)[job["start"]]
        if (job.get("setting"), job["method"]) == ("depth", "hard"):
            line["found"]["answers"] = 0.4 + (0.04, -0.02, 0.03, 0.05, 0.03)[job["start"]]
    rows = cells(predictions_table(runs_of(lines), PREDICTIONS))
    by_name = {(row[0], row[2]): row[4] for row in rows if row[1] == "answers, one token a step"}
    assert by_name["fsa", "lift3 - sft_x1.22 (**primary**)"] == "better, not after correction"
    assert by_name["depth", "hard - sft"] == "alike, by run better"


def test_a_study_in_part_leaves_cells_empty():
    runs = runs_of(made_lines({}))
    part = {job: found for job, found in runs.items() if job.setting == "sort6" and job.method in ("sft", "lift3")}
    rows = cells(predictions_table(part, PREDICTIONS))
    assert [row[2] for row in rows if row[4]] == ["lift3 - sft"]
    assert [row[0] for row in cells(methods_table(part, "sort6", FULL.methods, ["answers", "nll"]))] == ["sft", "lift3"]


def test_methods_stand_beside_sft_of_equal_steps():
    rows = {
        row[0]: row
        for row in cells(
            methods_table(
                runs_of(made_lines({("fsa", "hard"): 0.1})), "fsa", [*FULL.methods, *FULL.beside], ["answers", "nll"]
            )
        )
    }
    assert rows["sft"][1:3] == ["20", "40.0"]
    assert rows["hard"][2].startswith("50.0<br>+10.0 [")
    assert rows["cart"][1] == "5"


def test_methods_stand_beside_those_that_they_are_to_be_compared_with():
    runs = runs_of(made_lines({("fsa", "hard"): 0.1, ("fsa", "lift3"): 0.05}))
    pairs = [("hard", "sft_x1.34"), ("hard", "lift3"), ("hard", "not run")]
    rows = cells(differences_table(runs, "fsa", pairs, ["answers", "nll"]))
    assert [row[0] for row in rows] == ["hard - sft_x1.34", "hard - lift3"] and all(len(row) == 3 for row in rows)
    assert rows[0][1] == "+10.0" and rows[1][1] == "+5.0"  # the noise of made lines is that of the run


def test_likelihood_and_starts_are_listed():
    lines = made_lines({})
    assert cells(likelihood_table(runs_of(lines), "fsa", ["sft"])) == [
        ["sft", "0.1000", "0.2000", "0.3000", "0.4000", "0.5000"]
    ]
    rows = cells(starts_table(lines, FULL))
    assert len(rows) == 15 and rows[-1] == ["sort6", "4", "160", "12.0%", "30.0%", "11.0%"]
