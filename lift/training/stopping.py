"""Stop a training run between two steps when the operating system asks for it, with a checkpoint to go on from."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, Self

import torch
from transformers import TrainerCallback

from lift.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"\nstopping after this step; a second signal leaves at once\n"


class StopOnSignal(TrainerCallback):
    """SIGINT and SIGTERM stop a run after the step under way, with a checkpoint, whatever `save_strategy`.

    It handles them as a context manager, in the main thread alone; a signal that was ignored stays so. The checkpoint
    holds all that the uninterrupted run would have at this step, an evaluation that was due too, so that a resumed run
    is the same run. All processes of a launch stop at the same step, where any of them got a signal. A second signal,
    or one where no step is under way, raises `Interrupted` at once. A signal in the last step of a run stops nothing.

        with StopOnSignal() as stop:
            LiftTrainer(..., callbacks=[stop]).train()
        if stop.stopped_at is not None: ...
    """

    stopped_at: int | None = None
    """The optimiser step after which the run was stopped; None where it was not."""

    signal: int = 0
    """The signal that asked for it; 0 where none did."""

    def __init__(self) -> None:
        self._in_step = self._speaks = False
        self._saved_at: int | None = None
        self._replaced: dict[int, Any] = {}
        self._arguments: dict[str, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may set a handler
            self._process = os.getpid()
            handlers = {number: signal.getsignal(number) for number in _SIGNALS}
            # What is ignored (nohup, a shell's background) or not Python's own is left as it is.
            self._replaced = {n: old for n, old in handlers.items() if old not in (None, signal.SIG_IGN)}
            for number in self._replaced:
                signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        for number, old in self._replaced.items():
            signal.signal(number, old)
        self._replaced = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A worker of a loader has inherited the handler. A terminal's Ctrl-C goes to it too, and must not take the
            # rows of the step under way; SIGTERM is how the loader ends it.
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        if self.signal or not self._in_step:
            for handled in self._replaced:
                signal.signal(handled, signal.SIG_DFL)  # a third ends even what never comes back to Python
            raise Interrupted(number)
        self.signal = number
        if self._speaks:
            with suppress(OSError):
                os.write(2, _NOTICE)  # a buffered stream may be in the middle of a write

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take note that there is something to finish and to save."""
        self._in_step, self._speaks = True, state.is_world_process_zero

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop where a process was asked to."""
        number = self._of_all_processes(args)
        if number and state.global_step < state.max_steps:
            self.signal, self.stopped_at = number, state.global_step
            control.should_log = control.should_save = control.should_training_stop = True
            # The checkpoint is there to go on from: it must be whole, and no better one may take its place.
            limit = args.save_total_limit
            self._set(
                args, save_only_model=False, load_best_model_at_end=False, save_total_limit=2 if limit == 1 else limit
            )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take note of the checkpoint."""
        self._saved_at = state.global_step

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Do what belongs to the end of an epoch only where it has ended, and save what was not saved yet."""
        if self.stopped_at is None:
            return
        if not float(state.epoch).is_integer():
            control.should_log = control.should_evaluate = control.should_save = False
        # save_strategy=best drops a checkpoint that is not the best; an evaluation changes random states and the best.
        if control.should_evaluate or self._saved_at != self.stopped_at:
            control.should_save = True

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give the arguments their values back; from here on a signal leaves at once."""
        self._in_step = False
        self._set(args, **self._arguments)

    def _set(self, args: Any, **values: Any) -> None:
        self._arguments = {name: getattr(args, name) for name in values}
        for name, value in values.items():
            setattr(args, name, value)

    def _of_all_processes(self, args: Any) -> int:
        """Return the signal that any process got, the same in all of them; 0 where none did."""
        if args.world_size == 1:
            return self.signal
        number = torch.tensor(self.signal, device=args.device)
        torch.distributed.all_reduce(number, op=torch.distributed.ReduceOp.MAX)
        return int(number)
