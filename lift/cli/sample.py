"""`lift sample`: complete prompts with a trained model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lift.cli.parser import SentenceParser
from lift.cli.sampling_flags import add_sampling_flags, sampling_config
from lift.errors import LiftError

if TYPE_CHECKING:
    from lift.data import PromptFrame

logger = logging.getLogger(__name__)

_DESCRIPTION = (
    "Complete prompts, by default by low-confidence remasking. Answers go to stdout, one a line where they hold no "
    "newline; what is said of them, such as a Sudoku's grid and whether it is valid, goes to stderr."
)


def run(arguments: Sequence[str]) -> None:
    """Print the completion of each prompt, a line each, and what there is to say of it to stderr.

    Raises:
        LiftError: bad input, or a model that cannot be loaded.
    """
    parser = SentenceParser(prog="lift sample", description=_DESCRIPTION)
    parser.add_argument(
        "--model", required=True, help="folder or Hub id of a trained model and its tokenizer, or an adapter's folder"
    )
    parser.add_argument("--prompt", required=True, action="append", help="a prompt; may be given several times")
    parser.add_argument(
        "--system",
        metavar="TEXT",
        default=None,
        help="text in front of each prompt, as in training; by default the training's, '' for none",
    )
    parser.add_argument(
        "--mask_token_id", type=int, within="[0, inf)", default=None, help="by default the one trained with"
    )
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=("float32", "bfloat16", "float16", "auto"),
        help="float32, bfloat16, float16, or that of the weights (auto)",
    )
    parser.add_switch("trust_remote_code", help="run Python code that comes with the model")
    parser.add_switch("no_animation", help="in a terminal, do not show how the answer is written")
    add_sampling_flags(parser)
    options = parser.parse_args(arguments)
    config = sampling_config(options)

    import torch
    import transformers
    from rich.console import Console

    from lift.cli.animation import Animation
    from lift.cli.arguments import ModelArguments
    from lift.cli.loading import build_model, load_generation_config, load_tokenizer
    from lift.data import PromptFrame, cut_at_end, end_token_ids, resolve_mask_token_id, unknown_token_ids
    from lift.models.training_record import training_record
    from lift.sampling import generate
    from lift.tasks import show_answer
    from lift_kernels import apply_lift_kernels
    from lift_kernels.models import vocab_size_of

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model_arguments = ModelArguments(
        model_name_or_path=options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code
    )
    tokenizer = load_tokenizer(model_arguments)
    model = build_model(model_arguments, tokenizer, seed=0)
    if torch.accelerator.is_available():
        model.to(torch.accelerator.current_accelerator())
    vocab_size = vocab_size_of(model.get_output_embeddings())
    mask_token_id = resolve_mask_token_id(tokenizer, options.mask_token_id, config=model.config, vocab_size=vocab_size)
    unknown_ids = unknown_token_ids(tokenizer, vocab_size)
    end_ids = end_token_ids(tokenizer, load_generation_config(model_arguments))
    record = training_record(model)
    frame = PromptFrame.from_record(record)
    if options.system is not None:
        frame = PromptFrame(options.system, frame.role if frame.system else "system")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if frame.system and options.system is None:
        console.print(
            f"as in training, each prompt follows the text {frame.system.strip()!r:.60} (--system '' for none)",
            markup=False,
        )
    try:
        apply_lift_kernels(model)
        for prompt in options.prompt:
            prompt_ids = _encode(prompt, tokenizer, frame)
            start = 0 if config.infill else len(prompt_ids)
            with Animation(console, tokenizer, mask_token_id, start, is_on=not options.no_animation) as animation:
                ids = generate(
                    model,
                    torch.tensor([prompt_ids], dtype=torch.int64, device=model.device),
                    config=config.changed(
                        gen_length=None if config.infill else _gen_length(config.gen_length, prompt_ids),
                        suppress_ids=(*config.suppress_ids, *unknown_ids),
                        stop_ids=config.stop_ids or tuple(sorted(end_ids)),
                    ),
                    mask_token_id=mask_token_id,
                    pad_token_id=tokenizer.pad_token_id,
                    on_step=animation.show,
                )
            written = ids[0, start:].tolist()
            response_ids = written if config.infill else cut_at_end(written, end_ids)
            answer = tokenizer.decode(response_ids, skip_special_tokens=True)
            print(answer, flush=True)
            if not answer:
                logger.warning(
                    "the answer to %.80r is empty: the model wrote nothing but padding or end tokens", prompt
                )
            show_answer(record.get("task"), console, prompt, answer)
    except ValueError as error:
        raise LiftError(str(error)) from None


def _encode(prompt: str, tokenizer: Any, frame: PromptFrame) -> list[int]:
    """Return the ids of a prompt; say so where some of its characters are lost."""
    from lift.data import encode_prompt

    prompt_ids = encode_prompt(prompt, tokenizer, frame)
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in prompt_ids:
        logger.warning(
            "the tokenizer does not know parts of the prompt %.80r: the model reads %s there",
            prompt,
            tokenizer.unk_token,
        )
    return prompt_ids


def _gen_length(gen_length: int | None, prompt_ids: Sequence[int]) -> int:
    if gen_length is None and not prompt_ids:
        raise LiftError("the prompt is empty, so it says nothing of how long the answer is: pass --gen_length.")
    return len(prompt_ids) if gen_length is None else gen_length
