"""Tasks, by name: those that make their own data to train on, and judges of what a model wrote. Each is imported only
when it is chosen.

Adding one is a folder `lift/tasks/NAME` with the modules that `lift.tasks.registry` names, and its name in `TASKS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.confinement import run_program
    from lift.tasks.judging import JUDGES, judge, score_as_published
    from lift.tasks.programs import PROGRAM_TASKS, judge_program, score_program_as_published
    from lift.tasks.protocol import Metrics, Task
    from lift.tasks.registry import TASKS, open_task, share_solved, show_answer, task_arguments, tasks_with_flag
    from lift.tasks.verdict import Verdict

__all__ = [
    "JUDGES",
    "PROGRAM_TASKS",
    "TASKS",
    "Metrics",
    "Task",
    "Verdict",
    "judge",
    "judge_program",
    "open_task",
    "run_program",
    "score_as_published",
    "score_program_as_published",
    "share_solved",
    "show_answer",
    "task_arguments",
    "tasks_with_flag",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
