"""The result as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bad_model.cell import Found
from benchmarks.bad_model.measure import Share

_HEAD = ("strategy", "bad model", "back", "found by", "share seen (most allowed)", "bad one's requests",
         "failed there", "lost on the good one", "minutes")  # fmt: skip


def table(found: Sequence[Found]) -> str:
    """One row a cell."""
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(one) for one in found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(one: Found) -> tuple[str, ...]:
    return (
        one.strategy, one.kind, "yes" if one.back else "**no**", one.caught or "nothing", _shares(one.shares),
        f"{one.bad} of {one.asked}", str(one.failed_on_bad), str(one.lost), f"{one.minutes:g}",
    )  # fmt: skip


def _shares(shares: Sequence[Share]) -> str:
    if not shares:
        return "not limited"
    return "; ".join(f"{share.found:.1%} ({share.most:.1%})" for share in shares)
