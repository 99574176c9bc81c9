"""Looking: everything of an environment that the factory's own code made, found by name, whoever made it when.

What Terraform made (buckets, keys, repositories, roles, the deployer, its alarms) is not looked for here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts import release, source
from contracts.hashing import SHORT
from contracts.names import VARIANT
from cv_factory.operations import prices
from cv_factory.operations.cleanup.things import (
    ALARM,
    CONFIG,
    ENDPOINT,
    EXECUTION,
    IMAGE,
    KEPT,
    MODEL,
    RUN,
    SCALING,
    Inventory,
    Release,
    Thing,
)
from deployment import aws, packages
from deployment.packages import APPROVED

if TYPE_CHECKING:
    from cv_factory.session import Target

#: A temporary endpoint that checks a package beside the one that serves.
STAGING = "-staging"
#: Where the deployer records releases, and the state of one that ended well.
_LEDGER, _SUCCEEDED = "release/ledger/", "succeeded"
_GONE = (
    "NoSuchBucket", "RepositoryNotFoundException", "ResourceNotFound", "ResourceNotFoundException",
)  # fmt: skip


class Look:
    """One look at an environment. A part of the base that is not there holds nothing."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.names = target.settings.names
        self.sagemaker = target.client("sagemaker")

    def everything(self) -> Inventory:
        """All that ``cleanup`` decides about."""
        found = [package for _, arn in self._versions() if (package := packages.describe(self.sagemaker, arn))]
        desired = self._desired()
        kept = list(self._prefixes(KEPT, release.PACKAGES_PREFIX))
        served = self._succeeded()
        releases = tuple(
            Release(
                each.version, each.approval, _prefix(each.model_uri),
                frozenset({each.image.rpartition("@")[2], self._training_digest(each.arn)} - {""}),
                each.approval == APPROVED or each.arn in served,
            )
            for each in found
        )  # fmt: skip
        things = (*self.billed(), *self.configs(), *self.models(), *kept, *self._runs(), *self.images())
        return Inventory(
            things, releases, frozenset(thing.name.rpartition("/")[2] for thing in things if thing.kind == EXECUTION),
            self._needed(), desired,
        )  # fmt: skip

    def billed(self) -> tuple[Thing, ...]:
        """What is asked for by the hour or month while it is there: executions, autoscaling, alarms, endpoints."""
        return (*self.executions(), *self.scaling(), *self.alarms(), *self.endpoints())

    # --- SageMaker ----------------------------------------------------------------------------------------------------

    def endpoints(self) -> Iterator[Thing]:
        ours = (self.names.endpoint, self.names.endpoint + STAGING)
        for item in self._pages("list_endpoints", "Endpoints", NameContains=self.names.endpoint):
            if item["EndpointName"] not in ours:
                continue
            try:
                about = self.sagemaker.describe_endpoint(EndpointName=item["EndpointName"])
            except ClientError as error:
                if not aws.is_missing(error):
                    raise
                continue
            pending = (about.get("PendingDeploymentSummary") or {}).get("EndpointConfigName")
            config = about.get("EndpointConfigName", "")
            yield Thing(
                ENDPOINT, about["EndpointName"], about.get("LastModifiedTime"), status=about["EndpointStatus"],
                uses=tuple(name for name in (config, pending) if name),
                usd_month=self._price_of_endpoint(about, config),
                expire_hours=self._expiry(about["EndpointArn"]),
            )  # fmt: skip

    def _expiry(self, arn: str) -> float:
        tags = {tag["Key"]: tag["Value"] for tag in self.sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        try:
            return max(0.0, float(tags.get(release.EXPIRY_TAG, "0")))
        except ValueError:
            return 0.0

    def _price_of_endpoint(self, about: dict[str, Any], config: str) -> float | None:
        """USD a month: an hour of its instances, as many as there are now."""
        counts = {each["VariantName"]: int(each.get("CurrentInstanceCount", 1)) for each in
                  about.get("ProductionVariants", [])}  # fmt: skip
        hours = prices.load().instance_hours
        try:
            variants = self.sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        except ClientError as error:
            if not aws.is_missing(error):
                raise
            return None
        total = 0.0
        for each in variants:
            kind = each.get("InstanceType", "")
            if kind not in hours:
                return None
            count = counts.get(each["VariantName"], each.get("InitialInstanceCount", 1))
            total += hours[kind].usd * prices.MONTH_HOURS * count
        return total

    def configs(self) -> Iterator[Thing]:
        for item in self._pages("list_endpoint_configs", "EndpointConfigs", NameContains=f"{self.names.prefix}-"):
            name = item["EndpointConfigName"]
            if not self._is_ours(name):
                continue
            try:
                variants = self.sagemaker.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
            except ClientError as error:
                if not aws.is_missing(error):
                    raise
                continue
            models = tuple(each["ModelName"] for each in variants if each.get("ModelName"))
            yield Thing(CONFIG, name, item.get("CreationTime"), uses=models)

    def models(self) -> Iterator[Thing]:
        for item in self._pages("list_models", "Models", NameContains=f"{self.names.prefix}-"):
            if not self._is_ours(item["ModelName"]):
                continue
            try:
                about = self.sagemaker.describe_model(ModelName=item["ModelName"])
            except ClientError as error:
                if not aws.is_missing(error):
                    raise
                continue
            package = about.get("PrimaryContainer", {}).get("ModelPackageName", "")
            yield Thing(MODEL, item["ModelName"], item.get("CreationTime"), uses=(package,) if package else ())

    def executions(self) -> Iterator[Thing]:
        """Those that run; a pipeline that is not there has none."""
        try:
            for item in self._pages(
                "list_pipeline_executions", "PipelineExecutionSummaries", PipelineName=self.names.pipeline
            ):
                if item.get("PipelineExecutionStatus") in ("Executing", "Stopping"):
                    yield Thing(
                        EXECUTION, item["PipelineExecutionArn"], item.get("StartTime"), usd_month=None,
                        status=item["PipelineExecutionStatus"],
                    )  # fmt: skip
        except ClientError as error:
            if not aws.is_missing(error):
                raise

    def _is_ours(self, name: str) -> bool:
        """As :func:`deployment.specs.is_ours`, which needs the base."""
        return re.fullmatch(rf"{re.escape(self.names.prefix)}-[0-9a-f]{{{SHORT}}}", name) is not None

    def _pages(self, operation: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
        for page in self.sagemaker.get_paginator(operation).paginate(**request):
            yield from page[key]

    # --- beside the endpoint ------------------------------------------------------------------------------------------

    def alarms(self) -> Iterator[Thing]:
        """The endpoint's: ``<endpoint>-…``, but not the deployer's, which are Terraform's."""
        price = prices.load().standing["alarm"].usd
        pages = self.target.client("cloudwatch").get_paginator("describe_alarms")
        for page in pages.paginate(AlarmNamePrefix=f"{self.names.endpoint}-"):
            for item in page.get("MetricAlarms", []):
                if not item["AlarmName"].startswith(f"{self.names.deployer}-"):
                    yield Thing(
                        ALARM, item["AlarmName"], item.get("AlarmConfigurationUpdatedTimestamp"), usd_month=price
                    )

    def scaling(self) -> Iterator[Thing]:
        client = self.target.client("application-autoscaling")
        for endpoint in (self.names.endpoint, self.names.endpoint + STAGING):
            answer = client.describe_scalable_targets(
                ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{endpoint}/variant/{VARIANT}"]
            )
            for item in answer["ScalableTargets"]:
                yield Thing(SCALING, item["ResourceId"], item.get("CreationTime"))

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _prefixes(self, kind: str, below: str) -> Iterator[Thing]:
        """Each ``<below><name>/`` of the artefact bucket with its bytes and its newest object."""
        sizes: dict[str, int] = {}
        newest: dict[str, datetime] = {}
        for item in self._objects(below):
            name = below + item["Key"].removeprefix(below).partition("/")[0] + "/"
            sizes[name] = sizes.get(name, 0) + item["Size"]
            newest[name] = max(newest.get(name, item["LastModified"]), item["LastModified"])
        price = prices.load().standing["s3_gb"].usd
        for name in sorted(sizes):
            yield Thing(kind, name, newest[name], sizes[name], sizes[name] / 1e9 * price)

    def _runs(self) -> Iterator[Thing]:
        return self._prefixes(RUN, release.RUNS_PREFIX)

    def _objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self.target.client("s3").get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self.names.artifact_bucket, Prefix=prefix):
                yield from page.get("Contents", [])
        except ClientError as error:
            _pass_if_gone(error)

    def images(self) -> Iterator[Thing]:
        price = prices.load().standing["ecr_gb"].usd
        pages = self.target.client("ecr").get_paginator("describe_images")
        for repository in (self.names.training_repository, self.names.inference_repository):
            try:
                for page in pages.paginate(repositoryName=repository):
                    for item in page["imageDetails"]:
                        size = int(item.get("imageSizeInBytes", 0))
                        yield Thing(
                            IMAGE, f"{repository}@{item['imageDigest']}", item.get("imagePushedAt"), size,
                            size / 1e9 * price, labels=tuple(item.get("imageTags", ())),
                        )  # fmt: skip
            except ClientError as error:
                _pass_if_gone(error)

    def _needed(self) -> frozenset[str]:
        """Tags and digests of images that the pipeline's definition or the sources of this checkout name."""
        found = {source.source_tag(image) for image in source.IMAGES}
        try:
            text = self.sagemaker.describe_pipeline(PipelineName=self.names.pipeline)["PipelineDefinition"]
        except ClientError as error:
            if not aws.is_missing(error):
                raise
            return frozenset(found)
        return frozenset(found | set(re.findall(r"src-[0-9a-f]+|sha256:[0-9a-f]{64}", text)))

    # --- the registry -------------------------------------------------------------------------------------------------

    def _versions(self) -> list[tuple[int, str]]:
        try:
            return list(packages.versions(self.sagemaker, self.names.package_group))
        except ClientError as error:
            if not aws.is_missing(error):
                raise
            return []

    def _desired(self) -> int:
        try:
            found = packages.desired(self.sagemaker, self.target.client("s3"), self.names).package
        except ClientError as error:
            if not aws.is_missing(error):
                raise
            return 0
        return found.version if found else 0

    def _training_digest(self, arn: str) -> str:
        about = self.sagemaker.describe_model_package(ModelPackageName=arn)
        return str(about.get("CustomerMetadataProperties", {}).get(release.META_TRAINING_DIGEST, ""))

    def _succeeded(self) -> set[str]:
        """ARNs of packages of which the ledger says that a release of them ended well."""
        records: dict[str, list[str]] = {}
        for item in self._objects(_LEDGER):
            records.setdefault(item["Key"].removeprefix(_LEDGER).partition("/")[0], []).append(item["Key"])
        found = set()
        for keys in records.values():
            if any(_SUCCEEDED in key for key in keys):
                first = aws.read_json(self.target.client("s3"), self.names.artifacts(min(keys)))
                found.add(str(first.get("package_arn", "")) if isinstance(first, dict) else "")
        return found - {""}


def _prefix(model_uri: str) -> str:
    """``packages/<bundle hash>/`` of a kept model's URI; empty for any other."""
    _, found, rest = model_uri.partition(f"/{release.PACKAGES_PREFIX}")
    return f"{release.PACKAGES_PREFIX}{rest.partition('/')[0]}/" if found else ""


def _pass_if_gone(error: ClientError) -> None:
    if aws.error_code(error) not in _GONE:
        raise error
