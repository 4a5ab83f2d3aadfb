"""A griffe extension, which reads our docstrings and fields as they are meant.

Sections: the docstrings say `Returns: the table, ...` and go on below. griffe reads what stands behind the colon as a
title, and the lines below as entries of a list. Here such a section becomes the paragraph that it is.

Fields: a dataclass says what a field is in `lift.fields.option`, from which the command line has its help. Here that
is the field's docstring, and its default stands for the call.
"""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from typing import Any

import griffe

_SECTION = re.compile(r"^(?P<name>Returns|Raises|Source|Yields|Args): (?P<text>\S.*(?:\n[ ]{4}.*)*)", re.MULTILINE)


def as_paragraphs(docstring: str) -> str:
    """Return a docstring whose sections on one line are paragraphs, each headed by its name."""

    def paragraph(section: re.Match[str]) -> str:
        lines = [line.strip() for line in section["text"].splitlines()]
        return f"**{section['name']}**: " + "\n".join(lines) + "\n"

    return _SECTION.sub(paragraph, docstring)


def field_help(path: str, name: str) -> dict[str, tuple[str, str]]:
    """Return default and help of each field of the class `name` in the module `path` that has a help."""
    fields = dataclasses.fields(getattr(import_module(path), name))
    return {
        field.name: (repr(field.default), field.metadata["help"].replace("%%", "%"))
        for field in fields
        if "help" in field.metadata and field.default is not dataclasses.MISSING
    }


class Docstrings(griffe.Extension):
    """Applies both to every object."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = as_paragraphs(obj.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        options = [
            member
            for member in cls.members.values()
            if isinstance(member, griffe.Attribute) and str(member.value).startswith("option(")
        ]
        texts = field_help(cls.module.path, cls.name) if options else {}
        for attribute in options:
            if attribute.name in texts:
                attribute.value, text = texts[attribute.name]
                attribute.docstring = griffe.Docstring(text, parent=attribute)
