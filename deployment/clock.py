"""The time of this machine, in one place: tests let it pass by replacing :func:`now`."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Now, UTC."""
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    """``2026-11-26T15:06:35Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
