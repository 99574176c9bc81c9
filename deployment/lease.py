"""One run at a time acts on an environment's release: a short lease, kept by conditional writes to one S3 object.

``release/lease.json`` holds ``{"holder", "until", "again", "nonce"}``. Every change of it is a PutObject with
``IfNoneMatch: *`` (the first) or ``IfMatch`` (all others), so of two writers one wins and the other gets 412.

- *Take*: only a lease that nobody holds, or whose ``until`` has passed (its holder was killed).
- *Never wait*: who finds it held marks it with ``again`` and leaves. The holder sees the mark when it gives the lease
  back, and looks once more. So what came in between is never forgotten, and nobody waits for anybody. If the holder is
  killed, the mark is lost with it, and the sweep does what is due.
- *Keep*: before each action the holder checks that the lease is still its own, and renews it when half of it is gone.
  A holder that was asleep for longer than the lease lasts stops instead of acting.

What the lease cannot forbid is the one call that was on its way when the lease ran out. It does no harm: names are
hashes of contents, and SageMaker refuses to update an endpoint that is being updated. Times are compared between
machines, so clocks must agree to a few seconds; those of AWS and of any machine with NTP do.

Source: Amazon S3 User Guide, "Add preconditions to S3 operations with conditional requests".
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from contracts.release import LEASE_KEY, ReleaseSettings
from deployment import aws, clock, log

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: How long a lease lasts without being renewed. A run makes a handful of calls between two renewals.
LASTS = timedelta(seconds=90)
#: The marks of who found the lease held: look once more; and, a person asks to try again what failed.
LOOK, RETRY = "look", "retry"
#: Lost races before a run says that another one is at work. Each lost race means that somebody else has acted.
_TRIES = 5


class LeaseLost(Exception):
    """Another run holds the lease now: this one must not act any more."""


@dataclass(slots=True)
class Lease:
    """A lease that this run holds. Made by :func:`take`."""

    s3: S3Client
    settings: ReleaseSettings
    holder: str
    etag: str
    until: datetime

    def hold(self) -> None:
        """Call it before each action.

        Raises:
            LeaseLost: the lease ran out and somebody else has it.
        """
        moment = clock.now()
        if self.until - moment > LASTS / 2:
            return
        for _ in range(_TRIES):
            if self._put(self.holder, moment + LASTS, again=self._mark()):
                return
        raise LeaseLost

    def give_back(self, *, anyway: bool = False) -> str:
        """End the lease; the empty text when it has ended.

        :data:`LOOK` or :data:`RETRY`: somebody came meanwhile, so the caller still holds it and must look once more.
        ``anyway``: the caller cannot; the lease ends, and the sweep does what is due.
        """
        for _ in range(_TRIES):
            try:
                found = self._mark()
                mark = "" if anyway else found
            except LeaseLost:
                log.event("lease-lost", holder=self.holder)
                return ""
            if self._put(self.holder if mark else "", clock.now() + (LASTS if mark else timedelta()), again=""):
                return mark
        return ""  # it runs out by itself

    def _mark(self) -> str:
        """Look at the object afresh: is it still ours, and has somebody left a mark?"""
        value, etag = _read(self.s3, self.settings)
        if value.get("holder") != self.holder:
            raise LeaseLost
        self.etag = etag
        return str(value.get("again", ""))

    def _put(self, holder: str, until: datetime, *, again: str) -> bool:
        etag = _write(self.s3, self.settings, _value(holder, until, again=again), self.etag)
        if etag is None:
            return False
        self.etag, self.until = etag, until
        return True


def take(s3: S3Client, settings: ReleaseSettings, mark: str = LOOK) -> Lease | None:
    """The lease, or None where another run holds it; that run finds the mark and looks once more."""
    for _ in range(_TRIES):
        value, etag = _read(s3, settings)
        moment = clock.now()
        if value.get("holder") and moment < datetime.fromisoformat(str(value["until"])):
            if value.get("again") in (mark, RETRY):
                return None
            if _write(s3, settings, {**value, "again": mark, "nonce": _nonce()}, etag) is not None:
                return None
            continue
        holder, until = _nonce(), moment + LASTS
        mine = _write(s3, settings, _value(holder, until, again=""), etag)
        if mine is not None:
            return Lease(s3, settings, holder, mine, until)
    return None


def _value(holder: str, until: datetime, *, again: str) -> dict[str, Any]:
    """The nonce makes every content, and so every ETag, another one."""
    return {"holder": holder, "until": until.isoformat(), "again": again, "nonce": _nonce()}


def _nonce() -> str:
    return secrets.token_hex(8)


def _read(s3: S3Client, settings: ReleaseSettings) -> tuple[dict[str, Any], str]:
    """What the lease says, and its ETag; ``({}, "")`` where there is none, or none that can be read."""
    value, etag = aws.read_json_and_etag(s3, settings.names.artifacts(LEASE_KEY))
    if isinstance(value, dict) and isinstance(value.get("until"), str):
        return value, etag
    return {}, etag


def _write(s3: S3Client, settings: ReleaseSettings, value: dict[str, Any], etag: str) -> str | None:
    """Write it if it still has ``etag`` (empty: if it is not there); the new ETag, None where another was faster."""
    return aws.write_json_if(s3, settings.names.artifacts(LEASE_KEY), value, etag)
