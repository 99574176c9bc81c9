"""Rounds of the reconciler, for tests: until nothing is left to do, and what is left in the bucket then."""

from __future__ import annotations

from typing import Any

from contracts.release import AT_ONCE_KEY, CHECKS_KEY, LEASE_KEY, LEDGER_PREFIX, ReleaseSettings
from deployment.outcome import Outcome
from deployment.reconcile import reconcile


def settled(session: Any, settings: ReleaseSettings, plane: Any, *, ok: bool = True) -> Outcome:
    """Reconcile and let time pass until nothing is left to do or to wait for."""
    for _ in range(8):
        result = reconcile(session, settings)
        if result.closed or not result.ok:
            return result
        plane.settle(ok=ok)
    raise AssertionError(f"does not come to an end: {result}")


def objects(session: Any, settings: ReleaseSettings) -> set[str]:
    """What is in the bucket beside the lease, the ledger, the last checks and the last wish, which stay."""
    answer = session.client("s3").list_objects_v2(Bucket=settings.names.artifact_bucket)
    keys = {item["Key"] for item in answer.get("Contents", [])}
    return {
        key for key in keys if key not in (AT_ONCE_KEY, CHECKS_KEY, LEASE_KEY) and not key.startswith(LEDGER_PREFIX)
    }
