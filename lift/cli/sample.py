"""`lift sample`: complete prompts with a trained model."""

from __future__ import annotations

from collections.abc import Sequence

from lift.cli.parser import SentenceParser
from lift.errors import LiftError


def run(arguments: Sequence[str]) -> None:
    """Print the completion of each prompt.

    Raises:
        LiftError: bad input, or a model that cannot be loaded.
    """
    parser = SentenceParser(prog="lift sample", description="Complete prompts by low-confidence remasking.")
    parser.add_argument(
        "--model", required=True, help="folder or Hub id of a trained model and its tokenizer, or an adapter's folder"
    )
    parser.add_argument("--prompt", required=True, action="append", help="a prompt; may be given several times")
    parser.add_argument(
        "--gen_length", type=int, default=None, help="tokens to generate; by default as many as the prompt"
    )
    parser.add_argument("--block_length", type=int, default=None, help="tokens per block; by default one block")
    parser.add_argument("--steps", type=int, default=None, help="forward passes; by default one per token")
    parser.add_argument("--mask_token_id", type=int, default=None, help="by default the tokenizer's or the model's")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16, or that of the weights (auto)")
    parser.add_switch("trust_remote_code", help="run Python code that comes with the model")
    options = parser.parse_args(arguments)

    import torch
    import transformers

    from lift.cli.arguments import ModelArguments
    from lift.cli.loading import build_model, load_tokenizer
    from lift.data import encode_prompt, resolve_mask_token_id
    from lift.sampling import generate
    from lift_kernels import apply_lift_kernels

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model_arguments = ModelArguments(
        model_name_or_path=options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code
    )
    tokenizer = load_tokenizer(model_arguments)
    model = build_model(model_arguments, tokenizer, seed=0)
    if torch.accelerator.is_available():
        model.to(torch.accelerator.current_accelerator())
    mask_token_id = resolve_mask_token_id(tokenizer, options.mask_token_id, config=model.config)
    try:
        apply_lift_kernels(model)
        for prompt in options.prompt:
            prompt_ids = torch.tensor([encode_prompt(prompt, tokenizer)], device=model.device)
            ids = generate(
                model,
                prompt_ids,
                mask_token_id=mask_token_id,
                gen_length=prompt_ids.shape[1] if options.gen_length is None else options.gen_length,
                block_length=options.block_length,
                steps=options.steps,
            )
            print(tokenizer.decode(ids[0, prompt_ids.shape[1] :], skip_special_tokens=True))
    except ValueError as error:
        raise LiftError(str(error)) from None
