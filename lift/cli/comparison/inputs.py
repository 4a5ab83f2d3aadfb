"""What a run reads, as digests: files may be edited under the same name, and runs on other rows are not comparable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from lift.atomic_write import atomic_write
from lift.cli.comparison.plan import Plan
from lift.cli.comparison.runs import Run
from lift.cli.input_paths import PATHS
from lift.data.files import find_paths
from lift.errors import LiftError
from lift.models import resolve_package_path

# Of a model's folder, what a run starts from: not its checkpoints, pictures and records, to which others may add.
_OF_A_MODEL = (
    "config.json", "generation_config.json", "*.safetensors", "pytorch_model*.bin", "*.py", "tokenizer*", "*.model",
    "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*",
)  # fmt: skip
_OF_ROWS = ("**/*.arrow", "**/*.json")
_SIGNS = {("config.json", "tokenizer_config.json"): _OF_A_MODEL, ("state.json", "dataset_dict.json"): _OF_ROWS}
_WEIGHTS = (".safetensors", ".bin")
_PIECE, _NUM_PIECES = 1 << 20, 64  # of a file of weights: other weights differ everywhere, edited rows in one place


def write_inputs(plan: Plan, run: Run) -> None:
    """Keep the digests of the files that a run is about to read.

    Raises:
        LiftError: one of them cannot be read.
    """
    with atomic_write(_file(plan, run)) as file:
        file.write(json.dumps(_inputs_of(run), indent=2).encode() + b"\n")


def check_inputs(plan: Plan, run: Run) -> None:
    """Check that the files that a run has read are still as they were; those that are gone make no other rows.

    Raises:
        LiftError: one holds something else, so that the runs still to come would not be comparable.
    """
    try:
        before = json.loads(_file(plan, run).read_text("utf-8"))
    except (OSError, ValueError):
        return  # an earlier release kept none
    for flag, digest in _inputs_of(run).items():
        if before.get(flag, digest) != digest:
            raise LiftError(
                f"{flag} {', '.join(_values(run, flag))} is not what {run.name} in {plan.folder} has read, under the "
                "same name: put that back, or choose another --output_dir."
            )


def _file(plan: Plan, run: Run) -> Path:
    return plan.folder / "settings" / f"{run.name}.inputs.json"


def _inputs_of(run: Run) -> dict[str, str]:
    """Return the digest of what each flag names, by the flag; without those that name nothing here, as a Hub id."""
    found = {}
    for flag in (*PATHS, "eval_tasks", "eval_task_files"):
        if flag == "model_name_or_path" and run.start is not None:
            continue  # the comparison made it, by a run whose own inputs are kept
        names = _values(run, flag)
        if flag == "eval_tasks":
            names = [name.strip() for text in names for name in text.split(",")]
        elif flag == "eval_task_files":
            names = [name.partition("=")[2] for name in names]
        files = [file for name in names for file in _files(name)]
        if files:
            found[flag] = _digest(files)
    return found


def _values(run: Run, flag: str) -> list[str]:
    value = run.settings.get(flag)
    return list(map(str, value)) if isinstance(value, (list, tuple)) else [] if value is None else [str(value)]


def _files(name: str) -> Iterator[tuple[str, Path]]:
    """Yield the files that a value names, if it names any, each with what the digest calls it."""
    try:
        paths = find_paths(resolve_package_path(name))
    except (LiftError, OSError, ValueError):
        return  # a Hub id, the name of a template, a mapping; or the run will say that it is missing
    for path in paths:
        if not path.is_dir():
            yield path.name, path
            continue
        for signs, patterns in _SIGNS.items():
            if any((path / sign).is_file() for sign in signs):
                inside = {file for pattern in patterns for file in path.glob(pattern) if file.is_file()}
                yield from ((str(file.relative_to(path)), file) for file in sorted(inside))


def _digest(files: list[tuple[str, Path]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, path in files:
        try:
            known = path.stat()
            digest.update(f"{name}\0{_of_file(path, known.st_size, known.st_mtime_ns)}\0".encode())
        except OSError as error:
            raise LiftError(f"{path} cannot be read ({error.strerror}): let it be read, or leave it out.") from None
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _of_file(path: Path, size: int, changed: int) -> str:
    """Return the digest of a file, which one call reads again where its size or its time has changed."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        if path.suffix in _WEIGHTS and size > _PIECE * _NUM_PIECES:
            for number in range(_NUM_PIECES):  # the first has the head, which names the tensors
                file.seek(number * (size - _PIECE) // (_NUM_PIECES - 1))
                digest.update(file.read(_PIECE))
        else:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return digest.hexdigest()
