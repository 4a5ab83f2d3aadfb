"""`lift merge`: put a LoRA adapter into its base model and save the result as a model of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lift.cli.parser import SentenceParser
from lift.errors import LiftError


def run(arguments: Sequence[str]) -> None:
    """Merge the adapter that the arguments name, and print a line about the result.

    Raises:
        LiftError: as `merge`.
    """
    parser = SentenceParser(
        prog="lift merge",
        description="Add a LoRA adapter to the weights of its base model; write a safetensors checkpoint.",
    )
    parser.add_argument("--model", required=True, help="the adapter's folder, as lift train leaves it")
    parser.add_argument("--output_dir", required=True, help="folder to write, which must be new or empty")
    parser.add_argument("--base", default=None, help="folder or Hub id of the base; by default the one trained on")
    parser.add_argument(
        "--tokenizer_name_or_path", metavar="NAME", default=None,
        help="folder or Hub id of the tokenizer; by default the adapter's own, or else the base's",
    )  # fmt: skip
    parser.add_switch("trust_remote_code", help="run Python code that comes with the base")
    options = parser.parse_args(arguments)

    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    said = merge(
        options.model, options.output_dir, base=options.base, tokenizer=options.tokenizer_name_or_path,
        trust_remote_code=options.trust_remote_code,
    )  # fmt: skip
    print(said)


def merge(
    adapter: str,
    output_dir: str,
    *,
    base: str | None = None,
    tokenizer: str | None = None,
    trust_remote_code: bool = False,
) -> str:
    """Write base + adapter, in the base's dtype, with the tokenizer, to `output_dir`: whole or not at all.

    Args:
        adapter: a folder with adapter_config.json and adapter_model.safetensors.
        output_dir: must be new or empty.
        base: the base model's folder or Hub id; by default the one that the adapter names.
        tokenizer: folder or Hub id; by default the adapter's, or else the base's.
        trust_remote_code: run code that comes with a Hub base.

    Returns: one line that says what was merged into what.

    Raises:
        LiftError: `adapter` is none, output_dir is in use or cannot be written, weights are pickled, missing,
            quantised, not finite, or do not fit.
    """
    from lift.atomic_write import apply_umask, atomic_folder
    from lift.models import load_generation_config
    from lift.models.lora import base_of_adapter, is_adapter, merge_adapter

    if not is_adapter(adapter):
        raise LiftError(f"{adapter} is no adapter: it has no adapter_config.json.")
    output = _check_output(output_dir)
    base = base_of_adapter(adapter) if base is None else base
    has_tokenizer = (Path(adapter) / "tokenizer_config.json").is_file()
    loaded_tokenizer, model = _load_base(base, tokenizer or (adapter if has_tokenizer else None), trust_remote_code)
    merged, generation_config = merge_adapter(model, adapter), load_generation_config(base)
    with atomic_folder(output) as folder:
        merged.save_pretrained(folder)
        apply_umask(folder)
        loaded_tokenizer.save_pretrained(folder)
        if generation_config is not None:  # it names end tokens, and masked language models are saved without it
            generation_config.save_pretrained(folder)
    dtype = str(merged.dtype).removeprefix("torch.")
    return f"merged {adapter} into {base}: {merged.num_parameters():,} parameters, {dtype}, in {output}/"


def _check_output(output_dir: str) -> Path:
    """Return the folder to write, after a try: before hours are spent on reading models."""
    from lift.atomic_write import check_atomic_folder

    try:
        output = Path(output_dir).resolve()
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise LiftError(f"output_dir {output} is not an empty folder: choose another.")
        check_atomic_folder(output)
    except LiftError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        reason = getattr(error, "strerror", None) or str(error)
        raise LiftError(f"output_dir {output_dir} cannot be written ({reason}): choose another.") from None
    return output


def _load_base(base: str, tokenizer_name: str | None, trust_remote_code: bool) -> tuple[Any, Any]:
    from lift.cli.arguments import ModelArguments
    from lift.cli.loading import build_model, load_tokenizer
    from lift.models.loading import load_config, resolve_package_path
    from lift.models.lora import is_adapter

    arguments = ModelArguments(
        model_name_or_path=base, tokenizer_name_or_path=tokenizer_name, dtype="auto",
        trust_remote_code=trust_remote_code,
    )  # fmt: skip
    if is_adapter(base):
        raise LiftError(f"the base {base} is an adapter itself: merge that one first, and pass the result as --base.")
    name = resolve_package_path(base)
    if Path(name).is_dir() and not any(Path(name).glob("*.safetensors")):
        raise LiftError(f"the base {base} has no .safetensors file, and pickled weights are not read: convert them.")
    tokenizer = load_tokenizer(arguments)
    if getattr(load_config(base, trust_remote_code=trust_remote_code), "quantization_config", None) is not None:
        raise LiftError(f"the base {base} is quantised: merge into the model it was made from, with --base.")
    return tokenizer, build_model(arguments, tokenizer, seed=0)
