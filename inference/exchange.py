"""What passes between the HTTP side (:mod:`inference.app`) and what answers (a :class:`Service`)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Record:
    """What is logged and counted of a request. Never a part of its body, never its custom attributes.

    Attributes:
        milliseconds: of ``decode``, ``model`` and ``encode``; a stage that was not reached has none.
        predictions: (label, confidence) of each image.
    """

    milliseconds: dict[str, float] = field(default_factory=dict)
    predictions: Sequence[tuple[str, float]] = ()

    def stage(self, name: str) -> _Stage:
        """Measure what runs inside ``with``."""
        return _Stage(self.milliseconds, name)


class _Stage:
    """A context manager without a generator, of which each request enters several."""

    __slots__ = ("_into", "_name", "_started")

    def __init__(self, into: dict[str, float], name: str) -> None:
        self._into, self._name = into, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._into[self._name] = (time.perf_counter() - self._started) * 1000


@dataclass(slots=True)
class Call:
    """A request whose body was read whole.

    Attributes:
        headers: (name in lower case, value), in the order they came in.
        request_id: made here, 32 hexadecimal digits; the answer carries it.
        started: on the clock of ``time.perf_counter``.
    """

    body: bytes
    headers: Sequence[tuple[str, str]]
    request_id: str
    record: Record = field(default_factory=Record)
    started: float = field(default_factory=time.perf_counter)

    def header(self, name: str) -> str | None:
        """The first value of a header; ``name`` in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def accept(self) -> str:
        """All Accept headers as one (RFC 9110, section 5.3); empty when there is none."""
        return ",".join(value for key, value in self.headers if key == "accept")


@dataclass(slots=True)
class Reply:
    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Service(Protocol):
    """What answers requests, loaded and warm. ``answer`` runs in threads, several at once unless there is one."""

    def check(self, headers: Sequence[tuple[str, str]]) -> None:
        """Raise :class:`~inference.errors.RequestError` for a request that cannot be answered whatever its body is."""

    def answer(self, call: Call) -> Reply:
        """Raises :class:`~inference.errors.RequestError` for what the client is to be told; anything else is a 500."""

    def still_runs(self) -> None:
        """Raise when the model does not run any more; asked after an error of ours."""

    def describe(self) -> str:
        """For the line that says ready."""
