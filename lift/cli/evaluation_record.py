"""`evaluation.json` of `lift eval`: how a run was made, its scores, and every prompt, output and verdict."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lift.atomic_write import atomic_write
from lift.errors import LiftError
from lift.evaluation.summary import VERDICTS, summarise

FILE = "evaluation.json"

# Flags that change no answer.
_OF_THE_START = ("output_dir", "batch_size", "trust_remote_code", "run_generated_code")

Record = dict[str, Any]


def task_record(
    results: Mapping[str, Any], answers: Mapping[tuple[str, int], Record], tokenizer: Any, seconds: float
) -> Record:
    """Return what a task came to.

    Args:
        results: of lm-eval's `simple_evaluate` on one task.
        answers: by prompt and copy, what the model wrote.
        tokenizer: of the model, for the text of each token.
        seconds: that the task took in this run; answers that were kept count what they took before.
    """
    ((task, samples),) = results["samples"].items()
    # Processes come one after another, and the draws of an interval go by place.
    samples = sorted(samples, key=lambda sample: int(sample["doc_id"]))
    scores = summarise(samples, results["results"][task])
    documents = [_document(sample, answers) for sample in _first_of_each(samples)]
    outputs = [output for document in documents for output in document["outputs"] if "tokens" in output]
    num_tokens = sum(output["tokens"] for output in outputs)
    used = sorted({token for output in outputs for token in output["token_ids"]})
    return {
        "task": task,
        "num_documents": len(documents),
        "scores": [
            {"name": score.name, "value": score.value, "interval": score.interval and list(score.interval)}
            for score in scores
        ],
        "forwards_per_token": sum(output["forwards"] for output in outputs) / num_tokens if num_tokens else None,
        "seconds": max(seconds, sum(output["seconds"] for output in outputs)),
        "config": json.loads(json.dumps(results["configs"][task], default=str)),
        "token_text": {str(token): tokenizer.decode([token]) for token in used},
        "documents": documents,
    }


def check_free(folder: Path, command: str, settings: Record) -> None:
    """Check that a folder has no record, or one of the same settings, which may be made again.

    Args:
        folder: of the run.
        command: that makes it; it stands for the settings in records of an earlier release, which have none.
        settings: as `settings_of` returns them.

    Raises:
        LiftError: the record there would be lost; the sentence says what differs.
    """
    if not (folder / FILE).exists():
        return
    before = read_record(folder)
    if "settings" not in before:
        if before.get("command") != command:
            raise LiftError(f"{folder} holds the evaluation of {before.get('command')}: choose another --output_dir.")
        return
    old = before["settings"]
    names = [name for name in dict.fromkeys([*old, *settings]) if old.get(name) != settings.get(name)]
    if names:
        changes = ", ".join(f"{name} {_told(old.get(name))}, not {_told(settings.get(name))}" for name in names)
        raise LiftError(f"{folder} holds an evaluation with {changes}: choose another --output_dir.")


def settings_of(values: Mapping[str, Any]) -> Record:
    """Return what a score depends on of the parsed flags of `lift eval`, as JSON gives it back."""
    kept = {name: value for name, value in values.items() if name not in _OF_THE_START and value not in (None, [])}
    if Path(kept["model"]).exists():
        kept["model"] = str(Path(kept["model"]).absolute())
    return dict(json.loads(json.dumps(kept, default=str)))


def _told(value: Any) -> str:
    return "unset" if value is None else str(value)


def write_record(
    folder: Path, command: str, model: str, model_info: Record, tasks: Sequence[Record], settings: Record | None = None
) -> None:
    """Write the record of a run into its folder, whole or not at all.

    Args:
        folder: of the run.
        command: that made it.
        model: its name or folder.
        model_info: what its scores should be stated with.
        tasks: those of `task_record`.
        settings: those of `settings_of`, by which `check_free` knows the run again.
    """
    from lift.cli.run_environment import software  # loads torch, which reading a record does without

    record = {
        "format": 1,
        "time": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "command": command,
        "model": model,
        **({} if settings is None else {"settings": settings}),
        "model_info": model_info,
        **software(),
        "tasks": list(tasks),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / FILE) as file:
        file.write(json.dumps(record, ensure_ascii=False, default=str).encode())


def read_record(folder: str | Path) -> Record:
    """Return the record of a run from its folder, or from its file.

    Raises: LiftError if there is none.
    """
    path = Path(folder)
    path = path / FILE if path.is_dir() else path
    try:
        record = json.loads(path.read_text("utf-8"))
        assert record["format"] == 1
    except (OSError, ValueError, KeyError, TypeError, AssertionError):
        raise LiftError(f"{path} is no record of lift eval: name the output_dir of one.") from None
    return dict(record)


def _first_of_each(samples: Sequence[Record]) -> list[Record]:
    """Return one sample a document, in their order: lm-eval has one for each filter."""
    return list({sample["doc_id"]: sample for sample in reversed(samples)}.values())[::-1]


def _document(sample: Record, answers: Mapping[tuple[str, int], Record]) -> Record:
    prompt, verdicts = sample["arguments"][0][0], sample.get(VERDICTS, ())
    if isinstance(sample["resps"][0][0], str):
        texts = [text for text in sample["filtered_resps"][0]] if verdicts else list(sample["resps"][0])
        outputs: list[Record] = [{"text": text} | answers.get((prompt, copy), {}) for copy, text in enumerate(texts)]
    else:  # likelihoods of one or several continuations
        outputs = [
            {"text": str(arguments[-1]), "log_likelihood": response[0]}
            for arguments, response in zip(sample["arguments"], sample["resps"], strict=True)
        ]
    for output, verdict in zip(outputs, verdicts, strict=False):
        output["verdict"] = verdict
    return {
        "id": sample["doc_id"],
        "prompt": prompt,
        "target": sample["target"],
        "metrics": {name: sample[name] for name in sample["metrics"] if name != VERDICTS},
        "outputs": outputs,
    }
