"""moto's state on disk."""

from __future__ import annotations


class State:
    """Snapshots of moto's backends."""

    def changed(self, service: str) -> None:
        """Something of this moto service changed: store it soon."""

    def flush(self, *services: str) -> None:
        """Store what changed in these services now."""
