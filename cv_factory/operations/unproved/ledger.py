"""What a run has made and must take away again: a file that is written before each thing is made.

A run that is interrupted takes everything away before it ends. A run that is killed leaves the file, and the next run
begins with what it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts import jsonio


@dataclass(frozen=True, slots=True)
class Thing:
    """Something in the account: its kind (:data:`cv_factory.operations.unproved.removal.REMOVERS`) and its name."""

    kind: str
    name: str


class Ledger:
    """The list of one run, in the order of making. ``file`` goes away with the last thing."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._things: list[Thing] = []
        if file.is_file():
            self._things = [Thing(**entry) for entry in jsonio.read(file)]

    @property
    def things(self) -> tuple[Thing, ...]:
        return tuple(self._things)

    def add(self, kind: str, name: str) -> str:
        """Remember a thing that is about to be made; its name."""
        if Thing(kind, name) not in self._things:
            self._things.append(Thing(kind, name))
            self._write()
        return name

    def drop(self, thing: Thing) -> None:
        """Forget a thing that is gone."""
        self._things.remove(thing)
        self._write()

    def _write(self) -> None:
        if self._things:
            jsonio.write(self.file, [{"kind": thing.kind, "name": thing.name} for thing in self._things])
        else:
            self.file.unlink(missing_ok=True)
