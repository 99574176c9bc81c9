"""From when on a role of moto can be assumed; kept with the role, so it outlives the server."""

from __future__ import annotations

from typing import Any

_FROM = "assumable_from"


def make_late(role: Any, instant: float) -> None:
    """``instant``: seconds since the epoch, on the server's clock."""
    role.__dict__[_FROM] = instant


def is_assumable(role: Any, now: float) -> bool:
    return float(role.__dict__.get(_FROM, 0.0)) <= now
