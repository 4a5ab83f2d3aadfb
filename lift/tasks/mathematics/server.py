"""A process that compares answers: it loads sympy once, and forks for each question, so that none can hold it up.

Started as a module; questions and answers are lines of JSON on standard input and output. A child that uses up its time
or memory is killed by the kernel, in the middle of whatever it does: the answer is then null.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import select
import signal
import sys
import time
from typing import Any

# Of CPU, so that a busy machine changes no verdict; the other limit is for a child that waits. What is published has no
# limit; it counts as hanging after five seconds.
CPU_SECONDS = {"verify": 0.8, "judge_as_published": 5.0}
WALL_SECONDS = 20.0
MEMORY_BYTES = 4 << 30
# Parsers build much on first use: what this process has compared, no child builds again. One pair after each answer, so
# that nobody waits for all of them; until then a child has the time for it. What was slow for a child comes as well.
_FIRST = (
    ("\\frac{1}{2}", "-3.5"), ("(x+1)^2", "2x^2-\\sqrt{3}y"), ("[-2,7]", "(-\\infty,2)\\cup(3,\\pi)"),
    ("3,4", "1 \\pm i"),
    ("\\text{Evelyn}", "12\\text{ units}"), ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\binom{4}{2}"),
    ("y=2x+3", "\\log_2 8 + \\sin 30^\\circ"), ("x \\le 3", "5!"),
)  # fmt: skip
_FIRST_SECONDS = 1.2
_WORTH_LEARNING = (0.1, 0.4)  # seconds of CPU; more than that would keep the next question waiting


def serve() -> None:
    """Answer questions until standard input ends."""
    logging.disable(logging.CRITICAL)  # math-verify warns of the limit on time that this process does without
    import math_verify  # noqa: F401  # before the first fork

    num_compared = dict.fromkeys(CPU_SECONDS, 0)
    for line in sys.stdin:
        question = json.loads(line)
        what = question["do"]
        is_new = num_compared[what] < len(_FIRST)
        answer, seconds = _in_a_child(question, CPU_SECONDS[what] + (_FIRST_SECONDS if is_new else 0.0))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        if answer is not None and _WORTH_LEARNING[0] < seconds < _WORTH_LEARNING[1]:
            _answer(question)
        if is_new:
            key, other = _FIRST[num_compared[what]]
            _answer({"do": what, "key": key, "answer": other})
            num_compared[what] += 1


def _in_a_child(question: dict[str, str], cpu_seconds: float) -> tuple[Any, float]:
    """Return the answer, None where the child ended without one, and the seconds of CPU that it took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # nobody handles its signal, which then kills
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.write(writing, json.dumps(_answer(question)).encode())
        finally:
            os._exit(0)  # past what the parent would clean up, and past an error, which is no answer
    os.close(writing)
    said = b""
    deadline = time.monotonic() + WALL_SECONDS
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(reading, 4096)
        if not chunk:
            break
        said += chunk
    os.kill(child, signal.SIGKILL)
    _, _, usage = os.wait4(child, 0)
    os.close(reading)
    return json.loads(said) if said else None, usage.ru_utime + usage.ru_stime


def _answer(question: dict[str, str]) -> bool:
    if question["do"] == "judge_as_published":
        from lift.tasks.mathematics.published_judge import is_right

        return is_right(question["key"], question["answer"])
    return _is_equal(question["key"], question["answer"])


def _is_equal(key: str, answer: str) -> bool:
    from math_verify import parse, verify

    wanted = [_exact(part) for part in parse(f"${key}$", parsing_timeout=None)]
    found = [_exact(part) for part in parse(f"\\boxed{{{answer}}}", parsing_timeout=None)]
    # An inequality and the interval that it says are equal in either direction.
    return bool(verify(wanted, found, timeout_seconds=None, allow_set_relation_comp=True))


def _exact(value: Any) -> Any:
    """Return an expression whose decimals are exact: rounded ones are equal to what they round, otherwise."""
    from sympy import Float, Rational

    if isinstance(value, str):
        return value
    decimals = value.atoms(Float)
    return value.xreplace({decimal: Rational(str(decimal)) for decimal in decimals}) if decimals else value


if __name__ == "__main__":
    serve()
