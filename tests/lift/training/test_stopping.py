"""A signal stops a run between two steps, with a checkpoint that another run goes on from to the bit."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch
from transformers import TrainerCallback

from lift import LiftTrainer
from lift.errors import Interrupted
from lift.tasks import sudoku
from lift.training.checkpoints import newest_checkpoint
from lift.training.stopping import StopOnSignal
from tests.lift.support.tiny import tiny_config, tiny_model, uneven_rows
from tests.lift.support.trainers import weights

HANDLED = (signal.SIGINT, signal.SIGTERM)
NEVER_BETTER = {
    "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "best", "metric_for_best_model": "loss",
    "learning_rate": 0.0,
}  # fmt: skip


class Send(TrainerCallback):
    """Sends a signal to this process in a step, as a user does, or where `event` says."""

    def __init__(self, number: int, *, step: int, event: str = "on_pre_optimizer_step", times: int = 1) -> None:
        def send(args, state, control, **kwargs):
            if state.global_step == step:
                for _ in range(times):
                    os.kill(os.getpid(), number)

        setattr(self, event, send)


def run(tmp_path, *callbacks, resume: bool = False, **options) -> tuple[LiftTrainer, StopOnSignal]:
    stop = StopOnSignal()
    defaults = {"max_steps": 6, "per_device_train_batch_size": 3, "optim": "adamw_torch"}
    trainer = LiftTrainer(
        model=tiny_model(dropout=0.2), args=tiny_config(tmp_path, **defaults | options),
        train_dataset=uneven_rows(10), eval_dataset=uneven_rows(5), processing_class=sudoku.build_tokenizer(),
        callbacks=[stop, *callbacks],
    )  # fmt: skip
    with stop:
        trainer.train(resume_from_checkpoint=resume)
    return trainer, stop


@pytest.mark.parametrize(
    ("number", "options", "step"),
    [
        (signal.SIGINT, {}, 3),
        (signal.SIGTERM, {"gradient_accumulation_steps": 2}, 1),
        (signal.SIGINT, {"eval_strategy": "steps", "eval_steps": 2}, 2),
        (signal.SIGTERM, {"eval_strategy": "epoch", "save_strategy": "epoch"}, 3),
        (signal.SIGINT, {"eval_strategy": "epoch"}, 4),
        (signal.SIGTERM, NEVER_BETTER, 3),
    ],
    ids=["mid-epoch", "accumulated", "evaluation due", "epochs: mid-epoch", "epochs: end of epoch", "best"],
)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path, number, options, step):
    before = [signal.getsignal(n) for n in HANDLED]
    whole, _ = run(tmp_path / "whole", **options)
    out = tmp_path / "stopped"
    trainer, stop = run(out, Send(number, step=step - 1), **options)
    assert (stop.stopped_at, stop.signal, trainer.state.global_step) == (step, number, step)
    assert newest_checkpoint(out) == out / f"checkpoint-{step}"
    assert [signal.getsignal(n) for n in HANDLED] == before
    resumed, stop = run(out, resume=True, **options)
    assert stop.stopped_at is None and resumed.state.global_step == 6
    assert all(torch.equal(a, b) for a, b in zip(weights(resumed.model), weights(whole.model), strict=True))
    evaluations = [[e["eval_loss"] for e in t.state.log_history if "eval_loss" in e] for t in (resumed, whole)]
    assert evaluations[0] == evaluations[1]


def test_what_was_trained_since_the_last_entry_is_logged(tmp_path):
    trainer, _ = run(tmp_path, Send(signal.SIGINT, step=3), logging_steps=100)
    assert [entry["step"] for entry in trainer.state.log_history if "loss" in entry] == [1, 4]


def test_the_checkpoint_is_whole_and_stays_beside_the_best_one(tmp_path):
    options = {
        "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1, "save_total_limit": 1,
        "load_best_model_at_end": True, "metric_for_best_model": "loss", "save_only_model": True,
        "learning_rate": 0.0,  # so that the first is the best
    }  # fmt: skip
    trainer, _ = run(tmp_path, Send(signal.SIGINT, step=3), **options)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-4"]
    assert (tmp_path / "checkpoint-4" / "optimizer.pt").is_file()
    assert {name: getattr(trainer.args, name) for name in options if name.startswith(("save", "load"))} == {
        name: value for name, value in options.items() if name.startswith(("save", "load"))
    }


def test_a_second_signal_leaves_at_once_and_so_does_the_first_before_a_step(tmp_path):
    before = [signal.getsignal(n) for n in HANDLED]
    for send, status in (
        (Send(signal.SIGINT, step=2, times=2), 130),
        (Send(signal.SIGTERM, step=2, times=2), 143),
        (Send(signal.SIGTERM, step=0, event="on_train_begin"), 143),
        (Send(signal.SIGINT, step=6, event="on_train_end"), 130),  # on_train_end of StopOnSignal comes first
    ):
        with pytest.raises(Interrupted) as error:
            run(tmp_path, send)
        assert error.value.status == status and not list(tmp_path.glob("checkpoint-*"))
        assert [signal.getsignal(n) for n in HANDLED] == before


def test_the_first_is_noticed_at_once(tmp_path, capfd):
    run(tmp_path, Send(signal.SIGTERM, step=0))
    assert "stopping after this step; a second signal leaves at once" in capfd.readouterr().err


def test_in_the_last_step_there_is_nothing_to_stop(tmp_path):
    trainer, stop = run(tmp_path, Send(signal.SIGINT, step=5))
    assert stop.stopped_at is None and trainer.state.global_step == 6 and not list(tmp_path.glob("checkpoint-*"))


def test_all_processes_stop_where_one_was_asked_to(tmp_path, monkeypatch):
    """The other process gets a signal in its second step."""
    stop, sent = StopOnSignal(), [0, signal.SIGTERM]

    def all_reduce(number, op):
        assert op == torch.distributed.ReduceOp.MAX
        number.clamp_(min=sent.pop(0))

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    args = tiny_config(tmp_path)
    monkeypatch.setattr(type(args), "world_size", 2)
    trainer = type("State", (), {"global_step": 1, "max_steps": 9})
    control = type("Control", (), {"should_save": False, "should_training_stop": False})
    stop.on_step_end(args, trainer, control)
    assert stop.stopped_at is None and not control.should_training_stop
    trainer.global_step = 2
    stop.on_step_end(args, trainer, control)
    assert (stop.stopped_at, stop.signal) == (2, signal.SIGTERM)
    assert control.should_training_stop and control.should_save


def test_other_threads_and_ignored_signals_are_left_alone(monkeypatch):
    before = [signal.getsignal(n) for n in HANDLED]
    seen = []

    def enter():
        with StopOnSignal():
            seen.extend(signal.getsignal(n) for n in HANDLED)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == before
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopOnSignal():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != before[1]
        assert [signal.getsignal(n) for n in HANDLED] == [signal.SIG_IGN, before[1]]
    finally:
        signal.signal(signal.SIGINT, before[0])


@pytest.mark.parametrize("number", HANDLED)
def test_the_workers_of_a_loader_survive_ctrl_c_and_end_by_sigterm(number):
    with StopOnSignal() as stop:
        worker = os.fork()
        if worker == 0:
            os.kill(os.getpid(), number)
            os._exit(7)
        _, status = os.waitpid(worker, 0)
    assert stop.signal == 0
    assert os.waitstatus_to_exitcode(status) == (7 if number == signal.SIGINT else -signal.SIGTERM)
