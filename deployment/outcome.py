"""What a reconciliation did, or why it did nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

#: Nothing is approved, so nothing is served (an endpoint that is there stays as it is).
NONE = "none"
#: The endpoint serves what is desired. The release is closed.
SERVING = "serving"
#: The endpoint was created, or its update was started.
CREATED, UPDATED = "created", "updated"
#: A failed endpoint was removed; it is created again when it is gone.
REMOVED = "removed"
#: The endpoint is changing; its next event continues.
WAITING = "waiting"
#: The roll-out of what is desired has failed once and is not tried again by itself.
FAILED = "failed"
#: The checks refuse what is desired, so nothing was changed. They are made again when a person asks.
REFUSED = "refused"
#: The endpoint is in a state that only a person can leave.
BLOCKED = "blocked"

ACTIONS = (NONE, SERVING, CREATED, UPDATED, REMOVED, WAITING, FAILED, REFUSED, BLOCKED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of :func:`deployment.reconcile.reconcile`.

    Attributes:
        action: one of :data:`ACTIONS`.
        message: one sentence for a person.
        endpoint: its name.
        endpoint_status: as SageMaker says it; empty: there is no endpoint.
        package_arn: the desired package; empty: none.
        pinned: whether the pin chose it.
        endpoint_config: the desired configuration's name; empty: none.
        removed: models and endpoint configurations of ours that nothing used any more.
        instance_type: of that configuration.
        release_id: of the release that is open, or failed last; empty: none.
        actions: what this run has done, each ``{"action", "name", "reason"}``.
    """

    action: str
    message: str
    endpoint: str
    endpoint_status: str = ""
    package_arn: str = ""
    pinned: bool = False
    endpoint_config: str = ""
    removed: tuple[str, ...] = ()
    instance_type: str = ""
    release_id: str = ""
    actions: tuple[dict[str, str], ...] = ()

    @property
    def closed(self) -> bool:
        """Nothing is left to do or to wait for."""
        return self.action in (NONE, SERVING)

    @property
    def ok(self) -> bool:
        """False when a person has to look at it."""
        return self.action not in (FAILED, REFUSED, BLOCKED)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcome:
        """What :meth:`to_json` wrote; fields of a newer deployer are left out."""
        known = {item.name for item in fields(cls)}
        given: dict[str, Any] = {
            name: tuple(item) if isinstance(item, list) else item for name, item in value.items() if name in known
        }
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "removed": list(self.removed), "actions": list(self.actions)}
