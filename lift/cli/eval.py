"""`lift eval`: score a model on benchmarks through lm-evaluation-harness."""

from __future__ import annotations

import logging
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lift.cli.evaluation_record import check_free, read_record, settings_of, task_record, write_record
from lift.cli.heavy_imports import heavy_imports
from lift.cli.output_folder import check_writable
from lift.cli.parser import SentenceParser
from lift.cli.sampling_flags import add_sampling_flags, given_settings, sampling_config
from lift.cli.yaml_flags import read_options
from lift.errors import LiftError
from lift.evaluation.likelihood_options import LikelihoodOptions
from lift.models.saved_record import record_in
from lift.tasks.benchmarks.files import BENCHMARKS

_DESCRIPTION = (
    "Score a model, or an adapter's folder, on benchmarks. The table goes to stdout; evaluation.json in output_dir "
    "holds every prompt, output and verdict, and evaluation.html shows them. A killed run goes on where it was, on any "
    "number of processes: torchrun --nproc_per_node 2 -m lift.cli eval ..."
)


def run(arguments: Sequence[str]) -> None:
    """Evaluate, write the record, print the table and write the page.

    Raises:
        LiftError: bad input, a folder that holds another evaluation or may not be written, a model that cannot be
            loaded, or lm-eval is not installed.
    """
    options = read_options(_parser(), arguments)
    folder, settings = Path(options.output_dir), settings_of(vars(options))
    command = shlex.join(["lift", "eval", *arguments])
    _check_num_forwards(options)
    check_writable(folder)
    check_free(folder, command, settings)
    record = record_in(options.peft or options.model)
    sampling_config(options, record)  # says what does not fit together before anything is loaded

    with heavy_imports():
        import transformers

        from lift.cli.benchmark_tasks import open_tasks, put_to, task_names
        from lift.cli.evaluation_page import FILE, write_evaluation_page
        from lift.cli.evaluation_table import table
        from lift.evaluation import LiftLM, register_model

    register_model()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tasks = open_tasks(
        task_names(options.tasks), options.data_files, trained_on=record.get("task"),
        run_generated_code=options.run_generated_code,
    )  # fmt: skip
    for task in tasks if options.samples is not None else ():
        task.set_config("repeats", options.samples)
    is_auto = options.apply_chat_template == "auto"
    template = {} if is_auto else {"apply_chat_template": options.apply_chat_template == "true"}
    model = LiftLM(
        options.model, tokenizer=options.tokenizer_name_or_path, peft=options.peft, dtype=options.dtype,
        trust_remote_code=options.trust_remote_code, mask_token_id=options.mask_token_id,
        batch_size=options.batch_size, store=str(folder / "answers"),
        sampler=options.sampler, reference_quirks=options.reference_quirks, estimator=options.estimator,
        num_forwards=options.num_forwards, **given_settings(options),
    )  # fmt: skip
    if model.remark is not None and model.rank == 0:
        print(model.remark, file=sys.stderr)
    records = []
    for task in tasks:
        start = time.perf_counter()
        results = put_to(
            model, task, limit=options.limit, num_fewshot=options.num_fewshot,
            confirm_run_unsafe_code=options.run_generated_code, **template,
        )  # fmt: skip
        written = model.gather_object({key: _plain(model, answer) for key, answer in model.written.items()})
        model.written.clear()
        if results is None or written is None:
            continue
        answers = {key: answer for of_rank in written for key, answer in of_rank.items()}
        records.append(task_record(results, answers, model.tokenizer, time.perf_counter() - start))
    if model.rank == 0:
        write_record(folder, command, options.model, model.get_model_info(), records, settings)
        print(table(records, model.get_model_info()))
        write_evaluation_page(folder / FILE, [(str(folder), read_record(folder))])
        print(f"every answer: {folder / FILE}")


def _parser() -> SentenceParser:
    parser = SentenceParser(
        prog="lift eval", usage="lift eval [CONFIG.yaml] [--flag value ...]", description=_DESCRIPTION
    )
    parser.add_argument(
        "--model", required=True, help="folder or Hub id of a model and its tokenizer, or an adapter's folder"
    )
    parser.add_argument(
        "--tokenizer_name_or_path", metavar="NAME", default=None,
        help="folder or Hub id of the tokenizer; by default the model's own",
    )  # fmt: skip
    parser.add_argument(
        "--tasks", required=True,
        help=f"names with commas between: {', '.join(BENCHMARKS)}; a task of lm-eval's; or a YAML file",
    )  # fmt: skip
    parser.add_argument("--output_dir", required=True, help="folder of evaluation.json and of the answers")
    parser.add_argument(
        "--data_files", nargs="+", default=[], metavar="TASK=FILE", help="local rows of a task, in place of the Hub's"
    )
    parser.add_argument("--limit", type=int, within="[1, inf)", default=None, help="use the first documents only")
    parser.add_argument(
        "--samples", type=int, within="[1, inf)", default=None,
        help="answers to each prompt, by default the task's: 64 for AIME, else 1",
    )  # fmt: skip
    parser.add_argument("--num_fewshot", type=int, within="[0, inf)", default=None, help="by default the task's")
    parser.add_argument(
        "--apply_chat_template", choices=("auto", "true", "false"), default="auto",
        help="write prompts by the tokenizer's template; auto does where it has one",
    )  # fmt: skip
    parser.add_argument(
        "--batch_size", default="auto", help="rows a forward, or auto: 64, halved where memory runs out"
    )
    parser.add_argument("--peft", default=None, metavar="FOLDER", help="adapter to put into the model, unmerged")
    parser.add_argument(
        "--mask_token_id", type=int, within="[0, inf)", default=None, help="by default the one trained with"
    )
    parser.add_argument(
        "--dtype", default="auto", choices=("float32", "bfloat16", "float16", "auto"),
        help="float32, bfloat16, float16, or that of the weights (auto)",
    )  # fmt: skip
    parser.add_argument(
        "--estimator", choices=("antithetic", "published"), default="antithetic",
        help="of likelihoods: unbiased, with a standard error, or LLaDA's, which is biased",
    )  # fmt: skip
    parser.add_argument(
        "--num_forwards", type=int, within="[1, inf)", default=128,
        help="forwards of a likelihood, 16 or more where it has a standard error; by default 128",
    )  # fmt: skip
    parser.add_switch("run_generated_code", "run the programs that the model writes, confined: for humaneval and mbpp")
    parser.add_switch("trust_remote_code", help="run Python code that comes with the model")
    add_sampling_flags(parser)
    return parser


def _check_num_forwards(options: Any) -> None:
    num_estimates = LikelihoodOptions.num_replicates
    if options.estimator == "antithetic" and options.num_forwards < 2 * num_estimates:
        raise LiftError(
            f"--num_forwards must be at least {2 * num_estimates}, got {options.num_forwards}: a standard error takes "
            f"{num_estimates} estimates of 2 forwards each; --estimator published, which has none, takes any number."
        )


def _plain(model: Any, answer: Any) -> dict[str, Any]:
    """Return an answer as plain data, which goes from process to process and into the record."""
    return {
        "token_ids": answer.ids,
        "unmask_step": answer.unmask_step,
        "forwards": answer.num_forwards,
        "tokens": model.writer.num_tokens(answer),
        "seconds": answer.seconds,
    }
