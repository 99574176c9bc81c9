"""The release that is open, or the last one that failed: ``release/attempt.json``.

An endpoint that went back to its old configuration does not say what it went back from, so the roll-out is noted
before it begins. A package that failed once is not rolled out again until a person says so, or another is desired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from contracts.release import ATTEMPT_KEY, ReleaseSettings
from deployment import aws, log
from deployment.report import Report

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: It is decided; whether SageMaker was asked is not known yet.
PLANNED = "planned"
#: SageMaker has accepted it.
STARTED = "started"
#: It failed, and was told so in the ledger.
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One roll-out.

    Attributes:
        release_id: of its records in the ledger.
        package_arn: what is to be served.
        endpoint_config: the configuration's name, or the empty text.
        instance_type: of that configuration.
        state: :data:`PLANNED`, :data:`STARTED` or :data:`FAILED`.
        modified: the endpoint's LastModifiedTime before it began, empty for a new endpoint. Another one, later, shows
            that the endpoint was asked to change, although the run that asked was killed before it could note so.
        reason: why it failed.
        tried: instance types that had no capacity, in this attempt and the ones before it.
        golden: what the endpoint answered to the golden requests; None: it has not been asked.
    """

    release_id: str
    package_arn: str
    endpoint_config: str
    instance_type: str
    state: str = PLANNED
    modified: str = ""
    reason: str = ""
    tried: tuple[str, ...] = ()
    golden: Report | None = None

    @property
    def failed(self) -> bool:
        return self.state == FAILED

    def with_state(self, state: str, reason: str = "") -> Attempt:
        return replace(self, state=state, reason=reason)

    def to_json(self) -> dict[str, Any]:
        golden = self.golden.to_json() if self.golden else None
        return {**asdict(self), "tried": list(self.tried), "golden": golden}

    @classmethod
    def from_json(cls, value: Any) -> Attempt | None:
        """None for what is no attempt of this version: then nothing is open, and nothing has failed."""
        if not isinstance(value, Mapping) or not {field.name for field in fields(cls)} <= set(value):
            log.event("attempt-not-read", value=str(value)[:200])
            return None
        read = {"tried": tuple(value["tried"]), "golden": Report.read(value["golden"])}
        return cls(**{field.name: value[field.name] for field in fields(cls)} | read)


def read(s3: S3Client, settings: ReleaseSettings) -> Attempt | None:
    value = aws.read_json(s3, settings.names.artifacts(ATTEMPT_KEY))
    return None if value is None else Attempt.from_json(value)


def write(s3: S3Client, settings: ReleaseSettings, attempt: Attempt) -> None:
    aws.write_json(s3, settings.names.artifacts(ATTEMPT_KEY), attempt.to_json())


def remove(s3: S3Client, settings: ReleaseSettings) -> None:
    uri = settings.names.artifacts(ATTEMPT_KEY)
    s3.delete_object(Bucket=uri.bucket, Key=uri.key)
