"""argparse that reports errors in one sentence, which quotes the flag as it was typed."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from lift.cli.home_folder import expand_home
from lift.errors import LiftError
from lift.fields import check_range

# What argparse puts in front of its message: every spelling of the flag.
_ABOUT_A_FLAG = re.compile(r"argument (?P<flags>\S+): (?P<problem>.*)", re.DOTALL)
# By the name of the converter.
_WANTED = {"int": "a whole number", "float": "a number", "string_to_bool": "true or false"}
_TRUTH_OF = {"on": "true", "off": "false"}  # YAML has these words too


class SentenceParser(argparse.ArgumentParser):
    """Raises LiftError where argparse would print its usage and exit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.flags: list[str] = []
        self._words: list[str] = []
        super().__init__(*args, **options)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add a flag whose values, where they do not fit, are refused with the words "must be ..., got ...".

        A number may have an interval `within`, as `lift.fields.option` has.
        """
        self.flags += [name for name in names if name.startswith("--")]
        choices, convert, within = options.pop("choices", None), options.get("type"), options.pop("within", None)
        wanted = _WANTED.get(getattr(convert, "__name__", ""))
        if choices is not None:
            options["type"] = _one_of(choices, options.get("default"))
        elif convert is not None and wanted is not None:
            options["type"] = _worded(convert, wanted, within)
        return super().add_argument(*names, **options)

    def add_switch(self, name: str, help: str) -> None:
        """Add `--name`, `--name true` or `--name false`, as `lift train` takes a bool; by default False."""
        self.add_argument(f"--{name}", nargs="?", const=True, default=False, type=_truth, metavar="BOOL", help=help)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse as argparse does, write out ~ in paths, and keep the words, so that a sentence can quote them."""
        self._words = [word.partition("=")[0] for word in args or ()]
        values, unknown = super().parse_known_args(args, namespace)
        expand_home(values)
        return values, unknown

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse, and refuse words that belong to no flag."""
        values, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.refuse(unknown)
        return values

    def parse_apart(self, words: Sequence[str]) -> list[str]:
        """Parse some of the words of a command, whatever else it must have; return those that belong to no flag."""
        required = [action for action in self._actions if action.required]
        for action in required:
            action.required = False
        try:
            return self.parse_known_args(words)[1]
        finally:
            for action in required:
                action.required = True

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Raise LiftError on the words that `parse_known_args` could not place, with the flag they resemble."""
        name = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
        raise LiftError(f"unknown argument {name!r}{suggestion(name, self.flags, f'{self.prog} --help')}")

    def error(self, message: str) -> NoReturn:
        """Raise LiftError with argparse's message about one flag, which is named as it was typed."""
        typed = [word for word in self._words if word.startswith("--")]
        unknown = [word for word in typed if not any(flag.startswith(word) for flag in self.flags)]
        if message.startswith("the following arguments are required") and unknown:
            self.refuse(unknown)  # one of them may be a required one, misspelt
        if about := _ABOUT_A_FLAG.fullmatch(message):
            spellings = about["flags"].split("/")
            flag = next((word for word in self._words if word in spellings), spellings[0])
            problem = about["problem"]
            message = f"{flag} {problem}" if problem.startswith("must be ") else f"{flag}: {problem}"
        raise LiftError(f"{message}.")


def suggestion(name: str, known: Iterable[str], listed_by: str) -> str:
    """Return the end of a sentence about an unknown name: the known one that it resembles, or the command to look."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else f": {listed_by} lists what there is."


def _worded(convert: Callable[[str], Any], wanted: str, within: str | None = None) -> Callable[[str], Any]:
    def read(word: str) -> Any:
        try:
            value = convert(_TRUTH_OF.get(word.lower(), word) if wanted == _WANTED["string_to_bool"] else word)
        except (ValueError, argparse.ArgumentTypeError):
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {word!r}") from None
        if within is not None:
            try:
                check_range("", value, within)
            except LiftError as error:
                raise argparse.ArgumentTypeError(str(error).strip(" .")) from None
        return value

    return read


def _one_of(choices: Iterable[Any], default: Any) -> Callable[[str], Any]:
    """Return a converter from a choice's name to the choice; a default need not be among them."""
    by_name = {str(choice): choice for choice in choices}

    def read(word: str) -> Any:
        if word not in by_name and word != default:
            raise argparse.ArgumentTypeError(f"must be one of {', '.join(by_name)}, got {word!r}")
        return by_name.get(word, word)

    return read


def _truth(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {word!r}")
    return word.lower() == "true"
