"""Tasks that make their own data and check their own answers, by name. A task is imported only when it is chosen.

Adding one is a folder `lift/tasks/NAME` with the modules that `lift.tasks.registry` names, and its name in `TASKS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lift.lazy_face import lazy_face

if TYPE_CHECKING:
    from lift.tasks.protocol import Metrics, Task
    from lift.tasks.registry import TASKS, open_task, show_answer, task_arguments, tasks_with_flag

__all__ = [
    "TASKS",
    "Metrics",
    "Task",
    "open_task",
    "show_answer",
    "task_arguments",
    "tasks_with_flag",
]

__getattr__, __dir__ = lazy_face(__name__, __file__)
