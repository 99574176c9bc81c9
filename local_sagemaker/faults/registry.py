"""Which faults are on, and whether one strikes now.

Whenever something happens that a fault could strike, the fault counts it. Whether it strikes follows from its seed and
that number alone: the same calls in the same order meet the same faults, also over a restart of the server.
"""

from __future__ import annotations

import contextlib
import fnmatch
import random
import threading
import uuid
from dataclasses import dataclass
from typing import Any

from local_sagemaker.store import Missing, Store

_KIND = "fault"

CAPACITY, QUOTA, THROTTLING = "capacity", "quota", "throttling"
BEFORE, AFTER = "error-before", "error-after"
NEVER_PINGS, SLOW_START = "never-pings", "slow-start"
EVENT_TWICE, EVENT_LATE, EVENT_LOST = "event-twice", "event-late", "event-lost"
NOT_YET_ASSUMABLE = "role-not-yet-assumable"

#: Each fault, and what it strikes when neither ``service`` nor ``operation`` is given.
NAMES: dict[str, tuple[str, ...]] = {
    CAPACITY: ("CreateEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"),
    QUOTA: ("CreateEndpoint", "UpdateEndpoint", "CreateTrainingJob", "CreateProcessingJob", "CreateTransformJob"),
    THROTTLING: (),
    BEFORE: (),
    AFTER: (),
    NEVER_PINGS: (),
    SLOW_START: (),
    EVENT_TWICE: (),
    EVENT_LATE: (),
    EVENT_LOST: (),
    NOT_YET_ASSUMABLE: (),
}
#: These take ``seconds``, of the server's clock.
TIMED = (SLOW_START, EVENT_LATE, NOT_YET_ASSUMABLE)
#: These take ``resource``: the name of an endpoint, job or role.
NAMED = (CAPACITY, NEVER_PINGS, SLOW_START, NOT_YET_ASSUMABLE)
#: These strike calls, so they take ``access_key``: whose.
CALLS = (QUOTA, THROTTLING, BEFORE, AFTER)
_FIELDS = ("name", "service", "operation", "resource", "access_key", "times", "probability", "seed", "seconds")


class BadFault(Exception):
    """A fault that cannot be; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as it was asked for. ``service``, ``operation``, ``resource`` and ``access_key`` (of whoever calls) may
    hold ``*``; empty means any.

    ``times``: it strikes so often at the most, None: for ever. ``probability``: of each strike, 0 to 1.
    """

    name: str
    service: str = ""
    operation: str = ""
    resource: str = ""
    access_key: str = ""
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    seconds: float = 0.0

    def concerns(self, service: str, operation: str, resource: str, access_key: str = "") -> bool:
        defaults = NAMES[self.name] if not self.operation and not self.service else ()
        if defaults and operation not in defaults:
            return False
        wanted = (
            (self.service, service), (self.operation, operation), (self.resource, resource),
            (self.access_key, access_key),
        )  # fmt: skip
        return all(not pattern or fnmatch.fnmatchcase(given.lower(), pattern.lower()) for pattern, given in wanted)

    def strikes(self, number: int) -> bool:
        """Does it strike the ``number``-th (from 0) thing that it concerns?"""
        if self.probability >= 1:
            return True
        return random.Random(f"{self.seed}:{number}").random() < self.probability  # noqa: S311 - chance, no secret


class Faults:
    """The faults that are on. They are stored: a killed server goes on with them. Safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._on: list[tuple[str, Fault, dict[str, int]]] = []
        for record in store.list(_KIND):
            counts = {"seen": record.body["seen"], "struck": record.body["struck"]}
            self._on.append((record.name, Fault(**record.body["fault"]), counts))

    @property
    def active(self) -> bool:
        """Is any fault on?"""
        return bool(self._on)

    def replace(self, wanted: Any) -> None:
        """Have these faults, and no others, from now on.

        Raises:
            BadFault: nothing has changed.
        """
        if not isinstance(wanted, list):
            raise BadFault('expected a list of faults, for example [{"name": "throttling", "times": 2}]')
        faults = [_read(one) for one in wanted]
        fresh: list[tuple[str, Fault, dict[str, int]]] = []
        with self._store.transaction():
            for record in self._store.list(_KIND):
                self._store.delete(_KIND, "", record.name)
            for fault in faults:
                counts = {"seen": 0, "struck": 0}
                name = uuid.uuid4().hex
                self._store.insert(_KIND, "", name, {"fault": _shown(fault), **counts})
                fresh.append((name, fault, counts))
            with self._lock:
                self._on = fresh

    def clear(self) -> None:
        self.replace([])

    def listed(self) -> list[dict[str, Any]]:
        """Each fault with how often it could have struck (``seen``) and did (``struck``)."""
        with self._lock:
            return [_shown(fault) | counts for _, fault, counts in self._on]

    def strike(
        self, name: str, *, service: str = "", operation: str = "", resource: str = "", access_key: str = ""
    ) -> Fault | None:
        """Something happens that faults of this name could strike: the first that does, None when none does."""
        if not self._on:  # nearly always
            return None
        found: Fault | None = None
        changed: dict[str, dict[str, int]] = {}
        with self._lock:
            for key, fault, counts in self._on:
                if fault.name != name or not fault.concerns(service, operation, resource, access_key):
                    continue
                if fault.times is not None and counts["struck"] >= fault.times:
                    continue
                struck = fault.strikes(counts["seen"])
                counts["seen"] += 1
                counts["struck"] += struck
                changed[key] = dict(counts)
                if struck:
                    found = fault
                    break
        for key, counts in changed.items():  # not under the lock: the caller may hold the store's
            self._keep(key, counts)
        return found

    def _keep(self, key: str, counts: dict[str, int]) -> None:
        def change(body: dict[str, Any]) -> None:
            body |= {name: max(count, body[name]) for name, count in counts.items()}

        with contextlib.suppress(Missing):  # replaced meanwhile
            self._store.update(_KIND, "", key, change)


def _shown(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in _FIELDS}


def _read(given: Any) -> Fault:
    if not isinstance(given, dict) or given.get("name") not in NAMES:
        name = given.get("name") if isinstance(given, dict) else given
        raise BadFault(f"there is no fault {name!r}; these are: {', '.join(NAMES)}")
    unknown = set(given) - set(_FIELDS)
    if unknown:
        raise BadFault(f"unknown members {', '.join(sorted(unknown))}; a fault has: {', '.join(_FIELDS)}")
    fault = Fault(**given)
    for name in ("service", "operation", "resource", "access_key"):
        if not isinstance(getattr(fault, name), str):
            raise BadFault(f"{name} must be a text, not {getattr(fault, name)!r}")
    if fault.resource and fault.name not in NAMED:
        raise BadFault(f"{fault.name} takes no resource; these do: {', '.join(NAMED)}")
    if fault.access_key and fault.name not in CALLS:
        raise BadFault(f"{fault.name} takes no access_key; these do: {', '.join(CALLS)}")
    if fault.times is not None and (not _is_number(fault.times, int) or fault.times < 1):
        raise BadFault(f"times must be a whole number from 1 on, not {fault.times!r}")
    if not _is_number(fault.probability, int | float) or not 0 < fault.probability <= 1:
        raise BadFault(f"probability must be above 0 and at most 1, not {fault.probability!r}")
    if not _is_number(fault.seed, int):
        raise BadFault(f"seed must be a whole number, not {fault.seed!r}")
    if not _is_number(fault.seconds, int | float) or fault.seconds < 0 or (fault.name in TIMED) != (fault.seconds > 0):
        takes = f"{fault.name} needs seconds above 0" if fault.name in TIMED else f"{fault.name} takes no seconds"
        raise BadFault(f"{takes}; given: {fault.seconds!r}")
    return fault


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
