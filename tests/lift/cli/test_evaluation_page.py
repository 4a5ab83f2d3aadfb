"""The page of evaluations, in a real browser where the machine has one."""

from __future__ import annotations

import pytest

from lift.cli.evaluation_page import page_data, write_evaluation_page

HOSTILE = '</script><img src="https://example.org/x" onerror="document.title = \'mine\'"><!-- ${title} $data'
RIGHT_TO_LEFT = "\u202eאבגד\u202c 42"
LONG = "lorem " * 20_000


def output(text, steps, *, correct=False, answer="7", ids=None, tokens=None):
    return {
        "text": text, "token_ids": ids or list(range(len(steps))), "unmask_step": steps, "forwards": max(steps) + 1,
        "tokens": tokens or len(steps), "seconds": 0.5,
        "verdict": {"correct": correct, "answer": answer, "reason": f"{answer}, not 18", "published": 1.0, "details": {"is_grid": True}},
    }  # fmt: skip


def record(outputs, *, task="lift_gsm8k", prompt="How many?", model="model"):
    """A run in which document n has the outputs[n]."""
    documents = [
        {"id": n, "prompt": f"{prompt} ({n})", "target": "18", "metrics": {"score": 0.0}, "outputs": of_document}
        for n, of_document in enumerate(outputs)
    ]
    return {
        "format": 1, "time": "2026-01-01T00:00:00Z", "command": "lift eval", "model": model,
        "model_info": {
            "device_name": "cpu", "dtype": "float32", "batch_rows": 8, "padding": "left, masked", "weights_digest": "ab",
            "sampling": {"gen_length": 4, "seed": 0, "top_k": None},
        },
        "git": {"commit": "c0ffee", "is_dirty": True}, "versions": {"torch": "2.13"},
        "tasks": [{
            "task": task, "num_documents": len(documents), "forwards_per_token": 0.5, "seconds": 65.0,
            "scores": [{"name": "score", "value": 0.25, "interval": [0.1, 0.5]}, {"name": "bits", "value": 3.5, "interval": None}],
            "token_text": {"0": "It", "1": " is", "2": " 18", "3": "</script>", "4": "<eos>"}, "documents": documents,
        }],
    }  # fmt: skip


def first_run():
    return record(
        [
            [output("It is 18</script>", [3, 2, 0, 1], correct=True, answer="18")],
            [output(HOSTILE, [0]), output(RIGHT_TO_LEFT, [0], answer=None)],
            [output(LONG, [-1, 0, 1, 2], ids=[4, 3, 2, 1], tokens=1)],
        ]
    )


def second_run():
    return record(
        [
            [output("It is 7", [0, 1, 2], answer="7")],
            [output("none", [0]), output("none", [0], answer=None)],
        ],
        model="other",
    )


def test_the_data_say_what_each_answer_came_to():
    data = page_data([("scores", first_run())])
    answers = [problem["answers"][0] for problem in data["problems"]]
    assert [answer["verdict"] for answer in answers] == ["right", "wrong", "none", "wrong"]
    assert [problem["name"] for problem in data["problems"]] == ["#0", "#1", "#1, answer 2", "#2"]
    assert (answers[0]["tokens"], answers[0]["steps"]) == ([0, 1, 2, 3], [3, 2, 0, 1])
    assert answers[0]["facts"] == "is_grid yes, score as published 1, tokens 4, forwards 4, seconds 0.50"
    assert data["scores"][0] == {
        "run": 0, "task": "lift_gsm8k", "n": "3", "metric": "score", "score": "25.00%", "interval": "10.0% to 50.0%",
        "range": [0.1, 0.25, 0.5], "per_token": "0.50", "time": "0:01:05",
    }  # fmt: skip
    assert data["scores"][1]["range"] is None
    assert data["runs"][0]["facts"]["commit"] == "c0ffee, with changes"
    assert data["runs"][0]["facts"]["sampling"] == "gen_length 4, seed 0"


def test_a_problem_that_one_run_lacks_and_prompts_that_differ():
    second = record([[output("7", [0])]], prompt="How much?")
    data = page_data([("a", first_run()), ("b", second)])
    both, one = data["problems"][:2]
    assert both["prompt"] == "How many? (0)" and both["answers"][1]["prompt"] == "How much? (0)"
    assert "prompt" not in both["answers"][0]
    assert one["answers"][1] is None


def test_likelihoods_of_continuations_are_one_answer_judged_by_the_metric():
    run = record([[{"text": " yes", "log_likelihood": [-1.5, True]}, {"text": " no", "log_likelihood": float("-inf")}]])
    run["tasks"][0]["documents"][0]["metrics"] = {"acc": 1.0}
    (problem,) = page_data([("a", run)])["problems"]
    assert problem["answers"][0]["choices"] == [["-1.500", " yes"], ["-inf", " no"]]
    assert problem["answers"][0]["verdict"] == "right"


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of some runs; at the end nothing has been complained of, and nothing been asked for."""
    complaints, requests, contexts = [], [], []

    def open_page(*runs, **options):
        path = tmp_path / "page.html"
        write_evaluation_page(path, runs)
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("details.problem")
        return page

    yield open_page
    assert not complaints
    assert all(url.startswith("file://") and url.endswith("page.html") for url in requests)
    for context in contexts:
        context.close()


def open_problem(page, number):
    """Opens a problem of the list, which the browser fills a moment later."""
    problem = page.locator(".problem").nth(number)
    problem.locator("summary").click()
    problem.locator(".runs").wait_for()
    return problem


def names(page):
    return page.locator(".problem .place").all_inner_texts()


def test_a_page_filters_by_verdict_and_text(opened):
    page = opened(("scores", first_run()))
    assert "25.00%" in page.inner_text("#scores") and "batch size 8" in page.inner_text("#scores")
    assert page.inner_text("#count") == "4 of 4 answers"
    page.select_option("select >> nth=1", "none")
    assert names(page) == ["lift_gsm8k #1, answer 2"]
    page.select_option("select >> nth=1", "wrong")
    assert page.inner_text("#count") == "2 of 4 answers"
    page.fill("input[type=search]", "LOREM")
    assert names(page) == ["lift_gsm8k #2"]
    page.fill("input[type=search]", "nowhere")
    assert names(page) == []


def test_an_answer_is_opened_by_the_keyboard_and_replayed(opened):
    page = opened(("scores", first_run()))
    page.focus(".problem summary >> nth=0")
    page.keyboard.press("Enter")
    shown = page.locator(".problem >> nth=0")
    shown.locator(".runs").wait_for()
    for text in ("How many? (0)", "18", "✓ right", "18, not 18", "It is 18</script>", "score as published 1"):
        assert text in shown.inner_text()
    tokens, slider = shown.locator(".token"), shown.locator("input[type=range]")
    assert tokens.all_inner_texts() == ["It", " is", " 18", "</script>"] and shown.locator(".masked").count() == 0
    assert shown.locator("output").inner_text() == "step 4 of 4"
    slider.focus()
    masked = []
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
        masked.append(shown.locator(".masked").all_inner_texts())
    assert masked == [["It"], ["It", " is"], ["It", " is", "</script>"], ["It", " is", " 18", "</script>"]]
    page.keyboard.press("ArrowRight")
    assert shown.locator(".new").all_inner_texts() == [" 18"]
    shown.get_by_role("button").click()
    shown.get_by_text("step 4 of 4").wait_for()


def test_whatever_a_model_wrote_stays_text(opened):
    run = first_run()
    run["model"] = run["tasks"][0]["documents"][0]["prompt"] = HOSTILE
    page = opened((HOSTILE, run))
    problems = [open_problem(page, number) for number in range(4)]
    assert page.title() == f"Evaluation of {HOSTILE}" and page.locator("img").count() == 0
    outputs = page.locator("[aria-label=Output]").all_text_contents()
    assert outputs == ["It is 18</script>", HOSTILE, RIGHT_TO_LEFT, LONG]
    assert page.locator("[aria-label=Prompt]").first.text_content() == HOSTILE
    # Behind the end and in padding there are marks in place of tokens.
    assert problems[3].locator(".token").all_text_contents() == ["<eos>", "▪", "▪", "▪"]


def test_two_runs_side_by_side_and_where_they_differ(opened):
    page = opened(("here", first_run()), ("there", second_run()))
    assert "A is here" in page.inner_text("#scores") and "B is there" in page.inner_text("#scores")
    assert page.inner_text("#count") == "4 of 4 answers"
    page.check("input[type=checkbox]")
    assert names(page) == ["lift_gsm8k #0", "lift_gsm8k #2"]
    page.select_option("select >> nth=2", "wrong")
    assert names(page) == ["lift_gsm8k #0"]
    assert page.locator(".problem .verdict").all_inner_texts() == ["A ✓ right", "B ✗ wrong"]
    left, right = open_problem(page, 0).locator(".runs > section").all()
    assert "A · here" in left.inner_text() and "It is 18</script>" in left.inner_text()
    assert "B · there" in right.inner_text() and "It is 7" in right.inner_text()
    a, b = left.bounding_box(), right.bounding_box()
    assert a["y"] == b["y"] and a["x"] + a["width"] <= b["x"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_in_one_direction_only(opened, scheme):
    page = opened(
        ("here", first_run()), ("there", second_run()), viewport={"width": 390, "height": 800}, color_scheme=scheme
    )
    shown = open_problem(page, 0)
    open_problem(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    left, right = (section.bounding_box() for section in shown.locator(".runs > section").all())
    assert left["y"] + left["height"] <= right["y"]
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light == (scheme == "light")


def test_a_long_list_comes_in_parts(opened):
    page = opened(("scores", record([[output("x", [0])] for _ in range(205)])))
    assert page.locator(".problem").count() == 200
    page.click("#more")
    assert page.locator(".problem").count() == 205 and not page.is_visible("#more")
