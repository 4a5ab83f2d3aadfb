"""`Task`: what a training run asks of its data, be it a built-in task or the user's own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datasets import Dataset
    from rich.console import Console
    from transformers import PreTrainedTokenizerBase

Metrics = dict[str, Any]
"""What a score consists of, ready for JSON; a run adds `eval_loss`, the evaluation loss in nats a token. That before
training comes from JSON, whose keys are words, where a run was resumed."""


class Task(Protocol):
    """Tokenised rows to train and evaluate on, and how the result is scored and shown."""

    description: str
    """Name of the data, for the line that opens a run."""

    tokenizer: PreTrainedTokenizerBase
    """The tokenizer of the rows, which is saved with the model."""

    train: Dataset
    """Rows to train on, as `lift.data.prepare_dataset` returns them."""

    eval: Dataset
    """Rows for the evaluation loss, none of which is among those to train on."""

    record: Mapping[str, str]
    """What the model keeps of its training for `lift sample`: `system` and `system_role`, the text in front of every
    prompt (`lift.data.PromptFrame`), and `task`, the name of a built-in one."""

    def score(self, model: Any) -> Metrics:
        """Return what the model can do beyond its evaluation loss; every process of a launch calls it alike."""

    def sentence(self, metrics: Metrics) -> str:
        """Return the score and `metrics["eval_loss"]` in words, for one line on the screen."""

    def report(self, console: Console, model: Any, output: Path) -> None:
        """Print an example of what the trained model does, and how to try it on the model saved in `output`."""

    def draw(
        self, before: Metrics, after: Metrics, output: Path, *, subtitle: str = "", formats: Sequence[str] = ("png",)
    ) -> None:
        """Write pictures of the metrics before and after training into the folder `output`; needs matplotlib.

        Args:
            before, after: of the run.
            output: the folder.
            subtitle: a line on the run, for each picture.
            formats: some of png, svg and pdf; a file in each.
        """
