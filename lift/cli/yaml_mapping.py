"""Read `key: value` lines of YAML, each key once, and words such as no and off as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from yaml import MappingNode, Node, SafeLoader, ScalarNode, SequenceNode

from lift.errors import LiftError

_TRUTHS = ("true", "false")


def read_mapping(origin: str, text: str) -> dict[str, Any]:
    """Return the keys and values of a file; an empty one has none.

    A value yes, no, on or off is that word, which YAML 1.1 reads as true or false: `save_strategy: no` is a choice, and
    a flag that is true or false takes the word too. Inside a mapping or a list it stays true or false.

    Args:
        origin: what a sentence calls the file.
        text: its content.

    Raises:
        LiftError: it is not valid YAML, holds something else, or a key stands twice.
    """
    try:
        loader = SafeLoader(text)
        root = loader.get_single_node()
        for node in _nodes(root):
            _check_keys(origin, node)
        if isinstance(root, MappingNode):
            loader.flatten_mapping(root)
            return {str(loader.construct_object(key, deep=True)): _value(loader, value) for key, value in root.value}
        other = None if root is None else loader.construct_document(root)
    except LiftError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise LiftError(f"{origin} is not valid YAML: {' '.join(str(error).split())}.") from None
    if other:
        raise LiftError(f"{origin} must hold 'key: value' lines, got {in_words(other)}.")
    return {}


def in_words(value: Any) -> str:
    """Return how a sentence names a value."""
    names = {type(None): "null", dict: "a mapping", list: "a list"}
    return names.get(type(value), repr(value))


def _nodes(root: Node | None) -> Iterator[MappingNode]:
    """Yield the mappings of a document, the outermost first; one that an alias repeats stands for itself once."""
    stack, seen = [root], set()
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, MappingNode):
            yield node
            stack += [value for _, value in node.value]
        elif isinstance(node, SequenceNode):
            stack += node.value


def _check_keys(origin: str, mapping: MappingNode) -> None:
    lines: dict[str, int] = {}
    for key in (key for key, _ in mapping.value if isinstance(key, ScalarNode)):
        line = key.start_mark.line + 1
        if (first := lines.get(key.value)) is not None:
            raise LiftError(f"{origin}: the key {key.value!r} stands twice, in lines {first} and {line}: keep one.")
        lines[key.value] = line


def _value(loader: SafeLoader, node: Node) -> Any:
    is_word = node.tag == "tag:yaml.org,2002:bool" and node.value.lower() not in _TRUTHS
    return node.value if is_word else loader.construct_object(node, deep=True)
