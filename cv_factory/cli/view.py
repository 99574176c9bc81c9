"""How an execution is shown: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from contracts import names
from cv_factory.cli.common import Screen

if TYPE_CHECKING:
    from rich.table import Table

    from cv_factory.operations.executions import Execution, Step
    from deployment.ledger import Release

#: Steps that a person waits for, in order; conditions are shown only when they failed.
MAIN = (
    names.PREPROCESS, names.CHAMPION, names.TRAIN, names.EVALUATE, names.KEEP, names.REGISTER, names.PUBLISH,
)  # fmt: skip
_COLOURS = {"Succeeded": "green", "Failed": "red", "Executing": "yellow", "Stopped": "magenta"}
#: Seconds between two looks at the log of the running step.
_LOG_EVERY = 3.0
#: Characters of it that are shown.
_LINE = 60


def visible(execution: Execution) -> list[Step]:
    """The steps that are shown: all but conditions that went well."""
    return [step for step in execution.steps if step.kind != "Condition" or step.status == "Failed"]


def status_text(step: Step) -> str:
    """``Succeeded``, or ``Succeeded (cache)``."""
    return f"{step.status} (cache)" if step.cache_hit else step.status


def table(execution: Execution, *, waiting: bool, last_lines: Mapping[str, str] | None = None) -> Table:
    """Steps with status and seconds; with ``waiting``, the main steps that have not started too.

    ``last_lines``: step name -> the last line of its log, shown while it runs.
    """
    from rich.table import Table
    from rich.text import Text

    result = Table(box=None, pad_edge=False, show_header=False, caption_justify="left")
    result.add_column("step", min_width=12, no_wrap=True)
    result.add_column("status", min_width=18, no_wrap=True)
    result.add_column("seconds", justify="right", min_width=9, no_wrap=True)
    result.add_column("note")
    shown = visible(execution)
    for step in shown:
        note = step.failure or (last_lines or {}).get(step.name, "")[:_LINE]
        status = Text(status_text(step), style=_COLOURS.get(step.status, ""))
        result.add_row(Text(step.name), status, f"{step.seconds:.1f} s", Text(" ".join(note.split()), style="dim"))
    if waiting and execution.running:
        there = {step.name for step in shown}
        for name in MAIN:
            if name not in there:
                result.add_row(Text(name, style="dim"), Text("waiting", style="dim"), "", "")
    return result


def release(found: Release) -> str:
    """A release on one line: when, what, how it ended, who approved it, and what its checks warned of."""
    from deployment.report import Report

    facts = found.facts
    when = next(iter(found.states.values()), "")
    by = f", approved by {facts['approved_by']}" if facts.get("approved_by") else ""
    missed = ", ".join(facts.get("no_capacity") or ())
    instead = f" ({missed} had no capacity)" if missed else ""
    why = f": {found.reason}" if found.reason else ""
    what = f"version {facts.get('version', '?')}, {facts.get('strategy', '?')} on {facts.get('instance_type', '?')}"
    checked = Report.read(facts.get("checks"))
    return f"  {when}  {found.state:<10} {what}{instead}{by}{why}{checked.warnings if checked else ''}"


@contextmanager
def watching(screen: Screen, last_line: Callable[[Step], str]) -> Iterator[Callable[[Execution], None]]:
    """A function that shows each look at an execution.

    Args:
        last_line: the last line of a running step's log; asked for on a terminal only, and rarely.
    """
    if screen.out.is_terminal and not screen.json:
        from rich.live import Live

        with Live(console=screen.out, auto_refresh=False, transient=True) as live:
            yield _Live(live, last_line).show
    else:
        yield _Lines(screen).show


class _Live:
    def __init__(self, live: Any, last_line: Callable[[Step], str]) -> None:
        self._live = live
        self._last_line = last_line
        self._lines: dict[str, str] = {}
        self._read = 0.0

    def show(self, execution: Execution) -> None:
        running = next((step for step in execution.steps if step.status == "Executing" and step.job), None)
        if running is not None and time.monotonic() - self._read > _LOG_EVERY:
            self._lines = {running.name: self._last_line(running)}
            self._read = time.monotonic()
        self._live.update(table(execution, waiting=True, last_lines=self._lines), refresh=True)


class _Lines:
    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._told: dict[str, str] = {}

    def show(self, execution: Execution) -> None:
        for step in visible(execution):
            text = status_text(step)
            if self._told.get(step.name) == text:
                continue
            self._told[step.name] = text
            seconds = "" if step.status in ("Executing", "Starting") else f" in {step.seconds:.1f} s"
            self._screen.say(f"  {step.name}: {text}{seconds}")
