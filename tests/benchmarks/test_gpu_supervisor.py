"""Workers that finish, crash, hang and run late, played by a script without torch."""

from __future__ import annotations

import sys
import time

import pytest

from benchmarks.gpu import supervisor, worker
from benchmarks.gpu.worker import Order

# Says what the tasks of its order tell it to: a word each.
WORKER = """
import json, os, sys, time
order, log = json.loads(sys.argv[1]), open(sys.argv[2], "a")
def emit(**event): log.write(json.dumps(event) + "\\n"); log.flush()
if "die at once" in order["tasks"][0]: sys.exit("no driver")
for task in order["tasks"]:
    emit(event="begin", task=task)
    for provider in ("fine", "bad"):
        if "provider" in task and provider not in order["skip"]:
            emit(event="at", provider=provider)
            if provider == "bad": print("illegal memory access", file=sys.stderr); os._exit(3)
    if "crash" in task: emit(event="crash", sentence="CUDA error", traceback="where"); sys.exit(3)
    if "kill" in task: os.kill(os.getpid(), 9)
    if "hang" in task: time.sleep(60)
    emit(event="end", task=task, record={"skip": order["skip"]})
    if "leave" in task: sys.exit(3)
    if "quit" in task: sys.exit(0)
"""


class Book:
    def __init__(self) -> None:
        self.records: dict[str, dict] = {}
        self.dropped_tasks: list[str] = []
        self.crashes: list[tuple] = []
        self.ticks = 0

    def record(self, order, task, record):
        assert task not in self.records
        self.records[task] = record

    def dropped(self, order, task):
        self.dropped_tasks.append(task)

    def crashed(self, order, task, provider, crash):
        self.crashes.append((task, provider, crash))

    def tick(self):
        self.ticks += 1


def order(*tasks: str, job: str = "job") -> Order:
    return Order("accuracy", job, tasks, time.time() + 60, "torch")


@pytest.fixture
def run(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)

    def run(*orders: Order, seconds: float = 30, task_seconds: float = 20, num_workers: int = 2) -> Book:
        book = Book()
        supervisor.run_in_processes(
            orders, book, num_workers=num_workers, stop_at=time.time() + seconds, task_seconds=task_seconds,
            command=lambda order, log: [sys.executable, "-S", str(script), order.to_json(), str(log)],
        )  # fmt: skip
        return book

    return run


def test_orders_that_finish_are_recorded_once(run):
    book = run(order("a", "b"), order("c", job="other"), order("d"), num_workers=2)
    assert set(book.records) == {"a", "b", "c", "d"} and not book.crashes and not book.dropped_tasks
    assert book.ticks > 0


@pytest.mark.parametrize("how", ["crash", "kill"])
def test_after_a_crash_the_other_tasks_run(run, how):
    book = run(order("a", how, "b"))
    assert set(book.records) == {"a", "b"}
    ((task, provider, crash),) = book.crashes
    assert (task, provider) == (how, None)
    assert crash["sentence"] == ("CUDA error" if how == "crash" else "the process ended with status -9")


def test_a_task_whose_provider_crashed_begins_again_without_it(run):
    book = run(order("provider", "b"))
    assert book.records == {"provider": {"skip": ["bad"]}, "b": {"skip": ["bad"]}}
    ((task, provider, crash),) = book.crashes
    assert (task, provider) == ("provider", "bad") and "illegal memory access" in crash["traceback"]


def test_a_worker_that_ends_between_tasks_is_followed_by_another(run):
    book = run(order("leave", "b", "quit", "c", "leave again"))
    assert set(book.records) == {"leave", "b", "quit", "c", "leave again"} and not book.dropped_tasks
    assert [task for task, *_ in book.crashes] == [None, None, None]


def test_a_worker_that_never_begins_is_not_started_for_ever(run):
    book = run(order("die at once", "b"), order("c"))
    assert set(book.records) == {"c"} and book.dropped_tasks == ["die at once", "b"]
    ((task, _, crash),) = book.crashes
    assert task is None and "no driver" in crash["traceback"]


def test_a_hung_task_is_stopped_and_the_next_one_runs(run):
    book = run(order("a", "hang", "b"), task_seconds=0.7)
    assert set(book.records) == {"a", "b"}
    ((task, _, crash),) = book.crashes
    assert task == "hang" and crash["sentence"] == "nothing was heard for 1 s, so it was stopped"


def test_when_time_is_up_the_rest_is_dropped_and_nothing_is_lost(run):
    start = time.monotonic()
    book = run(order("a", "hang", "b"), order("c"), seconds=0.8, num_workers=1)
    assert time.monotonic() - start < 10
    assert set(book.records) == {"a"} and not book.crashes
    assert sorted(book.dropped_tasks) == ["b", "c", "hang"]


def test_workers_are_stopped_when_the_run_is_interrupted(tmp_path):
    log = tmp_path / "alive"
    code = f"import time\nwhile True: open({str(log)!r}, 'a').write('.'); time.sleep(0.02)"

    class Impatient(Book):
        def tick(self):
            if log.exists():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        supervisor.run_in_processes(
            [order("a")], Impatient(), num_workers=1, stop_at=time.time() + 20, task_seconds=20,
            command=lambda *_: [sys.executable, "-S", "-c", code],
        )  # fmt: skip
    size = log.stat().st_size
    time.sleep(0.1)
    assert log.stat().st_size == size


def test_the_real_worker_writes_what_the_supervisor_reads():
    from benchmarks.gpu import checks
    from benchmarks.gpu.setting import Setting

    first = checks.jobs(Setting.here(is_smoke=True, backend="torch"))["graph"][0].name
    tasks = (first, "no such check")
    book = Book()
    only = Order("accuracy", "graph", tasks, time.time() + 60, "torch", is_smoke=True)
    supervisor.run_in_processes([only], book, num_workers=1, stop_at=time.time() + 60, task_seconds=50)
    assert set(book.records) == {first} and book.records[first]["check"] == first
    ((task, _, crash),) = book.crashes
    assert task == "no such check" and crash["sentence"] == "KeyError: 'no such check'"


def test_tasks_that_would_end_too_late_are_dropped(monkeypatch):
    monkeypatch.setattr(worker, "_runner", lambda *_: lambda task: time.sleep(0.2) or {"task": task})
    events = []
    worker.execute(Order("accuracy", "job", tuple("abcde"), time.time() + 0.5, "torch"), events.append)
    kinds = {kind: [event["task"] for event in events if event["event"] == kind] for kind in ("end", "dropped")}
    assert kinds["end"] + kinds["dropped"] == list("abcde")
    assert len(kinds["end"]) == 2  # a third would begin in time, but end after it


def test_an_order_survives_json():
    original = Order("timing", "t", ("a",), 1.5, "triton", True, {"op": {"default": "green"}}, ("quack",))
    assert Order.from_json(original.to_json()) == original
