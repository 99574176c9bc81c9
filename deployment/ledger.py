"""The ledger: who released what, how, and how it ended. Append-only: one S3 object for each change of state.

``release/ledger/<release id>/<number>-<state>.json``. A release's id begins with the time it was opened, so keys are in
order of time. Each object is written with ``IfNoneMatch: *``: what is written is never changed, and a run that was
killed and does a step again writes nothing twice. Nothing here removes one, and no lifecycle rule of the bucket names
this prefix.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from contracts.errors import ContractError
from contracts.release import LEDGER_PREFIX, ReleaseSettings
from contracts.s3uri import S3Uri
from deployment import aws, clock
from deployment.states import FAILED as FAILED
from deployment.states import OPENED as OPENED
from deployment.states import REFUSED as REFUSED
from deployment.states import STARTED as STARTED
from deployment.states import SUCCEEDED as SUCCEEDED
from deployment.states import SUPERSEDED as SUPERSEDED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: State -> the number in its key: states of one release in the order in which they come.
NUMBERS = {OPENED: 0, STARTED: 1, SUCCEEDED: 2, FAILED: 2, SUPERSEDED: 2, REFUSED: 2}


@dataclass(frozen=True, slots=True)
class Release:
    """A release, put together from its records.

    Attributes:
        id: begins with the time it was opened, UTC.
        state: the last one that was recorded.
        facts: the fields of its first record: package, bundle, images, who approved it, the plan.
        states: state -> the time it was recorded.
        reason: why it ended as it did; empty while it is open.
        alarms: the guards' alarms when it ended, each ``{"name", "state", "reason"}``.
        golden: what the endpoint answered to the golden requests, a report of the checks; None: it was not asked.
    """

    id: str
    state: str
    facts: Mapping[str, Any]
    states: Mapping[str, str]
    reason: str = ""
    alarms: tuple[Mapping[str, Any], ...] = ()
    golden: Any = None

    @property
    def open(self) -> bool:
        return self.state in (OPENED, STARTED)

    def to_json(self) -> dict[str, Any]:
        return {
            **self.facts, "release_id": self.id, "state": self.state, "states": dict(self.states),
            "outcome": self.reason, "alarms": [dict(alarm) for alarm in self.alarms], "golden": self.golden,
        }  # fmt: skip


def new_id(moment: datetime, config_name: str) -> str:
    """``20261126T150635.123Z-3f2a9c1e-81b2``: the time, the configuration's hash, and chance against equal times."""
    time = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03}Z"
    return f"{time}-{config_name.rpartition('-')[2][:8]}-{secrets.token_hex(2)}"


def append(s3: S3Client, settings: ReleaseSettings, release_id: str, state: str, fields: Mapping[str, Any]) -> bool:
    """Record a state of a release; False: it is recorded already, and stays as it is."""
    uri = _uri(settings, release_id, state)
    record = {**fields, "release_id": release_id, "state": state, "at": clock.text(clock.now())}
    return aws.write_json_if(s3, uri, record, "") is not None


def told(s3: S3Client, settings: ReleaseSettings, release_id: str) -> dict[str, dict[str, Any]]:
    """State -> record, of the states that begin or end this release and are recorded."""
    found: dict[str, dict[str, Any]] = {}
    for state in (OPENED, SUCCEEDED, FAILED, SUPERSEDED):
        record = aws.read_json(s3, _uri(settings, release_id, state))
        if isinstance(record, dict):
            found[state] = record
    return found


def releases(s3: S3Client, settings: ReleaseSettings, most: int | None = None) -> Iterator[Release]:
    """The releases, newest first; ``most`` of them.

    Raises:
        ContractError: an object of the ledger is no record: somebody else wrote it.
    """
    prefix = settings.names.artifacts(LEDGER_PREFIX)
    keys: dict[str, list[str]] = {}
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
    for page in pages:
        for item in page.get("Contents", []):
            keys.setdefault(item["Key"].removeprefix(prefix.key).partition("/")[0], []).append(item["Key"])
    for release_id in sorted(keys, reverse=True)[:most]:
        records = [aws.read_json(s3, settings.names.artifacts(key)) for key in sorted(keys[release_id])]
        yield _release(release_id, records)


def _uri(settings: ReleaseSettings, release_id: str, state: str) -> S3Uri:
    return settings.names.artifacts(f"{LEDGER_PREFIX}{release_id}/{NUMBERS[state]}-{state}.json")


def _release(release_id: str, records: list[Any]) -> Release:
    if not records or not all(isinstance(record, dict) and record.get("state") in NUMBERS for record in records):
        raise ContractError(
            f"{LEDGER_PREFIX}{release_id}/ holds what is no record of a release",
            "Only the deployer writes there. Look who did: the bucket's access log names them.",
        )
    first, last = records[0], records[-1]
    own = {"release_id", "state", "at", "outcome", "alarms", "golden"}
    ended = last["state"] not in (OPENED, STARTED)
    return Release(
        id=release_id,
        state=last["state"],
        facts={key: value for key, value in first.items() if key not in own}
        if first["state"] in (OPENED, REFUSED)
        else {},
        states={record["state"]: record["at"] for record in records},
        reason=str(last.get("outcome", "")) if ended else "",
        alarms=tuple(last.get("alarms") or ()) if ended else (),
        golden=last.get("golden") if ended else None,
    )
