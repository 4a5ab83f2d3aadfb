"""The model `lift` of lm-evaluation-harness: answers by `lift.generate`, likelihoods by the Monte-Carlo bound."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lm_eval.api.model import LM
from torch import Tensor
from tqdm import tqdm

from lift.errors import LiftError
from lift.evaluation.answer_store import AnswerStore
from lift.evaluation.answers import Answer, Prompt, Writer
from lift.evaluation.decoding import decoding_of
from lift.evaluation.encoding import cut_at_stop, encode_context, encode_pair, windows
from lift.evaluation.extra_answer import ExtraAnswer
from lift.evaluation.likelihood_options import LikelihoodOptions
from lift.evaluation.likelihood_requests import LikelihoodRequests
from lift.evaluation.loaded_model import load
from lift.evaluation.processes import Processes
from lift.evaluation.weights_digest import weights_digest
from lift.models.batches import BatchSize
from lift.models.saved_record import block_size_of, record_in
from lift.models.training_record import training_record
from lift.sampling import SamplingConfig
from lift.sampling.as_trained import build_config

logger = logging.getLogger(__name__)

_DEFAULT_LENGTH = 256  # tokens of an answer, where neither the settings nor the task says


class LiftLM(LM):  # type: ignore[misc, unused-ignore]  # without types where lm-eval is not installed
    """A masked diffusion language model for lm-eval: `--model lift`, or `simple_evaluate(model=LiftLM(...))`.

    An answer is named by weights, settings, prompt and copy, not by its batch: batch size and number of processes
    change none, and with `store` a run that was killed goes on where it was.

    Args:
        pretrained: folder, Hub id, adapter's folder, or a model, which then needs `tokenizer`.
        tokenizer: name or tokenizer; by default the model's.
        peft: folder of an adapter to put into `pretrained`, unmerged.
        dtype, trust_remote_code, mask_token_id, device: see `lift.evaluation.loaded_model.load`.
        batch_size: rows a forward, or "auto", which begins with `max_batch_size`, by default 64, and halves where
            memory runs out.
        store: folder in which answers are kept.
        sampler, reference_quirks: a published sampler's settings to start from.
        show_progress: whether bars are shown, where lm-eval asks for them.
        estimator, num_forwards, num_replicates, published_batch_size: of likelihoods, see `plan_masks`.
        greedy_check: also say whether the continuation is what decoding greedily would write, up to L forwards more.
        options: fields of `SamplingConfig`. What is not given comes from a task: `max_gen_toks` is the length (256
            without one), and its temperature counts where it samples. A model that was trained in blocks is decoded in
            them unless `attention` is given; `remark` is then a sentence about it.

    Raises: LiftError if the model cannot be loaded, or an option does not fit.
    """

    def __init__(
        self, pretrained: Any, *, tokenizer: Any = None, peft: str | None = None, dtype: str = "auto",
        trust_remote_code: bool = False, mask_token_id: int | None = None, device: str | None = None,
        batch_size: int | str | None = 1, max_batch_size: int | None = None, store: str | None = None,
        sampler: str | None = None, reference_quirks: bool = False, show_progress: bool = True, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self._processes = Processes()
        self._rank, self._world_size = self._processes.rank, self._processes.world_size
        self._shows_progress = show_progress and self.rank == 0
        likelihood, self._given = _split_options(options)
        trained = peft or pretrained
        record = record_in(trained) if isinstance(trained, str) else training_record(trained)
        _check_sampling(sampler, reference_quirks, self._given, record)  # before anything is loaded
        self.loaded = load(
            pretrained, tokenizer=tokenizer, peft=peft, dtype=dtype, trust_remote_code=trust_remote_code,
            mask_token_id=mask_token_id, device=device,
        )  # fmt: skip
        self._config, self.remark = decoding_of(
            self.loaded, self._given, sampler=sampler, reference_quirks=reference_quirks
        )
        if self.remark is not None and isinstance(pretrained, str):
            logger.info(self.remark)
        self.tokenizer = self.loaded.tokenizer
        self._device = next(self.loaded.model.parameters()).device
        self._batches = BatchSize(batch_size, max_batch_size)
        self._digest = weights_digest(self.loaded.model)
        store_of_answers = AnswerStore(store, self.rank)
        self.writer = Writer(self.loaded, self._batches, store_of_answers, self._digest)
        own = training_record(self.loaded.model)
        self._likelihoods = LikelihoodRequests(
            self.loaded,
            self._batches,
            store_of_answers,
            self._digest,
            likelihood,
            self._config.seed,
            block_size_of(own) if self._config.attention == "block_causal" else None,
            from_answer=own.get("block_origin") == "answer",
        )
        self._is_rendered = False
        self.written: dict[tuple[str, int], Answer] = {}
        """Answers of this process by prompt and copy, for a report."""

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return an answer to each request, cut at its stop strings.

        lm-eval repeats a request object for copies, and the last one again where other processes have more documents;
        what goes beyond the copies is an `ExtraAnswer`, which takes no forward and which the tasks of lift drop.
        """
        prompts, numbers, texts = [], [], [ExtraAnswer("")] * len(requests)
        for number, (request, copy) in enumerate(_counted(requests)):
            if copy < max(1, request.repeats or 1):
                prompts.append(self._prompt(request, copy))
                numbers.append(number)
        bar = tqdm(total=len(prompts), disable=disable_tqdm or not self._shows_progress, desc="answers")
        results: list[str] = list(texts)
        for found, answer in self.writer.answers(prompts):
            request = requests[numbers[found]]
            results[numbers[found]] = text = cut_at_stop(self.writer.text(answer), request.args[1].get("until"))
            self.written[request.args[0], prompts[found].copy] = answer
            self.cache_hook.add_partial("generate_until", request.args, text)
            bar.update()
        bar.close()
        return results

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return the bound in nats for each continuation, and whether it is what greedy decoding writes."""
        pairs = [self._pair(*request.args) for request in requests]
        results = self._likelihoods.pairs(pairs, show_progress=not disable_tqdm and self._shows_progress)
        for request, result in zip(requests, results, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, result)
        return results

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Return the bound in nats of each whole text, the sum over its windows."""
        per_text = []
        for request in requests:
            start, ids = self._pair("", request.args[0])
            parts = windows(ids, self.loaded.max_length - len(start))
            per_text.append([([*start, *context], scored) for context, scored in parts])
        results = self._likelihoods.sums(per_text, show_progress=not disable_tqdm and self._shows_progress)
        for request, result in zip(requests, results, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, result)
        return results

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the text of a conversation; a last message of the assistant's is left open where it is a prefix."""
        self._is_rendered = True
        return str(
            self.tokenizer.apply_chat_template(
                chat_history, tokenize=False, add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )  # fmt: skip

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the tokenizer's template, or the one of its templates that has this name."""
        found = self.tokenizer.chat_template
        if not chat_template:
            return ""
        if found is None:
            raise LiftError("a chat template is asked for, and the tokenizer has none: set tokenizer.chat_template.")
        if isinstance(found, dict):
            return str(found[chat_template if isinstance(chat_template, str) else "default"])
        return str(found)

    @property
    def tokenizer_name(self) -> str:
        """Name of tokenizer and template, for lm-eval's cache of requests."""
        template = hashlib.sha256(str(self.tokenizer.chat_template).encode()).hexdigest()[:16]
        return f"{str(self.tokenizer.name_or_path).replace('/', '__')}-{template}"

    def get_model_info(self) -> dict[str, Any]:
        """Return what a score should be stated with."""
        model = self.loaded.model
        return {
            "weights_digest": self._digest,
            "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
            "device_name": _device_name(self._device),
            "batch_rows": self._batches.rows,
            "padding": "none, rows of one length share a forward"
            if self.loaded.needs_equal_lengths
            else "left, masked",
            "sampling": dataclasses.asdict(self._config),
        }

    def all_gather(self, tensor: Tensor) -> Tensor:
        return self._processes.all_gather(tensor)

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        return self._processes.gather_object(obj, dst)

    def barrier(self) -> None:
        self._processes.barrier()

    def _prompt(self, request: Any, copy: int) -> Prompt:
        context, task = request.args[0], request.args[1]
        asked: dict[str, Any] = {}
        if "gen_length" not in self._given:
            asked["gen_length"] = int(task.get("max_gen_toks") or task.get("max_new_tokens") or _DEFAULT_LENGTH)
        if "temperature" not in self._given and task.get("do_sample") and task.get("temperature"):
            asked["temperature"] = float(task["temperature"])
        config = self._config.changed(
            suppress_ids=(*self._config.suppress_ids, *self.loaded.unknown_ids),
            stop_ids=self._config.stop_ids or tuple(sorted(self.loaded.end_ids)), **asked,
        )  # fmt: skip
        if (request.repeats or 1) > 1 and copy == 1 and not config.draws:
            logger.warning(
                "%d answers to a prompt are wanted, and at temperature 0 all are one: set temperature", request.repeats
            )
        ids = encode_context(context, self.tokenizer, is_rendered=self._is_rendered)
        room = self.loaded.max_length - int(config.gen_length or 0)
        if len(ids) > room > 0:
            logger.warning(
                "a prompt of %d tokens leaves no room for %s more: its first %d are dropped",
                len(ids),
                config.gen_length,
                len(ids) - room,
            )
            ids = ids[-room:]
        return Prompt(tuple(ids), copy, config)

    def _pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        first, second = encode_pair(context, continuation, self.tokenizer, is_rendered=self._is_rendered)
        if not first and self.loaded.predicts_next:
            start = (
                self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.eos_token_id
            )
            if start is None:
                raise LiftError(
                    "this model reads a token from the one before it, and the tokenizer has none to begin with."
                )
            first = [start]
        return first, second


def _counted(requests: Sequence[Any]) -> Iterator[tuple[Any, int]]:
    """Yield each request and how often the same object came before."""
    seen: dict[int, int] = {}
    for request in requests:
        copy = seen[id(request)] = seen.get(id(request), -1) + 1
        yield request, copy


def _split_options(options: dict[str, Any]) -> tuple[LikelihoodOptions, dict[str, Any]]:
    """Return the options of likelihoods and those of sampling."""
    of_likelihood = {field.name for field in dataclasses.fields(LikelihoodOptions)}
    of_sampling = {field.name: field for field in dataclasses.fields(SamplingConfig)}
    if unknown := sorted(set(options) - of_likelihood - set(of_sampling)):
        raise LiftError(f"{unknown[0]!r} is no option of the model lift, nor a setting of SamplingConfig.")
    sampling = {name: value for name, value in options.items() if name in of_sampling}
    for name, value in sampling.items():
        if isinstance(of_sampling[name].default, tuple) and not isinstance(value, (tuple, list)):
            sampling[name] = tuple(int(word) for word in str(value).split("+"))
    return LikelihoodOptions(**{name: value for name, value in options.items() if name in of_likelihood}), sampling


def _check_sampling(sampler: str | None, reference_quirks: bool, given: dict[str, Any], record: dict[str, str]) -> None:
    """Raise LiftError for settings that do not fit together, or no evaluation."""
    if sampler is None and reference_quirks:
        raise LiftError("reference_quirks are those of a published sampler: set sampler.")
    if build_config(sampler, reference_quirks, given, record).infill:
        raise LiftError("infill fills the masks of a text, and the prompts of an evaluation have none: leave it out.")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
