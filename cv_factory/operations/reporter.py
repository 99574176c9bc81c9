"""How an operation tells what it is doing. The command line shows it; a library call may ignore it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Reporter:
    """Says nothing; the command line overrides both methods."""

    def say(self, text: str) -> None:
        """One line a person should read: a decision, something left out, where a file is."""

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """A stretch of work of ``total`` units; the yielded function is called with the units just done."""
        yield lambda done: None
