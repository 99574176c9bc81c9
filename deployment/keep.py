"""The pipeline's steps Champion, Keep and Publish."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts import bundle, dataset, evaluation, release
from contracts.errors import ContractError
from contracts.names import NO_CHAMPION_PREFIX
from contracts.release import ReleaseSettings
from contracts.s3uri import S3Uri
from deployment import aws, log, packages
from deployment.aws import Session

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: CopyObject copies at most 5 GB in one call. Source: S3 User Guide, "Copying, moving, and renaming objects".
MAX_COPY_BYTES = 5 * 1024**3


def champion(session: Session, settings: ReleaseSettings) -> dict[str, str]:
    """The package that the release desires now, for ``evaluate`` to compare with; all values are text."""
    found = packages.desired(session.client("sagemaker"), session.client("s3"), settings.names).package
    if found is None:
        uri = settings.names.artifacts(NO_CHAMPION_PREFIX)
        return {"champion_uri": str(uri), "package_arn": "", "bundle_hash": ""}
    return {
        "champion_uri": str(packages.model_prefix(found)),
        "package_arn": found.arn,
        "bundle_hash": found.bundle_hash,
    }


def keep(
    session: Session,
    settings: ReleaseSettings,
    *,
    execution_id: str,
    model_uri: str,
    evaluation_uri: str,
    dataset_uri: str,
) -> dict[str, str]:
    """Copy what a package will name to ``packages/<bundle hash>/`` and say whether the group knows that bundle.

    The same bundle served with another precision is another package: ``packages/<bundle hash>-int8/``.

    What is kept is never replaced: the list ``kept.json`` is written last, and a prefix that has it is complete. A copy
    that was interrupted starts over; one that lost an object gets that object again.

    Args:
        model_uri: the archive that ``train`` made.
        evaluation_uri: the prefix with the output of ``evaluate``.
        dataset_uri: the prefix with the output of ``preprocess``.

    Returns:
        The kept URIs, what ``evaluation.json`` says of the bundle, and ``known``: the ARN of any package of the group
        with this bundle (whatever its status), and its approval status; both empty for a new bundle.

    Raises:
        ContractError: something to keep is missing, too large, or not what its contract says.
    """
    s3 = session.client("s3")
    results = S3Uri.parse(evaluation_uri).as_prefix
    facts = _evaluation(s3, results / evaluation.EVALUATION)
    prefix = settings.names.artifacts(release.package_prefix(facts["bundle_hash"], facts["precision"]))
    sources = {
        bundle.ARCHIVE: S3Uri.parse(model_uri),
        evaluation.EVALUATION: results / evaluation.EVALUATION,
        evaluation.REPORT: results / evaluation.REPORT,
        evaluation.PREDICTIONS: results / evaluation.PREDICTIONS,
        evaluation.MODEL_CARD: results / evaluation.MODEL_CARD,
        release.DATASET_MANIFEST: S3Uri.parse(dataset_uri).as_prefix / dataset.MANIFEST,
    }
    copied = _copy(s3, sources, prefix, execution_id)
    known = packages.with_bundle(
        session.client("sagemaker"), settings.names.package_group, facts["bundle_hash"], facts["precision"]
    )
    log.event(
        "kept",
        execution_id=execution_id,
        prefix=str(prefix),
        copied=copied,
        known=known.arn if known else "",
    )
    return {
        "package_uri": str(prefix),
        "model_uri": str(prefix / bundle.ARCHIVE),
        "evaluation_file_uri": str(prefix / evaluation.EVALUATION),
        "report_uri": str(prefix / evaluation.REPORT),
        "model_card_uri": str(prefix / evaluation.MODEL_CARD),
        **facts,
        "known": known.arn if known else "",
        "known_status": known.approval if known else "",
    }


def publish(session: Session, *, package_arn: str, model_card_uri: str) -> dict[str, str]:
    """Attach the kept model card to the package that was just registered.

    Raises:
        ContractError: the card is missing, too long or not JSON.
    """
    uri = S3Uri.parse(model_card_uri)
    value = aws.read_json(session.client("s3"), uri)
    if value is None:
        raise ContractError(f"{uri} is missing", "The step Keep copies it; run the pipeline again.")
    card = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(card) > evaluation.MAX_MODEL_CARD_CHARACTERS:
        raise ContractError(
            f"the model card has {len(card)} characters; at most {evaluation.MAX_MODEL_CARD_CHARACTERS} are allowed",
            "Shorten what evaluate writes to model_card.json.",
        )
    packages.attach_card(session.client("sagemaker"), package_arn, card)
    return {"package_arn": package_arn}


def _evaluation(s3: S3Client, uri: S3Uri) -> dict[str, str]:
    """What Register names of ``evaluation.json``."""
    value: Any = aws.read_json(s3, uri)
    if value is None:
        raise ContractError(f"{uri} is missing", "The step Evaluate writes it; run the pipeline again.")
    try:
        facts = {
            "bundle_hash": value["bundle_hash"],
            "dataset_hash": value["dataset_hash"],
            "source_hash": value["source_hash"],
            "protocol": value["protocol"],
            "precision": value["serving"]["precision"],
        }
    except (KeyError, TypeError) as error:
        raise ContractError(f"{uri} is incomplete: {error}") from None
    for name, text in facts.items():
        if not isinstance(text, str) or not text:
            raise ContractError(f"{uri}: {name} is {text!r}, not text")
    return facts


@dataclass(frozen=True, slots=True)
class _Source:
    uri: S3Uri
    size: int
    etag: str


def _copy(s3: S3Client, sources: dict[str, S3Uri], prefix: S3Uri, execution_id: str) -> list[str]:
    """Copy what is not kept yet; returns the names that were copied."""
    kept = _names(s3, prefix)
    wanted = sources if release.KEPT not in kept else {name: uri for name, uri in sources.items() if name not in kept}
    if not wanted:
        return []
    found = {name: _look(s3, name, uri) for name, uri in wanted.items()}
    for name, source in found.items():
        target = prefix / name
        s3.copy_object(
            Bucket=target.bucket,
            Key=target.key,
            CopySource={"Bucket": source.uri.bucket, "Key": source.uri.key},
            CopySourceIfMatch=source.etag,
        )
    if release.KEPT not in kept:
        record = {name: {"source": str(item.uri), "bytes": item.size} for name, item in found.items()}
        aws.write_json(s3, prefix / release.KEPT, {"execution_id": execution_id, "objects": record})
    return sorted(found)


def _names(s3: S3Client, prefix: S3Uri) -> set[str]:
    """The names below ``prefix``; a kept package has fewer than 1,000 objects."""
    answer = s3.list_objects_v2(Bucket=prefix.bucket, Prefix=prefix.key)
    return {item["Key"].removeprefix(prefix.key) for item in answer.get("Contents", [])}


def _look(s3: S3Client, name: str, uri: S3Uri) -> _Source:
    try:
        head = s3.head_object(Bucket=uri.bucket, Key=uri.key)
    except ClientError as error:
        if aws.is_missing(error):
            raise ContractError(
                f"{uri} is missing, so {name} cannot be kept",
                "Results of runs expire. Start the pipeline again: the step that makes it will run anew.",
            ) from None
        raise
    if head["ContentLength"] > MAX_COPY_BYTES:
        raise ContractError(
            f"{uri} has {head['ContentLength']} bytes; at most {MAX_COPY_BYTES} can be kept",
            "A model archive of that size is not one of this factory.",
        )
    return _Source(uri, head["ContentLength"], head["ETag"])
