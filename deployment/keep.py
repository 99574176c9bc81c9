"""The pipeline's steps Champion, Keep and Publish."""

from __future__ import annotations

import hashlib
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
    from mypy_boto3_sagemaker import SageMakerClient

#: CopyObject copies at most 5 GB in one call. Source: S3 User Guide, "Copying, moving, and renaming objects".
MAX_COPY_BYTES = 5 * 1024**3

#: What a person decides by.
_EVIDENCE = (evaluation.EVALUATION, evaluation.REPORT)


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
    started_by: str = release.UNKNOWN,
) -> dict[str, str]:
    """Copy what a package will name to ``packages/<bundle hash>/`` and say whether the group knows that bundle.

    The same bundle served with another precision is another package: ``packages/<bundle hash>-int8/``.

    The list ``kept.json`` is written last, and a prefix that has it is complete. A copy that was interrupted starts
    over; one that lost an object gets that object again. What an Approved package names is never replaced. Otherwise
    the newest evaluation counts, because it compares with the champion of now: it takes the place of the older one, and
    a package of the bundle that waits or was rejected names it from then on.

    Args:
        model_uri: the archive that ``train`` made.
        evaluation_uri: the prefix with the output of ``evaluate``.
        dataset_uri: the prefix with the output of ``preprocess``.
        started_by: the STS identity that started the execution.

    Returns:
        The kept URIs, what ``evaluation.json`` says of the bundle, the SHA-256 of the kept evaluation and report, and
        ``known``: the ARN of any package of the group with this bundle (whatever its status), and its approval status;
        both empty for a new bundle.

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
    sagemaker = session.client("sagemaker")
    known = packages.with_bundle(sagemaker, settings.names.package_group, facts["bundle_hash"], facts["precision"])
    final = known is not None and known.approval == packages.APPROVED
    if not final:
        _forget_other_evidence(s3, sources, prefix)
    copied = _copy(s3, sources, prefix, execution_id)
    evidence = _evidence(s3, prefix)
    if known is not None and not final:
        _renew(sagemaker, known, evidence, execution_id, started_by)
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
        **evidence,
        "known": known.arn if known else "",
        "known_status": known.approval if known else "",
    }


def _forget_other_evidence(s3: S3Client, sources: dict[str, S3Uri], prefix: S3Uri) -> None:
    """Take the list away from a complete prefix whose evaluation or report is not this run's: then all is copied."""
    if release.KEPT not in _names(s3, prefix):
        return
    for name in _EVIDENCE:
        newest = _sha256(s3, sources[name])
        if newest and newest != _sha256(s3, prefix / name):
            s3.delete_object(Bucket=prefix.bucket, Key=(prefix / release.KEPT).key)
            return


def _evidence(s3: S3Client, prefix: S3Uri) -> dict[str, str]:
    """What the package will say about the evaluation that is kept."""
    value = aws.read_json(s3, prefix / evaluation.EVALUATION)
    champion = value.get("champion") if isinstance(value, dict) else None
    return {
        release.META_EVALUATION: _sha256(s3, prefix / evaluation.EVALUATION),
        release.META_REPORT: _sha256(s3, prefix / evaluation.REPORT),
        release.META_CHAMPION: str(champion["bundle_hash"]) if champion else release.NO_CHAMPION,
    }


def _renew(
    sagemaker: SageMakerClient, known: packages.Package, evidence: dict[str, str], execution_id: str, started_by: str
) -> None:
    """A package of this bundle that waits, or was rejected, names the evaluation that is kept now."""
    about = {**evidence, release.META_EXECUTION: execution_id, release.META_STARTED_BY: started_by}
    there = sagemaker.describe_model_package(ModelPackageName=known.arn).get("CustomerMetadataProperties", {})
    if all(there.get(name) == value for name, value in evidence.items()):
        return
    sagemaker.update_model_package(ModelPackageArn=known.arn, CustomerMetadataProperties={**there, **about})
    log.event("evaluated again", package_arn=known.arn, execution_id=execution_id)


def _sha256(s3: S3Client, uri: S3Uri) -> str:
    """Of an object's content; empty where there is none."""
    try:
        body = s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"]
    except ClientError as error:
        if aws.is_missing(error):
            return ""
        raise
    found = hashlib.sha256()
    for chunk in body.iter_chunks(1 << 20):
        found.update(chunk)
    return found.hexdigest()


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
