"""The run of `lift sample`: prompts that go into a model, and answers that come to the screen or into a file."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from tqdm import tqdm

from lift.cli.animation import Animation
from lift.cli.answer_file import AnswerFile
from lift.cli.decoding_speed import DecodingSpeed, together
from lift.cli.sampling_flags import given_settings
from lift.cli.wanted_answers import find_wanted
from lift.data import PromptFrame
from lift.errors import LiftError
from lift.evaluation.answer_store import AnswerStore
from lift.evaluation.answers import Answer, Writer
from lift.evaluation.decoding import decoding_of
from lift.evaluation.loaded_model import load
from lift.evaluation.processes import Processes
from lift.evaluation.weights_digest import weights_digest
from lift.models.batches import BatchSize
from lift.models.training_record import training_record
from lift.report import save_unmasking
from lift.sampling import SamplingConfig
from lift.sampling.renoised import writes_by_renoising
from lift.tasks import show_answer

logger = logging.getLogger(__name__)


class SampleRun:
    """A model and what it is to complete.

    Args:
        options: the parsed flags.
        rows: of `read_prompts`.

    Raises: ValueError if the model cannot be loaded, or a prompt not be encoded.
    """

    def __init__(self, options: Any, rows: Sequence[dict[str, Any]]) -> None:
        self._options, self._rows = options, rows
        self._processes = Processes()
        if self._processes.world_size > 1 and options.output is None:
            raise LiftError("several processes answer into a file: pass --output.")
        self._batch_size = BatchSize(1 if options.output is None else options.batch_size)
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._loaded = load(
            options.model, tokenizer=options.tokenizer_name_or_path, dtype=options.dtype,
            trust_remote_code=options.trust_remote_code, mask_token_id=options.mask_token_id,
        )  # fmt: skip
        self._writer = Writer(self._loaded, self._batch_size, AnswerStore(None), "")
        self._record = training_record(self._loaded.model)
        self._frame = self._find_frame()
        self._config = self._find_config()
        self._wanted = list(
            find_wanted(rows, options.num_samples, self._loaded, self._frame, self._config, options.prompts)
        )
        if options.num_samples > 1 and not self._config.draws and not writes_by_renoising(self._loaded.model):
            logger.warning(
                "%d answers to each prompt are wanted, and at temperature 0 all are one: set temperature",
                options.num_samples,
            )
        self._speed = DecodingSpeed()

    def show(self) -> None:
        """Print each answer to stdout, and what there is to say of it to stderr."""
        start = time.perf_counter()
        for (row, _), prompt in self._wanted:
            text = self._rows[row]["prompt"]
            first = 0 if self._config.infill else len(prompt.ids)
            with Animation(
                self._console, self._loaded.tokenizer, self._loaded.mask_token_id, first,
                is_on=not self._options.no_animation, is_kept=self._options.save is not None,
            ) as animation:  # fmt: skip
                ((_, written),) = self._writer.answers([prompt], animation.show)
            answer = self._count(written)
            print(answer, flush=True)
            if not answer:
                logger.warning("the answer to %.80r is empty: the model wrote nothing but padding or end tokens", text)
            show_answer(self._record.get("task"), self._console, text, answer)
            if self._options.save is not None:
                save_unmasking(Path(self._options.save), animation.unmasking(text))
        self._say_speed(start)

    def write(self, path: Path) -> None:
        """Put the answers that are missing into a file; each process makes its share of them."""
        processes = self._processes
        prompts = [row["prompt"] for row in self._rows]
        file = AnswerFile(path, prompts, self._settings(), processes.rank, processes.barrier)
        missing = [wanted for wanted in self._wanted if wanted.name not in file.answers]
        own = missing[processes.rank :: processes.world_size]
        start = time.perf_counter()
        bar = tqdm(total=len(own), disable=processes.rank != 0 or not sys.stderr.isatty(), desc="answers")
        for number, answer in self._writer.answers([wanted.prompt for wanted in own]):
            name = own[number].name
            before = self._speed.tokens
            text = self._count(answer)
            fields = {"response": text, "num_tokens": self._speed.tokens - before, "num_forwards": answer.num_forwards}
            file.add(name, self._rows[name[0]], fields)
            bar.update()
        bar.close()
        file.merge([wanted.name for wanted in self._wanted])
        self._say_speed(start)
        processes.close()

    def _find_frame(self) -> PromptFrame:
        frame, system = PromptFrame.from_record(self._record), self._options.system
        if system is not None:
            return PromptFrame(system, frame.role if frame.system else "system")
        if frame.system and self._processes.rank == 0:
            self._console.print(
                f"as in training, each prompt follows the text {frame.system.strip()!r:.60} (--system '' for none)",
                markup=False,
            )
        return frame

    def _find_config(self) -> SamplingConfig:
        options = self._options
        config, remark = decoding_of(
            self._loaded, given_settings(options), sampler=options.sampler, reference_quirks=options.reference_quirks
        )
        if remark is not None and self._processes.rank == 0:
            self._console.print(remark, markup=False)
        return config

    def _settings(self) -> dict[str, Any]:
        """Return all that an answer depends on beside its prompt."""
        model, tokenizer = self._loaded.model, self._options.tokenizer_name_or_path
        return {
            "weights": weights_digest(model),
            "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
            "mask_token_id": self._loaded.mask_token_id,
            "system": self._frame.system,
            "num_samples": self._options.num_samples,
            **({} if tokenizer is None else {"tokenizer": tokenizer}),
        } | dataclasses.asdict(self._config)

    def _count(self, answer: Answer) -> str:
        """Return an answer as text, and count it."""
        if self._config.infill:
            tokens = sum(step >= 0 for step in answer.unmask_step)
            text = str(self._loaded.tokenizer.decode(answer.ids, skip_special_tokens=True))
        else:
            tokens, text = self._writer.num_tokens(answer), self._writer.text(answer)
        self._speed.answers += 1
        self._speed.tokens += tokens
        self._speed.steps += answer.num_forwards
        return text

    def _say_speed(self, start: float) -> None:
        self._speed.seconds, self._speed.calls = time.perf_counter() - start, self._writer.num_forwards
        if (parts := self._processes.gather_object(self._speed)) is not None:
            self._console.print(together(parts).sentence(), markup=False)
