"""The page of `lift eval` and `lift compare`: what it shows of a run's record, or of several on the same problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lift.cli.evaluation_record import Record
from lift.cli.evaluation_table import duration, figure, interval_in_words, is_share, remarks, setting_in_words
from lift.report import write_page

FILE = "evaluation.html"


def write_evaluation_page(path: Path, runs: Sequence[tuple[str, Record]]) -> None:
    """Write the page of some runs, of which each has a name and a record; several stand side by side."""
    models = " and ".join(dict.fromkeys(str(record["model"]) for _, record in runs))
    write_page(path, f"Evaluation of {models}", page_data(runs))


def page_data(runs: Sequence[tuple[str, Record]]) -> dict[str, Any]:
    """Return what the page shows, as plain data.

    A problem is a document and the number of its answer; the same one in another run has the same task, number and key.
    """
    problems: dict[Any, dict[str, Any]] = {}
    for number, (_, record) in enumerate(runs):
        for task in record["tasks"]:
            for document in task["documents"]:
                for copy, answer in enumerate(_answers(document)):
                    problem = problems.setdefault(
                        (task["task"], document["id"], str(document["target"]), copy),
                        {
                            "task": task["task"],
                            "name": f"#{document['id']}" + (f", answer {copy + 1}" if copy else ""),
                            "prompt": document["prompt"],
                            "target": str(document["target"]),
                            "answers": [None] * len(runs),
                        },
                    )
                    other = {} if document["prompt"] == problem["prompt"] else {"prompt": document["prompt"]}
                    problem["answers"][number] = answer | other
    return {
        "runs": [
            {"name": name, "note": setting_in_words(record["model_info"]), "facts": _facts(record)}
            for name, record in runs
        ],
        "remarks": list(dict.fromkeys(remark for _, record in runs for remark in remarks(record["tasks"]))),
        "scores": [
            _score(number, task, score)
            for number, (_, record) in enumerate(runs)
            for task in record["tasks"]
            for score in task["scores"]
        ],
        "texts": [
            {token: text for task in record["tasks"] for token, text in task["token_text"].items()}
            for _, record in runs
        ],
        "problems": list(problems.values()),
    }


def _score(run: int, task: Record, score: Record) -> dict[str, Any]:
    value, interval = score["value"], score["interval"]
    per_token = task["forwards_per_token"]
    return {
        "run": run,
        "task": task["task"],
        "n": str(task["num_documents"]),
        "metric": score["name"],
        "score": figure(value, interval),
        "interval": interval_in_words(interval),
        "range": [interval[0], value, interval[1]] if is_share(value, interval) else None,
        "per_token": "" if per_token is None else f"{per_token:.2f}",
        "time": duration(task["seconds"]),
    }


def _facts(record: Record) -> dict[str, str]:
    git, info = record["git"], record["model_info"]
    sampling = {
        name: set_to for name, set_to in info["sampling"].items() if set_to not in (None, []) and set_to is not False
    }
    return {
        "command": record["command"],
        "time": record["time"],
        "model": record["model"],
        "weights": info["weights_digest"],
        "commit": "" if git is None else git["commit"] + (", with changes" if git["is_dirty"] else ""),
        "versions": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        "sampling": ", ".join(f"{name} {value}" for name, value in sampling.items()),
    }


def _answers(document: Record) -> list[dict[str, Any]]:
    """Return the answers to a document; the likelihoods of its continuations are one."""
    outputs = document["outputs"]
    if any("log_likelihood" in output for output in outputs):
        choices = [[_likelihood(output["log_likelihood"]), output["text"]] for output in outputs]
        text = "\n".join(output["text"] for output in outputs)
        return [_answer(document, {"text": text}) | {"choices": choices}]
    return [_answer(document, output) for output in outputs]


def _answer(document: Record, output: Record) -> dict[str, Any]:
    verdict = output.get("verdict", {})
    answer = {
        "verdict": _verdict(document, verdict),
        "answer": verdict.get("answer"),
        "reason": verdict.get("reason", ""),
        "text": output["text"],
        "facts": _in_words(document, output, verdict),
    }
    if output.get("unmask_step"):
        answer |= {"tokens": output["token_ids"], "steps": output["unmask_step"], "written": output["tokens"]}
    return answer


def _verdict(document: Record, verdict: Record) -> str:
    """Return right, wrong, none (no answer) or unjudged; without a judge, by the document's first metric."""
    if verdict:
        return "right" if verdict["correct"] else "none" if verdict["answer"] is None else "wrong"
    first = next(iter(document["metrics"].values()), None)
    return "right" if first == 1 else "wrong" if first == 0 else "unjudged"


def _in_words(document: Record, output: Record, verdict: Record) -> str:
    facts: dict[str, Any] = dict(verdict.get("details", {}))
    if "published" in verdict:
        facts["score as published"] = f"{verdict['published']:g}"
    if not verdict:
        facts |= document["metrics"]
    if "forwards" in output:
        facts |= {"tokens": output["tokens"], "forwards": output["forwards"], "seconds": f"{output['seconds']:.2f}"}
    shown = {True: "yes", False: "no"}
    return ", ".join(f"{name} {shown[value] if isinstance(value, bool) else value}" for name, value in facts.items())


def _likelihood(response: Any) -> str:
    """Return the figure of lm-eval's answer to a request: a number, or a pair with whether greedy decoding agrees."""
    value = response[0] if isinstance(response, Sequence) else response
    return f"{value:.3f}" if math.isfinite(value) else str(value)
