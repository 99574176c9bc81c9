"""Locks of Terraform's state: an object ``<root>.tfstate.tflock`` beside it, which a killed Terraform leaves behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts.errors import FactoryError

if TYPE_CHECKING:
    from cv_factory.session import Target


@dataclass(frozen=True, slots=True)
class Lock:
    """Who holds the state of ``terraform/<root>``.

    Attributes:
        id: what ``force-unlock`` asks for.
        what: for a person: the operation, by whom, since when.
    """

    root: str
    id: str
    what: str


def find(target: Target, root: str) -> Lock | None:
    """The lock of a root's state; None: there is none, or no bucket for one."""
    s3: Any = target.client("s3")
    try:
        answer = s3.get_object(Bucket=target.settings.names.state_bucket, Key=f"{root}.tfstate.tflock")
        held = json.loads(answer["Body"].read() or b"{}")
    except (s3.exceptions.NoSuchKey, s3.exceptions.NoSuchBucket):
        return None
    except ValueError:
        held = {}
    what = f"{held.get('Operation', 'something')} by {held.get('Who', 'somebody')} since {held.get('Created', '?')}"
    return Lock(root, str(held.get("ID", "")), what)


def refuse(target: Target, root: str) -> None:
    """Refuse to begin where somebody else's lock stands; Terraform would say so only after its initialisation.

    Raises:
        FactoryError: with the command that removes a lock that was left behind.
    """
    lock = find(target, root)
    if lock is not None:
        raise FactoryError(
            f"the state of terraform/{root} is locked: {lock.what}",
            "If that still runs, wait for it. If it was killed, look at what it did (plan), after:\n"
            f"  cv-factory --env {target.settings.env} infra force-unlock {lock.id}",
        )


def root_of(target: Target, lock_id: str, roots: tuple[str, ...]) -> str:
    """The root whose state is locked with this id.

    Raises:
        FactoryError: none is.
    """
    locks = [lock for root in roots if (lock := find(target, root)) is not None]
    for lock in locks:
        if lock.id == lock_id:
            return lock.root
    held = ", ".join(f"terraform/{lock.root} with {lock.id}" for lock in locks) or "no state"
    raise FactoryError(f"no state is locked with {lock_id}", f"Locked: {held}.")
