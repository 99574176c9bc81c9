"""Who decides is told that a package waits: one message a package and evaluation, to the topic of the alerts.

Sent from every event and sweep, so one that was lost does not matter. What was sent is remembered in
``release/notices/``, after sending: killed in between, a message comes twice, and never not at all.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from contracts import evaluation, release
from contracts.errors import FactoryError
from contracts.names import NOTICES_PREFIX
from contracts.release import ReleaseSettings
from contracts.s3uri import S3Uri
from deployment import aws, log, packages
from deployment.aws import Session
from deployment.packages import PENDING, Package

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

#: Packages that are looked at, the newest first: older ones were told of long ago.
MOST = 5
#: Publish, Subject: at most 100 ASCII characters. Source: API reference, SNS, Publish.
_SUBJECT = 100
#: Metrics of the message, in this order.
_SHOWN = (evaluation.BALANCED_ACCURACY, evaluation.ACCURACY, evaluation.ECE)


def tell(session: Session, settings: ReleaseSettings) -> tuple[str, ...]:
    """Tell of every package that waits and nobody was told of yet; the ARNs that were told of.

    A topic that is not there (a laptop has none) or refuses is logged and changes nothing.
    """
    sagemaker, s3 = session.client("sagemaker"), session.client("s3")
    told = []
    try:
        for _, arn in list(packages.versions(sagemaker, settings.names.package_group, PENDING))[:MOST]:
            found = packages.describe(sagemaker, arn)
            if found is not None and found.approval == PENDING and _tell(session, s3, sagemaker, settings, found):
                told.append(arn)
    except (ClientError, BotoCoreError, FactoryError) as error:
        missing = isinstance(error, ClientError) and aws.error_code(error) in ("NotFound", "NotFoundException")
        log.event("not told", level=logging.INFO if missing else logging.WARNING, reason=str(error))
    return tuple(told)


def _tell(
    session: Session, s3: S3Client, sagemaker: SageMakerClient, settings: ReleaseSettings, package: Package
) -> bool:
    about = sagemaker.describe_model_package(ModelPackageName=package.arn).get("CustomerMetadataProperties", {})
    if about.get(release.META_APPROVAL) in (release.AUTOMATIC, release.PROMOTED):
        return False  # whoever registered it approves it within the second
    digest = about.get(release.META_EVALUATION, "")[:16] or "none"
    marker = settings.names.artifacts(f"{NOTICES_PREFIX}{package.version}-{digest}.json")
    if aws.read_json(s3, marker) is not None:
        return False
    prefix = packages.model_prefix(package)
    value = aws.read_json(s3, prefix / evaluation.EVALUATION)
    subject, text = message(settings, package, value if isinstance(value, dict) else {}, prefix / evaluation.REPORT)
    sns: Any = cast(Any, session).client("sns")
    answer = sns.publish(TopicArn=settings.names.alerts_topic_arn, Subject=subject, Message=text)
    aws.write_json(s3, marker, {"message_id": answer["MessageId"], "package_arn": package.arn})
    log.event("told", package_arn=package.arn, message_id=answer["MessageId"])
    return True


def message(settings: ReleaseSettings, package: Package, value: dict[str, Any], report: S3Uri) -> tuple[str, str]:
    """Subject and text. No link in it opens anything by itself: the console asks whoever follows it to sign in."""
    names = settings.names
    subject = f"{names.prefix}: {package.label} waits for approval"[:_SUBJECT]
    gate = value.get("gate") or {}
    lines = [
        f"{package.label} of {names.package_group} (account {names.account_id}, {names.region}) waits for approval.",
        "",
        f"Gate: {gate.get('outcome', 'unknown')}. {gate.get('message', '')}".rstrip(),
    ]
    for name in _SHOWN:
        metric = (value.get("metrics") or {}).get(name) or {}
        if metric.get("value") is None:
            continue
        low, high = metric.get("low"), metric.get("high")
        interval = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
        lines.append(f"{name}: {metric['value']:.3f}{interval}")
    lines += [
        "",
        f"Report: {report}",
        f"https://{names.region}.console.aws.amazon.com/s3/object/{report.bucket}?region={names.region}"
        f"&prefix={report.key}",
        "",
        f"cv-factory --env {names.env} approve {package.version}",
        f"cv-factory --env {names.env} reject {package.version} --why …",
    ]
    return subject, "\n".join(lines)
