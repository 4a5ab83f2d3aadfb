"""Small tasks that make their own data and check their own answers."""

TASKS = ("sudoku",)
