"""Writes the pages that follow from the code: ``python docs/generate.py`` (:data:`PAGES`).

A test fails when one of them is not what this writes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
import yaml
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from contracts import settings  # noqa: E402
from contracts.settings import rules  # noqa: E402
from cv_factory.cli import app  # noqa: E402
from docs import costs, serving, unproved  # noqa: E402
from docs.meanings import MEANINGS, SECTIONS  # noqa: E402

WRITTEN = "<!-- Written by docs/generate.py; change that, or the code it reads. -->\n"
WIDTH = 100
HEAD = "| setting | default | may be | what it does |\n| --- | --- | --- | --- |"


# --- commands ---------------------------------------------------------------------------------------------------------


def verbs() -> Iterator[tuple[str, ...]]:
    """Every verb, ``("local", "up")`` and so on, in the order of the help."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, inner in getattr(command, "commands", {}).items():
            if hasattr(inner, "commands"):
                yield from walk(inner, (*path, name))
            else:
                yield (*path, name)

    yield from walk(typer.main.get_command(app), ())


def help_text(verb: tuple[str, ...] = ()) -> str:
    """What ``cv-factory VERB --help`` prints on a terminal of 100 columns."""
    answer = CliRunner().invoke(
        app, [*verb, "--help"], prog_name="cv-factory", terminal_width=WIDTH, max_content_width=WIDTH
    )
    if answer.exit_code != 0:
        raise SystemExit(f"cv-factory {' '.join(verb)} --help ended with {answer.exit_code}")
    return "\n".join(line.rstrip() for line in answer.output.strip().splitlines())


def commands_page() -> str:
    parts = [
        "# Commands\n",
        WRITTEN,
        "Every verb takes `--env`, `--file`, `--json`, `--yes` and `-v`, before or after its name"
        " (`infra`: before it only).\n",
        "Exit codes: 0 done, 1 failed, 2 wrong use, 3 refused by a gate or a guard, 130 interrupted.\n",
        f"```text\n{help_text()}\n```\n",
    ]
    for verb in verbs():
        parts.append(f"## {' '.join(verb)}\n\n```text\n{help_text(verb)}\n```\n")
    return "\n".join(parts)


# --- settings ---------------------------------------------------------------------------------------------------------


def leaves() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """(dotted name, JSON schema, default) of every setting, in the order of ``contracts/defaults.yaml``."""
    schema = settings.json_schema()
    defaults = yaml.safe_load(settings.DEFAULTS.read_text(encoding="utf-8"))
    for section, default in defaults.items():
        if section == "environments":
            continue
        part = resolve(schema, schema["properties"][section])
        if not isinstance(default, dict):
            yield section, part, default
            continue
        for key, value in default.items():
            inner = resolve(schema, part["properties"][key])
            if section == "aws" and key == "existing":
                for name, one in inner["properties"].items():
                    yield f"aws.existing.{name}", resolve(schema, one), None
            else:
                yield f"{section}.{key}", {**bounds(section, key), **inner}, value


def bounds(section: str, key: str) -> dict[str, Any]:
    """``minimum`` and ``maximum`` of a number whose schema is silent about them: those of the type's own metadata."""
    field = settings.Settings.model_fields[section].annotation.model_fields[key]  # type: ignore[union-attr]
    names = {"ge": "minimum", "le": "maximum"}
    return {
        name: getattr(item, short)
        for item in field.metadata
        for short, name in names.items()
        if getattr(item, short, None) is not None
    }


def resolve(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """``part`` with its reference followed; of "this or nothing" the former."""
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    options = [option for option in part.get("anyOf", ()) if option.get("type") != "null"]
    return {**part, **options[0]} if len(options) == 1 else part


def allowed(part: dict[str, Any]) -> str:
    """What a setting may be, in words; empty where its kind says it all."""
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if part.get("type") == "boolean":
        return "`true`, `false`"
    if part.get("type") == "array":
        of = allowed(part["items"])
        return f"list of {of}" if of else "list"
    if part.get("type") == "object":
        names = part.get("propertyNames", {}).get("enum", ())
        return "map: " + ", ".join(f"`{name}`" for name in names) if names else "map"
    if part.get("description"):
        text = str(part["description"]).replace("|", "\\|")
        return f"`{text}`" if "<" in text else text
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and high is not None:
        return f"{number(low)} to {number(high)}"
    return f"{number(low)} or more" if low is not None else ""


def number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def shown(value: Any) -> str:
    """A default as it would stand in the file."""
    if value is None:
        return "not set"
    if value == "":
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "`{" + ", ".join(f"{key}: {each}" for key, each in value.items()) + "}`"
    if isinstance(value, list):
        return "`[" + ", ".join(map(str, value)) + "]`"
    return f"`{value}`"


def settings_page() -> str:
    parts = [
        "# Settings\n",
        WRITTEN,
        "`factory.yaml` is the one file you edit. What it leaves out has its default in `contracts/defaults.yaml`.\n",
        "The defaults are merged with the file, then with its environment (`environments.dev` for `--env dev`): key by"
        " key, one level deep; lists and maps are replaced. Python and Terraform read both files alike.\n",
        "A wrong value is refused with its line, what is allowed, and the nearest key. An editor that reads the first"
        " line of `factory.yaml` says so while you type (`factory.schema.json`).\n",
    ]
    section = ""
    for name, part, default in leaves():
        head = name.split(".")[0]
        if head != section:
            section = head
            parts.append(f"\n## {section}\n\n{SECTIONS[section]}\n\n{HEAD}")
        parts.append(f"| `{name}` | {shown(default)} | {allowed(part)} | {MEANINGS[name]} |")
    parts.append(f"\n{SECTIONS['environments']}\n")
    parts.append("\n## Settings that exclude each other\n\n| what | why |\n| --- | --- |")
    for rule in yaml.safe_load(rules.FORBIDDEN_PAIRS.read_text(encoding="utf-8")):
        parts.append(f"| `{rule['id']}` | {rule['says']} |")
    return "\n".join(parts) + "\n"


PAGES = {
    "commands.md": commands_page,
    "costs.md": lambda: costs.page(WRITTEN),
    "settings.md": settings_page,
    "serving.md": lambda: serving.page(WRITTEN),
    "openapi.json": serving.openapi_file,
    "unproved.md": lambda: unproved.page(WRITTEN),
}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (ROOT / "docs" / page).write_text(write(), encoding="utf-8")
        print(f"written: docs/{page}")
