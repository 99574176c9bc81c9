"""The base of environment ``local``: what Terraform makes elsewhere, made with boto3 where there is no Terraform.

Left out, because a laptop has nobody to read them: the log bucket and access logs, versions and expiry of objects,
bucket policies, the queue of failed events, alarms, their topic, dashboard and budget, what other accounts may read,
roles of people and workflows; of a network of its own the routes, endpoints and flow logs. ``tests/terraform`` compares
the rest, resource by resource.

A record in the artifact bucket holds the hash of each part as it was made, so a second call makes nothing again.
"""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contracts import hashing, jsonio, source
from contracts.errors import ContractError, FactoryError, RefusedError
from contracts.names import SETTINGS_KEY
from contracts.release import SETTINGS_VARIABLE
from contracts.settings import Settings
from cv_factory.operations.base import dockerfile, images, network, release, resources, templates, vpc
from cv_factory.operations.base.resources import FunctionSpec
from deployment.package import build_zip

if TYPE_CHECKING:
    import boto3

#: Where the record lies in the artifact bucket.
RECORD_KEY = "release/local-base.json"
#: Part of every part's hash: raise it when this module makes the same description into something else.
_REVISION = 2

_ROLES = ("pipeline", "job", "endpoint", "deployer")
_IMAGES = ("training", "inference")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """What :func:`ensure` did.

    Attributes:
        parts: what was made or changed; empty when all was there.
        bound: whether image URIs are bound to this checkout's interpreter.
        digests: image (training, inference) -> digest of the manifest under its source tag.
    """

    parts: tuple[str, ...]
    bound: bool
    digests: dict[str, str]


def ensure(settings: Settings, session: boto3.Session, admin_url: str | None = None) -> Made:
    """Make what is missing of the base, and change what differs.

    Args:
        session: a boto3 session of the account that gets the base.
        admin_url: the local SageMaker's admin route, ``http://127.0.0.1:PORT/_local``; None, or a server without that
            route (plain moto): no image is bound, so jobs and endpoints cannot run there, and a warning says so.

    Raises:
        FactoryError: the server refuses a binding, or has too few availability zones for ``network.vpc: create``.
    """
    return _Base(settings, session).ensure(admin_url)


def image_pattern(settings: Settings, image: str) -> str:
    """The ``fnmatch`` pattern of every URI of the repository of ``image``, by tag or by digest."""
    names = settings.names
    return f"{names.registry}/{names.repository(image)}[:@]*"


def bind_images(settings: Settings, admin_url: str, repository: Path | None = None) -> bool:
    """Bind the URIs of both repositories to this interpreter and a checkout; every time, because it may have moved.

    Args:
        admin_url: the local SageMaker's admin route, ``http://127.0.0.1:PORT/_local``.
        repository: the checkout whose code runs; None: this one.

    Returns:
        False where the server has no such route (plain moto); a warning says so.

    Raises:
        FactoryError: the server refuses a binding.
    """
    for image in _IMAGES:
        status, text = _put_json(
            f"{admin_url.rstrip('/')}/images",
            dockerfile.binding(image, image_pattern(settings, image), repository),
        )
        if status in (404, 405):
            _log.warning("%s has no route for image bindings: jobs and endpoints cannot run there", admin_url)
            return False
        if status != 200:
            raise FactoryError(f"the local SageMaker refuses to bind the {image} image: {text}")
    return True


def enforce_iam(admin_url: str, enforce: bool) -> None:
    """Let the local SageMaker decide about every call by the policies of its own IAM, or allow everything.

    Raises:
        FactoryError: the server has no such switch (plain moto).
    """
    status, text = _put_json(f"{admin_url.rstrip('/')}/iam", {"enforce": enforce})
    if status != 200:
        raise FactoryError(f"the server at {admin_url} does not enforce IAM: {text or status}")


class _Base:
    def __init__(self, settings: Settings, session: boto3.Session) -> None:
        self.settings = settings
        self.names = settings.names
        self.session = session
        self.clients: dict[str, Any] = {}
        self.spec = FunctionSpec(**jsonio.read(templates.folder() / "deployer.json"))

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = self.session.client(service)  # type: ignore[call-overload]
        return self.clients[service]

    def ensure(self, admin_url: str | None) -> Made:
        if self.settings.tracking.mlflow == "create":
            raise RefusedError(
                "tracking.mlflow is create, and only Terraform makes a tracking server",
                f"For environment {self.settings.env} set tracking.mlflow to none: trainings are logged into the job's"
                " output data.",
            )
        code = build_zip()
        manifests = {name: images.manifest(self.names, name, source.source_hash(name)) for name in _IMAGES}
        places = templates.values(self.settings, key_arn="(key)", signing_key_arn="(signing key)")
        record = self._record()
        keys: dict[str, str] = record.get("keys", {})
        made: list[str] = []

        def part(name: str, content: Any, make: Callable[[], None]) -> None:
            """Make a part, unless the record says that it was made from the same content."""
            wanted = hashing.of_value([_REVISION, self.names.tags, content])
            if record.get(name) != wanted:
                make()
                record[name] = wanted
                made.append(name)

        documents = {
            actor: self._role_documents(actor, places)
            for actor in _ROLES
            if not getattr(self.settings.aws.existing, f"{actor}_role")
        }
        key_policies = [templates.document(f"policies/{name}.json", places) for name in ("key", "signing-key")]
        part("encryption", key_policies, lambda: keys.update(self._keys(key_policies)))
        record["keys"] = keys
        filled = {**places, "key_arn": keys["main"], "signing_key_arn": keys["signing"]}
        bucket_names = [self.names.data_bucket, self.names.artifact_bucket]
        part("buckets", [bucket_names, keys], lambda: self._buckets(bucket_names, keys["main"]))
        self._network(record, part, made)
        objects = release.objects(self.settings, record.get("network_ids"))
        part("objects", [hashing.of_bytes(body) for body in objects.values()], lambda: self._objects(objects))
        part("roles", [documents, keys], lambda: self._roles(list(documents), filled))
        repositories = [self.names.training_repository, self.names.inference_repository]
        part("repositories", [repositories, keys], lambda: self._repositories(repositories, keys["main"]))
        part(
            "images",
            [[item.repository, item.tag, item.digest] for item in manifests.values()],
            lambda: self._images(list(manifests.values())),
        )
        part(
            "registry", self.names.package_group, lambda: resources.package_group(self.client("sagemaker"), self.names)
        )
        part(
            "deployer",
            [hashing.of_bytes(code), self._function(), self.settings.operations.log_days, keys],
            lambda: self._deployer(code, keys["main"]),
        )
        patterns = {
            self.names.registry_rule: templates.document("events/registry.json", filled),
            self.names.endpoint_rule: templates.document("events/endpoint.json", filled),
        }
        part("events", [patterns, self._function()], lambda: self._events(patterns))
        if made:
            self._put(RECORD_KEY, jsonio.canonical(record).encode())
        bound = admin_url is not None and bind_images(self.settings, admin_url)
        return Made(tuple(made), bound, {name: item.digest for name, item in manifests.items()})

    # --- parts --------------------------------------------------------------------------------------------------------

    def _keys(self, policies: list[Any]) -> dict[str, str]:
        kms = self.client("kms")
        main = resources.key(kms, self.names, self.names.key_alias, f"Data of {self.names.prefix}", policies[0])
        signing = resources.key(
            kms,
            self.names,
            self.names.signing_key_alias,
            f"Signatures of images of {self.names.prefix}",
            policies[1],
            spec="ECC_NIST_P256",
            usage="SIGN_VERIFY",
        )
        return {"main": main, "signing": signing}

    def _network(self, record: dict[str, Any], part: Callable[..., None], made: list[str]) -> None:
        """Make the network, and keep its ids in the record; or take down the one that the settings no longer want."""
        wanted = self.settings.network
        if wanted.vpc == "create":
            content = [wanted.cidr, wanted.nat, network.with_endpoints(self.settings)]
            part("network", content, lambda: record.update(network_ids=vpc.ensure(self.client("ec2"), self.settings)))
        elif record.pop("network", None) is not None:
            vpc.remove(self.client("ec2"), self.names)
            del record["network_ids"]
            made.append("network")

    def _buckets(self, buckets: list[str], key_arn: str) -> None:
        for name in buckets:
            resources.bucket(self.client("s3"), self.names, name, key_arn)

    def _objects(self, objects: dict[str, bytes]) -> None:
        for key, body in objects.items():
            self._put(key, body)

    def _role_documents(self, actor: str, places: dict[str, str]) -> tuple[Any, dict[str, Any]]:
        trust, policies = templates.role_documents(self.settings, actor)
        return templates.document(f"policies/{trust}.json", places), {
            policy: templates.document(f"policies/{policy}.json", places) for policy in policies
        }

    def _roles(self, actors: list[str], places: dict[str, str]) -> None:
        for actor in actors:
            trust, policies = self._role_documents(actor, places)
            resources.role(self.client("iam"), self.names, actor, trust, policies)

    def _repositories(self, repositories: list[str], key_arn: str) -> None:
        for name in repositories:
            resources.repository(self.client("ecr"), self.names, name, key_arn)

    def _images(self, manifests: list[images.Manifest]) -> None:
        for item in manifests:
            images.put(self.client("ecr"), item)
            images.sign(self.client("kms"), self.client("s3"), self.names, item)

    def _function(self) -> dict[str, Any]:
        return {
            "spec": [getattr(self.spec, name) for name in self.spec.__slots__],
            "role": self.settings.role_arn("deployer"),
            "environment": {SETTINGS_VARIABLE: str(self.names.artifacts(SETTINGS_KEY))},
        }

    def _deployer(self, code: bytes, key_arn: str) -> None:
        resources.log_group(self.client("logs"), self.names, self.settings.operations.log_days, key_arn)
        function = self._function()
        resources.function(
            self.client("lambda"), self.names, self.spec, function["role"], code, function["environment"]
        )

    def _events(self, patterns: dict[str, Any]) -> None:
        events, function = self.client("events"), self.client("lambda")
        for name, pattern in patterns.items():
            resources.rule(events, function, self.names, name, self.spec, pattern=pattern)
        resources.rule(
            events,
            function,
            self.names,
            self.names.sweep_rule,
            self.spec,
            schedule=self.spec.sweep,
            payload={"action": "sweep"},
        )

    # --- the record ---------------------------------------------------------------------------------------------------

    def _record(self) -> dict[str, Any]:
        """Part -> hash of what it was made from; empty when there is no base."""
        s3 = self.client("s3")
        try:
            value = json.loads(s3.get_object(Bucket=self.names.artifact_bucket, Key=RECORD_KEY)["Body"].read())
        except (s3.exceptions.NoSuchBucket, s3.exceptions.NoSuchKey, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def _put(self, key: str, body: bytes) -> None:
        self.client("s3").put_object(
            Bucket=self.names.artifact_bucket, Key=key, Body=body, ContentType="application/json"
        )


def _put_json(url: str, value: Any) -> tuple[int, str]:
    """Status and message of a PUT to a server on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ContractError(f"{url} is not the address of a local server")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("PUT", parts.path, json.dumps(value), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    try:
        return answer.status, str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        return answer.status, ""
