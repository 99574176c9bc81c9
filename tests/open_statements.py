"""The table of docs/security.md: statements about every resource, and why no finer one will do."""

from __future__ import annotations

import re

from contracts import source

_ROW = re.compile(r"^\| `([a-z-]+)` \| `(\w+)` \| (.*\S) \|$", re.M)


def explained() -> dict[tuple[str, str], str]:
    """(policy, Sid) -> why."""
    text = (source.root() / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.partition("## Where a policy names every resource\n")[2].partition("\n## ")[0]
    rows = _ROW.findall(section)
    found = {(policy, sid): why for policy, sid, why in rows}
    assert len(found) == len(rows), "a statement has two rows"
    return found
