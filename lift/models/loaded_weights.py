"""Say so where a checkpoint's weights are not those of the model it is loaded into: they would be random in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

from lift.errors import LiftError


@contextmanager
def recorded_loading() -> Iterator[list[dict[str, Any]]]:
    """Yield a list that gets what `from_pretrained` finds wrong of each model loaded meanwhile.

    transformers' own class is asked, as code of checkpoints overrides `from_pretrained` and drops what it returns
    besides the model.
    """
    own, found = PreTrainedModel.__dict__["from_pretrained"], []

    def recording(cls: Any, *args: Any, **options: Any) -> Any:
        wants_info = options.pop("output_loading_info", False)
        model, info = own.__func__(cls, *args, output_loading_info=True, **options)
        found.append(info)
        return (model, info) if wants_info else model

    PreTrainedModel.from_pretrained = classmethod(recording)  # type: ignore[assignment, method-assign]
    try:
        yield found
    finally:
        PreTrainedModel.from_pretrained = own  # type: ignore[method-assign]


def check_loaded(name: str, info: dict[str, Any]) -> None:
    """Check that every weight of a model came from its checkpoint.

    Args:
        name: of the checkpoint, for the message.
        info: of `recorded_loading`.

    Raises:
        LiftError: some did not, or have another shape there.
    """
    if info["mismatched_keys"]:
        first, more = sorted(info["mismatched_keys"], key=str)[0], _and_more(info["mismatched_keys"])
        key, *shapes = (first,) if isinstance(first, str) else first  # transformers 4 gives no shapes
        saved_and_asked = [" x ".join(map(str, shape)) for shape in shapes]
        how = " is {}, and the configuration asks for {}".format(*saved_and_asked) if shapes else " differs"
        raise LiftError(
            f"the weights of {name} do not fit its config.json: the shape of {key}{more}{how}. Restore the "
            "config.json that was saved with them."
        )
    missing, unexpected = (sorted(info[kind]) for kind in ("missing_keys", "unexpected_keys"))
    if missing:
        instead = f" It holds {unexpected[0]} instead{_and_more(unexpected)}." if unexpected else ""
        raise LiftError(
            f"the weights of {name} lack {missing[0]}{_and_more(missing)}, which would be random.{instead} Save the "
            "whole model by its save_pretrained; to begin with random weights there, load it by AutoModelForMaskedLM "
            "and save that."
        )


def _and_more(names: Collection[Any]) -> str:
    return f" and {len(names) - 1:,} more" if len(names) > 1 else ""
