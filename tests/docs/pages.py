"""A page of the documentation as its reader follows it: its blocks, what each asks for, what it must print.

The language after a fence says what becomes of a block:

- ``bash``: each command runs, in order, in the page's folder. A ``make`` target must exist; other tests run it. A
  command for another environment than ``local`` needs an AWS account: the command line must know its verb and options.
  ``cv-factory serve`` runs as in another terminal, and ends by Ctrl-C at the end of the page.
- ``python``: runs as a program in the same folder; with a path after it (``training/mine.py``) it is a recipe's module.
- ``yaml``: an edit of ``factory.yaml``; the result must be settings that load.
- ``csv path`` is written to that path.
- ``text``: what the block before it prints: these lines, in this order; numbers, hashes, ports and folders may differ,
  and ``…`` stands for anything.

Any other language is shown and not used.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer.main

from contracts import source

ROOT = source.root()
_FENCE = re.compile(r"^```(\S+)[ \t]*([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
USED = ("bash", "python", "yaml", "csv", "text")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, what stands after it, its text, and the line of its fence."""

    language: str
    about: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """The blocks of a page, ``README.md`` or ``docs/….md``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [
        Block(match[1], match[2].strip(), match[3], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]
    fences = sum(line.lstrip().startswith("```") for line in text.splitlines())
    assert found and 2 * len(found) == fences, f"{page}: {fences} fences, {len(found)} blocks with a language"
    return found


def commands(block: Block) -> Iterator[str]:
    """The commands of a bash block: its lines, those that end with a backslash joined to the next."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def is_make(command: str) -> bool:
    return command.split()[0] == "make"


def is_for_aws(command: str) -> bool:
    """Whether a command acts on another environment than ``local``."""
    words = shlex.split(command, comments=True)
    return words[0] == "cv-factory" and "--env" in words and words[words.index("--env") + 1] != "local"


def check_make(command: str) -> None:
    """Every target of a ``make`` command is one of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [word for word in shlex.split(command)[1:] if "=" not in word]
    assert named and set(named) <= targets, f"{command}: the Makefile has {sorted(targets)}"


def check_verb(command: str) -> None:
    """The command line knows the verb, its options and as many arguments as are given."""
    from cv_factory.cli import app

    found: Any = typer.main.get_command(app)
    words = shlex.split(command, comments=True)[1:]
    context = None
    while True:
        name = "cv-factory" if context is None else found.name
        context = found.make_context(name, list(words), parent=context, resilient_parsing=False)
        if not hasattr(found, "commands"):
            return
        rest = [*context._protected_args, *context.args]
        assert rest, f"{command}: no verb"
        _, inner, words = found.resolve_command(context, rest)
        assert inner is not None, f"{command}: {rest[0]} is no verb"
        found = inner


# --- what is printed --------------------------------------------------------------------------------------------------


def normal(line: str) -> str:
    """A line without what differs from run to run: numbers, hashes, ids, ports, folders, widths."""
    line = re.sub(r"\S*/\.cv-factory/", "<folder>/.cv-factory/", line)
    line = re.sub(r"\S*/(?=factory\.yaml)", "<folder>/", line)
    line = re.sub(r"(?<=execution/)[a-z0-9]{12}|(?<=Execution )[a-z0-9]{12}|(?<=reports/)[a-z0-9]{12}", "<id>", line)
    line = re.sub(r"\b[0-9a-f]{12,64}\b", "<hash>", line)
    line = re.sub(r"(?<![\w/])v?\d[\d,.]*\d(?!\w)|(?<![\w/])\d(?!\w)", "#", line)
    return " ".join(line.split())


def missing(expected: str, printed: str) -> str | None:
    """The first line of ``expected`` that ``printed`` does not have in its place; None: all are there, in order."""
    lines = iter([normal(line) for line in printed.splitlines()])
    for line in expected.splitlines():
        if line.strip() in ("", "…"):
            continue
        pattern = re.escape(normal(line)).replace("…", ".*")
        if not any(re.fullmatch(pattern, there) for there in lines):
            return line
    return None
