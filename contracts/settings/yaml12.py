"""A YAML 1.2 file as a value and the line of each of its keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import SettingsError

KeyPath = tuple[str, ...]


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema).

    YAML 1.1 reads ``yes`` as true, ``12:30`` as 750 and ``010`` as 8; Terraform's yamldecode does not. Aliases are
    refused: their value stands elsewhere than where it is read, and a few of them can stand for gigabytes.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (as in the base class)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.get_event()  # type: ignore[no-untyped-call]
            says = "aliases are not supported; write the value out"
            raise yaml.composer.ComposerError(None, None, says, event.start_mark)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})\Z"), list(_first))


def _construct_int(loader: Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    for prefix, radix in (("0o", 8), ("0x", 16)):
        if text.startswith(prefix):
            return int(text[2:], radix)
    return int(text, 10)


Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


@dataclass(frozen=True)
class Document:
    """A YAML file's value, and the line (from 1) of each key and list item."""

    file: str
    value: dict[str, Any]
    lines: Mapping[KeyPath, int]

    def has(self, path: KeyPath) -> bool:
        return path in self.lines

    def at(self, path: KeyPath) -> str:
        """``file:line: `` of ``path`` or of the nearest key above it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return f"{self.file}:{self.lines[path[:end]]}: "
        return f"{self.file}: "


def read(path: Path) -> Document:
    """The map in ``path``.

    Raises:
        SettingsError: the file cannot be read, is not YAML, is not a map, or sets a key twice.
    """
    name = path.name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist", "Run the command where factory.yaml is, or name the file with --file."
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    lines: dict[KeyPath, int] = {}
    try:
        value = _parse(text, name, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        hint = "Check the indentation and the quotes."
        raise SettingsError(f"{where}: {error.problem or 'not YAML'}", hint) from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{name}: not YAML: {error}") from None
    except (RecursionError, ValueError) as error:
        raise SettingsError(f"{name}: not a file of settings: {error}") from None
    if not isinstance(value, dict):
        raise SettingsError(f"{name}: the file must be a map of settings, not {kind(value)}")
    return Document(name, value, lines)


def _parse(text: str, file: str, lines: dict[KeyPath, int]) -> Any:
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        _index(node, (), lines, file)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _index(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], file: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
                raise SettingsError(f"{file}:{line}: a key must be text, not {key!r}", "Put it in quotes.")
            if key in seen:
                where = ".".join((*path, key))
                raise SettingsError(
                    f"{file}:{line}: {where} is set twice (first on line {seen[key]})", "Keep one of the two lines."
                )
            seen[key] = line
            lines[(*path, key)] = line
            _index(value_node, (*path, key), lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[(*path, str(number))] = item.start_mark.line + 1
            _index(item, (*path, str(number)), lines, file)


def kind(value: Any) -> str:
    """The kind of a value, in the words of a person."""
    names = {dict: "a map", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)


def short(value: Any) -> str:
    """A value as it may stand in a sentence."""
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else text[:77] + "…"
