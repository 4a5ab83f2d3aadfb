"""The text that stands in front of every prompt of a training, so that a sampler can put it there too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lift.data.columns import find_columns
from lift.data.messages import Message
from lift.data.named_formats import FRAMED_FORMATS, SYSTEM_PROMPT

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class PromptFrame:
    """A system text and where it stands: in front of the prompt in the user's turn, or in a system turn of its own."""

    system: str = ""
    role: str = "user"

    def text(self, prompt: str) -> str:
        """Return a prompt with the system text in front of it, in one text."""
        return f"{self.system}\n\n{prompt}" if self.system else prompt

    def messages(self, prompt: str) -> list[Message]:
        """Return a prompt as the messages of a chat template."""
        if self.system and self.role == "system":
            return [{"role": "system", "content": self.system}, {"role": "user", "content": prompt}]
        return [{"role": "user", "content": self.text(prompt)}]

    @property
    def record(self) -> dict[str, str]:
        """What `from_record` takes; empty where nothing stands in front of a prompt."""
        return {"system": self.system, "system_role": self.role} if self.system else {}

    @staticmethod
    def from_record(record: Mapping[str, str]) -> PromptFrame:
        """Return the frame that a training left with its model."""
        return PromptFrame(record.get("system", ""), "system" if record.get("system_role") == "system" else "user")


def frame_of_rows(
    rows: Dataset,
    data_format: str | None = None,
    prompt_column: str | None = None,
    completion_column: str | None = None,
    messages_column: str | None = None,
) -> PromptFrame:
    """Return what stands in front of every prompt of rows that `prepare_dataset` takes, given the same arguments.

    It is the text that the data format writes, or the system turn that all conversations begin with, if it is one.
    """
    if data_format in FRAMED_FORMATS:
        return PromptFrame(SYSTEM_PROMPT)
    columns = find_columns(rows.column_names, prompt_column, completion_column, messages_column)
    common = None
    for cell in rows[columns.messages or columns.prompt]:
        first = cell[0] if isinstance(cell, list) and cell else {}
        if first.get("role") != "system" or common not in (None, first.get("content")):
            return PromptFrame()
        common = first.get("content")
    return PromptFrame(common or "", "system")
