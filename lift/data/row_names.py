"""How a sentence names a row: by the file that it is from, and by its number there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowNames:
    """The names of rows that were read from sources, one source after the other.

    Args:
        parts: what a sentence calls each source, and how many rows are from it. Without any, a number is the name.
        first: the number among all of them of the row that is asked for as 0.
    """

    parts: tuple[tuple[str, int], ...] = ()
    first: int = 0

    def __call__(self, index: int) -> str:
        """Return the name of a row."""
        number = self.first + index
        source = ""
        for name, num_rows in self.parts:
            source = f"{name}: "
            if number < num_rows:
                break
            number -= num_rows
        return f"{source}row {number} (counted from 0)"

    def after(self, num_rows: int) -> RowNames:
        """Return the names of the rows that follow the first `num_rows`."""
        return RowNames(self.parts, self.first + num_rows)
