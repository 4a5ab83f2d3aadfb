"""Tell lm-evaluation-harness of the model `lift`, which finds no models of other packages by itself."""

from __future__ import annotations

from lift.errors import LiftError

NAME = "lift"


def register_model() -> None:
    """Make `--model lift` and `simple_evaluate(model="lift")` known to lm-eval; a second call does nothing.

    Raises: LiftError where lm-eval is not installed.
    """
    try:
        from lm_eval.api.registry import model_registry
    except ImportError as error:
        raise LiftError(
            "evaluation needs lm-eval, which is not installed: pip install 'lift-kernels[eval]'."
        ) from error
    if NAME not in model_registry:
        model_registry.register(NAME, target="lift.evaluation.language_model:LiftLM")
