"""What pydantic found, as a person needs it: the line, the value, what is allowed, the nearest key."""

from __future__ import annotations

import difflib
import re
from typing import Any

from pydantic import ValidationError

from contracts.errors import SettingsError
from contracts.settings.model import description, fields
from contracts.settings.yaml12 import Document, short

_SIGNS = {
    "greater_than_equal": "at least",
    "less_than_equal": "at most",
    "greater_than": "more than",
    "less_than": "less than",
}
_KINDS = {
    "float_type": "a number",
    "finite_number": "a number",
    "int_type": "a whole number",
    "string_type": "text; put it in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
}


def explain(error: ValidationError, document: Document, env: str) -> SettingsError:
    """One SettingsError that lists every problem."""
    found: list[tuple[int, str]] = []
    hints = []
    for problem in error.errors(include_url=False):
        path = tuple(str(part) for part in problem["loc"] if part != "[key]")
        override = ("environments", env, *path)
        where = override if document.has(override) else path
        name = ".".join(path)
        unknown_key = problem["loc"][-1:] == ("[key]",)
        if problem["type"] == "extra_forbidden" or unknown_key:
            # Of a map whose keys are a Literal pydantic names those: "'a', 'b' or 'c'".
            known = re.findall(r"'([^']+)'", problem["ctx"]["expected"]) if unknown_key else fields(path[:-1])
            near = difflib.get_close_matches(path[-1], known, 1, cutoff=0.5)
            hints.append(f"{'.'.join(path[:-1]) or 'The file'} takes: {', '.join(known)}.")
            says = name + " is not a setting" + (f"; did you mean {near[0]}?" if near else "")
        else:
            says = name + f": {short(problem['input'])} is not allowed ({_allowed(problem)})"
        found.append((document.lines.get(where, 0), document.at(where) + says))
    lines = [text for _, text in sorted(found)]
    if len(lines) == 1:
        return SettingsError(lines[0], "\n".join(hints))
    body = [f"  {line}" for line in lines]
    return SettingsError(f"{document.file} has {len(lines)} wrong settings", "\n".join([*body, *dict.fromkeys(hints)]))


def _allowed(problem: Any) -> str:
    """What would be right, in words."""
    context = problem.get("ctx") or {}
    kind = problem["type"]
    if kind == "literal_error":
        return f"one of: {context['expected'].replace(chr(39), '').replace(' or ', ', ')}"
    if kind in ("string_pattern_mismatch", "string_too_short", "string_too_long"):
        described = description(tuple(str(part) for part in problem["loc"]))
        return described or (f"must match {context['pattern']}" if "pattern" in context else str(problem["msg"]))
    if kind in _SIGNS:
        return f"{_SIGNS[kind]} {next(iter(context.values()))}"
    if kind == "missing":
        return "it has no default; set it"
    return _KINDS.get(kind, str(problem["msg"]))
