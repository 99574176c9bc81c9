"""SageMaker models: what runs in a serving container, and with which data.

A model may name a model package instead of an image; the package is read again whenever the model is described or
launched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local_sagemaker import tags
from local_sagemaker.api import Call, operation, page
from local_sagemaker.errors import ValidationException, not_executed
from local_sagemaker.objects import NotFound, ObjectError
from local_sagemaker.registry import packages
from local_sagemaker.roles import CannotAssume
from local_sagemaker.store import Exists, Record

if TYPE_CHECKING:
    from local_sagemaker.platform import Platform

KIND = "model"
_MAX_ENVIRONMENT_BYTES = 32 * 1024

#: Where model data may come from, and what is done with it.
ARCHIVE, FILE, PREFIX = "archive", "file", "prefix"


@operation("CreateModel")
def create(call: Call) -> dict[str, Any]:
    request = call.request
    name = request["ModelName"]
    arn = call.arn(KIND, name)
    if call.platform.store.get(KIND, call.region, name.lower()):
        raise ValidationException(f'Cannot create already existing model "{arn}".')
    tags.check(request.get("Tags"))
    container = _only_container(request)
    _check_container(container)
    if request.get("ExecutionRoleArn"):
        try:
            call.platform.roles.check(request["ExecutionRoleArn"], arn)
        except CannotAssume as error:
            raise ValidationException(str(error)) from None
    body = {
        "ModelName": name,
        "ModelArn": arn,
        "EnableNetworkIsolation": bool(request.get("EnableNetworkIsolation")),
        **{key: request[key] for key in _KEPT if request.get(key)},
    }
    _check_data(call, _resolved(call, container, approved=True))
    call.platform.state.flush("s3", "iam", "ecr")  # what the record names is on disk before the record
    with call.platform.store.transaction():
        try:
            call.platform.store.insert(KIND, call.region, name.lower(), body)
        except Exists:
            raise ValidationException(f'Cannot create already existing model "{arn}".') from None
        tags.create(call, arn, request.get("Tags"))
    return {"ModelArn": arn}


_KEPT = ("PrimaryContainer", "Containers", "InferenceExecutionConfig", "ExecutionRoleArn", "VpcConfig")


def find(call: Call, name: str) -> Record:
    """The model of that name.

    Raises:
        ValidationException: there is none, in AWS's words.
    """
    record = call.platform.store.get(KIND, call.region, name.lower())
    if record is None:
        raise ValidationException(f'Could not find model "{call.arn(KIND, name)}".')
    return record


@operation("DescribeModel")
def describe(call: Call) -> dict[str, Any]:
    record = find(call, call.request["ModelName"])
    answer = record.body | {"CreationTime": record.created}
    try:
        container = _resolved(call, _only_container(record.body))
    except ValidationException:  # its package was deleted: what was given is all there is
        return answer
    if "PrimaryContainer" in record.body:
        return answer | {"PrimaryContainer": container}
    return answer | {"Containers": [container]}


@operation("ListModels")
def list_models(call: Call) -> dict[str, Any]:
    def summary(record: Record) -> dict[str, Any]:
        return {name: record.body[name] for name in ("ModelName", "ModelArn")} | {"CreationTime": record.created}

    return page(call, call.platform.store.list(KIND, call.region), summary, "Models")


@operation("DeleteModel")
def delete(call: Call) -> None:
    """Endpoints that use the model go on serving, as on AWS."""
    record = find(call, call.request["ModelName"])
    with call.platform.store.transaction():
        call.platform.store.delete(KIND, call.region, record.name)
        tags.drop(call, record.body["ModelArn"])


def launch_plan(call: Call, name: str) -> dict[str, Any]:
    """All that is needed to run a model, as JSON, so that the model may be deleted while it serves.

    ``{"Image", "ResolvedImage", "Environment", "Data": [{"Folder", "Uri", "Form"}], "RoleArn", "Isolated",
    "VpcConfig"}``;
    ``Folder`` is relative to ``/opt/ml``, ``Form`` one of ARCHIVE, FILE and PREFIX.

    Raises:
        ValidationException: there is no such model, or no longer its package.
    """
    model = find(call, name).body
    container = _resolved(call, _only_container(model))
    return {
        "Image": container["Image"],
        "ResolvedImage": _with_digest(call.platform, call.region, container["Image"]),
        "Environment": container.get("Environment") or {},
        "Data": _data(container),
        "RoleArn": model.get("ExecutionRoleArn"),
        "Isolated": model["EnableNetworkIsolation"],
        "VpcConfig": model.get("VpcConfig"),
    }


def _only_container(model: dict[str, Any]) -> dict[str, Any]:
    primary, several = model.get("PrimaryContainer"), model.get("Containers")
    if primary and several:
        raise ValidationException("PrimaryContainer and Containers cannot both be given; give one of them.")
    if not primary and not several:
        raise ValidationException("Either PrimaryContainer or Containers must be given.")
    if several and len(several) > 1:
        raise not_executed(
            "CreateModel", "Containers with more than one member", "Inference pipelines do not run here."
        )
    found: dict[str, Any] = primary or (several or [{}])[0]
    return found


def _check_container(container: dict[str, Any]) -> None:
    if container.get("Mode") == "MultiModel":
        raise not_executed("CreateModel", "Mode MultiModel", "Use an endpoint for each model.")
    package = container.get("ModelPackageName")
    given = [name for name in ("Image", "ModelDataUrl", "ModelDataSource") if container.get(name)]
    if package and given:
        raise ValidationException(f"{given[0]} cannot be given together with ModelPackageName.")
    if not package and not container.get("Image"):
        raise ValidationException("Image or ModelPackageName is required in a container definition.")
    environment = container.get("Environment") or {}
    if sum(len(f"{key}{value}".encode()) for key, value in environment.items()) > _MAX_ENVIRONMENT_BYTES:
        raise ValidationException("The keys and values of Environment together must not exceed 32 KB.")


def _resolved(call: Call, container: dict[str, Any], *, approved: bool = False) -> dict[str, Any]:
    """The container definition with image, data and environment of its package, where it names one.

    ``approved``: refuse a version that is not Approved (CreateModelPackage, ModelApprovalStatus: "must be set to
    Approved to deploy the model").
    """
    name = container.get("ModelPackageName")
    if not name:
        return container
    package = packages.find(call, name).body
    if approved and package.get("ModelApprovalStatus", "Approved") != "Approved":
        raise ValidationException(
            f"Model package {package['ModelPackageArn']} is {package['ModelApprovalStatus']}; "
            "only an Approved model package can be deployed."
        )
    found = _specification(package, container.get("InferenceSpecificationName"))["Containers"]
    if len(found) != 1:
        raise not_executed(
            "CreateModel", "A model package with several containers", "Inference pipelines do not run here."
        )
    names = ("Image", "ModelDataUrl", "ModelDataSource", "AdditionalModelDataSources")
    environment = (found[0].get("Environment") or {}) | (container.get("Environment") or {})
    return {
        **{key: found[0][key] for key in names if found[0].get(key)},
        **container,
        **({"Environment": environment} if environment else {}),
    }


def _specification(package: dict[str, Any], name: str | None) -> dict[str, Any]:
    arn = package["ModelPackageArn"]
    if name is None:
        found = package.get("InferenceSpecification")
        if found is None:
            raise ValidationException(f"ModelPackage {arn} has no InferenceSpecification.")
    else:
        several = package.get("AdditionalInferenceSpecifications", [])
        found = next((one for one in several if one["Name"] == name), None)
        if found is None:
            raise ValidationException(f"ModelPackage {arn} has no inference specification {name}.")
    specification: dict[str, Any] = found
    return specification


def _data(container: dict[str, Any]) -> list[dict[str, str]]:
    data = []
    if container.get("ModelDataUrl") and container.get("ModelDataSource"):
        raise ValidationException("ModelDataUrl and ModelDataSource cannot both be given; give one of them.")
    if container.get("ModelDataUrl"):
        data.append({"Folder": "model", "Uri": _s3(container["ModelDataUrl"]), "Form": ARCHIVE})
    source = (container.get("ModelDataSource") or {}).get("S3DataSource")
    if source:
        data.append({"Folder": "model", **_from_source(source)})
    for more in container.get("AdditionalModelDataSources") or []:
        folder = f"additional-model-data-sources/{more['ChannelName']}"
        data.append({"Folder": folder, **_from_source(more["S3DataSource"])})
    return data


def _from_source(source: dict[str, Any]) -> dict[str, str]:
    uri, kind, compression = _s3(source["S3Uri"]), source["S3DataType"], source["CompressionType"]
    if kind == "S3Object":
        return {"Uri": uri, "Form": ARCHIVE if compression == "Gzip" else FILE}
    if compression == "Gzip":
        raise ValidationException("CompressionType Gzip needs S3DataType S3Object: one gzipped tar archive.")
    if not uri.endswith("/"):
        raise ValidationException(f"The key name prefix {uri} must end with a forward slash (/).")
    return {"Uri": uri, "Form": PREFIX}


def _s3(uri: str) -> str:
    if not uri.startswith("s3://"):
        raise not_executed("CreateModel", f"Model data at {uri}", "Give an S3 URI: s3://bucket/key.")
    return uri


def _check_data(call: Call, container: dict[str, Any]) -> None:
    """Model data must be there when a model is made, as on AWS."""
    objects = call.platform.objects
    for data in _data(container):
        uri = data["Uri"]
        try:
            there = bool(objects.list(uri)) if data["Form"] == PREFIX else objects.exists(uri)
        except NotFound:
            there = False
        except ObjectError as error:
            raise ValidationException(str(error)) from None
        if not there:
            raise ValidationException(f"Could not find model data at {uri}.")


def _with_digest(platform: Platform, region: str, image: str) -> str | None:
    """``registry/repository@sha256:…`` of an image in this account's ECR; None for one that is not there."""
    if "@" in image:
        return image
    from moto.ecr.models import ecr_backends

    host, _, path = image.partition("/")
    repository, _, tag = path.partition(":")
    backend = ecr_backends[platform.account_id][region]
    found = (
        backend.repositories.get(repository) if host.startswith(f"{platform.account_id}.dkr.ecr.{region}.") else None
    )
    for candidate in found.images if found else []:
        if (tag or "latest") in candidate.image_tags:
            return f"{host}/{repository}@{candidate.get_image_digest()}"
    return None
