"""The parser of `lift train` and `lift analyze`: flags for fields of dataclasses, made as transformers makes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NoReturn

from lift.cli.parser import SentenceParser
from lift.cli.settings import Setting, check_keys, check_value, flags_of
from lift.cli.transformers_source import argument_parser_class
from lift.errors import LiftError
from lift.tasks import tasks_with_flag


class FieldParser:
    """Flags for the fields of `groups`, dataclasses whose fields have defaults.

    A flag takes underscores or dashes (--max_steps, --max-steps), and a bool that is True by default has an opposite
    (--no_time_scaling).
    """

    def __init__(
        self, groups: Sequence[type[Any]], *, prog: str = "lift train", add_help: bool = False, **options: Any
    ) -> None:  # fmt: skip
        self.names = {field.name for group in groups for field in dataclasses.fields(group) if field.init}
        parser_class: Any = type("Parser", (_FlagsOfFields, argument_parser_class()), {})
        # Where two groups have a field in common (transformers 4 has an overwrite_output_dir too), the later one's flag
        # sets both.
        self._parser: SentenceParser = parser_class(
            groups, prog=prog, conflict_handler="resolve", add_help=add_help, **options
        )

    def parse(self, words: Sequence[str], settings: Sequence[Setting]) -> dict[str, Any]:
        """Return the value of every field; a word of the command line wins over a setting of a file.

        Raises:
            LiftError: a flag or key is unknown, or a value does not fit; the sentence names the flag as it was typed,
                or the file and its key.
        """
        check_keys(settings, self.names)
        for setting in settings:
            check_value(setting, flags_of(setting), self._parser)
        flags = [word for setting in settings for word in flags_of(setting)]
        values, unknown = self._parser.parse_known_args([*flags, *words])
        if unknown:
            self._refuse(unknown)
        return dict(vars(values))

    def _refuse(self, unknown: Sequence[str]) -> NoReturn:
        flag = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
        if not flag:
            raise LiftError(
                f"unexpected argument {unknown[0]!r}: a value stands behind its flag, a configuration file before all."
            )
        if tasks := tasks_with_flag(flag.removeprefix("--").replace("-", "_")):
            raise LiftError(f"{flag} belongs to task {' or '.join(tasks)}: add --task {tasks[0]}, or leave it out.")
        self._parser.refuse(unknown)


class _FlagsOfFields(SentenceParser):
    def add_argument(self, *names: Any, within: str | None = None, published: Any = None, **options: Any) -> Any:
        """Add a flag; `within` and `published` are marks of a field that argparse has no use for."""
        return super().add_argument(*names, **options)
