"""An endpoint that a person took down stays down: no event and no sweep brings it back.

``cleanup`` writes ``release/down.json`` before it deletes the endpoint: the package that was desired then, why, and
when. It holds as long as that package is the desired one. Another approval, and every ``cv-factory deploy`` or
``rollback``, ends it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contracts.names import DOWN_KEY, Names
from contracts.release import ReleaseSettings
from deployment import aws, log, outcome, packages
from deployment.aws import Session
from deployment.outcome import Outcome

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def take(session: Session, names: Names, why: str) -> None:
    """Keep the endpoint down until another package is desired or a person deploys."""
    s3 = session.client("s3")
    found = packages.desired(session.client("sagemaker"), s3, names).package
    value = {
        "package_arn": found.arn if found else "",
        "why": why,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    aws.write_json(s3, names.artifacts(DOWN_KEY), value)
    log.event("taken down", package_arn=value["package_arn"], why=why)


def is_down(s3: S3Client, names: Names) -> bool:
    """Whether somebody took the endpoint down, and nobody ended that since."""
    return aws.read_json(s3, names.artifacts(DOWN_KEY)) is not None


def lift(s3: S3Client, names: Names) -> None:
    """The endpoint may be created again."""
    where = names.artifacts(DOWN_KEY)
    if aws.read_json(s3, where) is not None:
        s3.delete_object(Bucket=where.bucket, Key=where.key)
        log.event("may be deployed again")


def held(session: Session, settings: ReleaseSettings) -> Outcome | None:
    """What a reconciliation answers while the endpoint is kept down; None: it is not."""
    s3 = session.client("s3")
    value = aws.read_json(s3, settings.names.artifacts(DOWN_KEY))
    if value is None:
        return None
    desired = packages.desired(session.client("sagemaker"), s3, settings.names)
    arn = desired.package.arn if desired.package else ""
    if not isinstance(value, dict) or value.get("package_arn") != arn:
        lift(s3, settings.names)
        return None
    when = f"{value.get('why', '')}, {value.get('at', '')}"
    message = f"the endpoint was taken down ({when}); cv-factory deploy brings it back"
    found = Outcome(outcome.NONE, message, settings.names.endpoint, package_arn=arn, pinned=desired.pinned)
    log.event("held down", **found.to_json())
    return found
