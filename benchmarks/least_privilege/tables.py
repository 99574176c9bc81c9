"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.least_privilege.removal import Statement

Row = tuple[str, str, str, bool]


def removal(statements: Iterable[Statement]) -> str:
    """A line a statement: how many recorded calls are refused without it."""
    lines = [
        "| role | policy | statement | calls that need it | actions that nothing asked for |",
        "|---|---|---|---|---|",
    ]
    for item in statements:
        pages = " ".join(f"[page]({page})" for page in item.pages)
        note = ", ".join(item.unused) or pages
        lines.append(f"| {item.role} | {item.policy} | {item.sid} | {item.calls or '**none**'} | {note} |")
    return "\n".join(lines) + "\n"


def negative(rows: Sequence[Row]) -> str:
    """A line a call that must be refused."""
    lines = ["| role | call | what would be lost | refused |", "|---|---|---|---|"]
    lines += [f"| {role} | `{call}` | {why} | {'yes' if refused else '**no**'} |" for role, call, why, refused in rows]
    return "\n".join(lines) + "\n"


def page(statements: Sequence[Statement], rows: Sequence[Row]) -> str:
    return (
        "# Least privilege, measured\n\nWritten by `python -m benchmarks.least_privilege --table FILE`.\n\n"
        f"## Removal: {len(statements)} statements\n\n{removal(statements)}\n"
        f"## Negative: {len(rows)} calls\n\n{negative(rows)}"
    )
