"""A base on a local SageMaker, packages whose models are look-up tables, and a process that ends after any call."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import http.client
import io
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3

from contracts import archives, bundle, dataset, hashing, jsonio, release
from contracts.bundle import BundleSpec
from contracts.release import ReleaseSettings
from contracts.settings import Settings
from cv_factory.operations import local_base
from cv_factory.operations.base import images
from cv_factory.operations.base.images import Manifest
from deployment import checks, packages
from deployment.checks import Report
from deployment.packages import Package

#: The "model" is the table ``model.onnx``: request's image -> answer.
SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

folder = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model"
table = json.loads((folder / "model.onnx").read_text())
assert table, "the model is empty"

class Handler(BaseHTTPRequestHandler):
    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200, {})
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = table[os.environ.get("CVF_PRECISION", "float32")].get(request["image"])
        if isinstance(found, int):
            return self.answer(found, {"error": {"code": "told", "message": "to fail"}})
        self.answer(200, found)
    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
IMAGES = [base64.b64encode(f"picture {number}".encode()).decode() for number in range(2)]


class Killed(BaseException):
    """The process ended right after a call."""


def answer(damaged: float) -> dict[str, Any]:
    label = "damaged" if damaged > 0.5 else "sound"
    shares = {"damaged": round(damaged, 6), "sound": round(1 - damaged, 6)}
    return {"predicted_label": label, "confidence": max(shares.values()), "probabilities": shares}


def golden(*, tolerance: float = 0.002, damaged: tuple[float, float] = (0.9, 0.2)) -> dict[str, Any]:
    cases = []
    for image, share in zip(IMAGES, damaged, strict=True):
        expected = answer(share)
        del expected["confidence"]
        cases.append({"request": {"image": image}, **expected})
    return {"tolerance": tolerance, "cases": cases}


def table(*damaged: float | int) -> dict[str, Any]:
    """What the model answers to each image: a probability, or a status as a whole number."""
    return {
        image: share if isinstance(share, int) else answer(share) for image, share in zip(IMAGES, damaged, strict=True)
    }


class Calls:
    """The AWS calls of a session, and the end of its process after the n-th."""

    def __init__(self, session: boto3.Session) -> None:
        self.made: list[str] = []
        self.kill_after = 0
        self._aside = False
        session.events.register("provide-client-params", self._called)
        session.events.register("after-call", self._happened)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Calls of the test itself, which do not count."""
        self._aside = True
        try:
            yield
        finally:
            self._aside = False

    def _called(self, model: Any, **_: Any) -> None:
        if not self._aside:
            self.made.append(model.name)

    def _happened(self, **_: Any) -> None:
        if not self._aside and self.kill_after and len(self.made) >= self.kill_after:
            raise Killed

    def begin(self, kill_after: int = 0) -> None:
        self.made.clear()
        self.kill_after = kill_after


@dataclasses.dataclass
class Factory:
    """The base, and what a pipeline leaves in it."""

    settings: Settings
    session: boto3.Session
    release: ReleaseSettings
    folder: Path
    port: int
    calls: Calls
    numbers: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    @property
    def names(self) -> Any:
        return self.settings.names

    def client(self, service: str) -> Any:
        return self.session.client(service)  # type: ignore[call-overload]

    def admin(self, method: str, path: str, value: Any) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"/_local/{path}", json.dumps(value))
            assert connection.getresponse().status == 200
        finally:
            connection.close()

    def source_hash(self) -> str:
        """The hash of sources that nobody has built yet."""
        return hashing.of_bytes(f"sources {next(self.numbers)}".encode())

    def push(
        self,
        image: str,
        source_hash: str,
        *,
        signed: bool = True,
        config: Any = None,
        with_config: bool = True,
        change: Callable[[dict[str, Any]], None] | None = None,
        digest: str = "",
    ) -> str:
        """Push an image under the tag of its sources; its digest.

        Args:
            config: the configuration instead of the usual one.
            change: what is done to the manifest before it is pushed.
            digest: under which the registry has it, although it is another.
        """
        usual = images.manifest(self.names, image, source_hash)
        body = usual.config if config is None else jsonio.canonical(config).encode()
        value = json.loads(usual.text)
        value["config"]["digest"] = "sha256:" + hashlib.sha256(body).hexdigest()
        if change:
            change(value)
        item = Manifest(usual.repository, usual.tag, jsonio.canonical(value), body if with_config else b"")
        if digest:
            self.client("ecr").put_image(
                repositoryName=item.repository, imageManifest=item.text, imageTag=item.tag, imageDigest=digest,
                imageManifestMediaType=images.MANIFEST_TYPE,
            )  # fmt: skip
            found = digest
        else:
            images.put(self.client("ecr"), item)
            found = item.digest
        if signed:
            self.sign(image, found)
        return found

    def sign(self, image: str, digest: str, *, key: str = "", payload_for: str = "") -> None:
        names = self.names
        payload = release.signed_payload(f"{names.registry}/{names.repository(image)}", payload_for or digest)
        made = self.client("kms").sign(
            KeyId=key or names.signing_key_alias, Message=payload.encode(), MessageType="RAW",
            SigningAlgorithm="ECDSA_SHA_256",
        )  # fmt: skip
        text = base64.b64encode(made["Signature"]).decode()
        stored = release.ImageSignature(digest, payload, text, names.signing_key_alias)
        self.put(names.artifact_bucket, release.signature_key(digest), jsonio.canonical(stored.to_json()).encode())

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self.client("s3").put_object(Bucket=bucket, Key=key, Body=body)

    def archive(
        self, dataset_hash: str, source_hash: str, *, model: Any = None, expected: Any = None, int8: bool = False
    ) -> tuple[str, bytes]:
        """A bundle's hash and its archive."""
        folder = self.folder / f"bundle-{next(self.numbers)}"
        folder.mkdir()
        model = {"float32": table(0.9, 0.2), "int8": table(0.8, 0.3)} if model is None else model
        (folder / bundle.MODEL).write_text(json.dumps(model))
        (folder / bundle.WEIGHTS).write_bytes(f"weights {folder.name}".encode())
        default = {"float32": golden(), "int8": golden(tolerance=0.1, damaged=(0.8, 0.3))}
        (folder / bundle.GOLDEN).write_text(json.dumps(default if expected is None else expected))
        if int8:
            (folder / bundle.INT8_MODEL).write_bytes(b"int8")
        spec = BundleSpec(
            classes=("damaged", "sound"), positive_class="damaged", input_size=32, color_mode="L", mean=(0.0,),
            std=(1.0,), temperature=1.0, thresholds={}, dataset_hash=dataset_hash, source_hash=source_hash,
            recipe="quick", protocol="group", int8=bundle.Calibration(1.0, {}) if int8 else None,
        )  # fmt: skip
        sealed = bundle.seal(folder, spec)
        stream = io.BytesIO()
        archives.pack_folder(stream, folder)
        return sealed.bundle_hash, stream.getvalue()

    def dataset(self, *, known: bool = True) -> str:
        found = hashing.of_bytes(f"dataset {next(self.numbers)}".encode())
        if known:
            key = f"{dataset.DATASETS_PREFIX}{found[: hashing.SHORT]}/{dataset.MANIFEST}"
            self.put(self.names.data_bucket, key, b"{}")
        return found

    def package(self, *, model: Any = None, expected: Any = None, precision: str = "float32", **more: Any) -> Package:
        """A healthy package, but for what ``more`` says.

        Args:
            more: inference, training: digests; image: the URI; dataset, source: hashes that the package names;
                of_dataset, of_source: hashes that the bundle names; bundle_hash; body: the archive's bytes; approval.
        """
        names = self.names
        sources = more.get("of_source") or self.source_hash()
        training = more.get("training") or self.push("training", sources)
        inference = more.get("inference") or self.push("inference", self.source_hash())
        data = more.get("of_dataset") or self.dataset()
        found, body = self.archive(data, sources, model=model, expected=expected, int8=precision == "int8")
        found = more.get("bundle_hash", found)
        key = f"{release.package_prefix(found, precision)}{bundle.ARCHIVE}"
        self.put(names.artifact_bucket, key, more.get("body", body))
        metadata = {
            release.META_BUNDLE_HASH: found,
            release.META_DATASET_HASH: more.get("dataset", data),
            release.META_SOURCE_HASH: more.get("source", sources),
            release.META_PRECISION: precision,
            release.META_TRAINING_DIGEST: training,
            release.META_INFERENCE_DIGEST: inference,
        }
        image = more.get("image") or names.image(names.inference_repository, digest=inference)
        answered = self.client("sagemaker").create_model_package(
            ModelPackageGroupName=names.package_group,
            ModelApprovalStatus=more.get("approval", "Approved"),
            InferenceSpecification={
                "Containers": [{"Image": image, "ModelDataUrl": f"s3://{names.artifact_bucket}/{key}"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            CustomerMetadataProperties=metadata,
        )
        made = packages.describe(self.client("sagemaker"), answered["ModelPackageArn"])
        assert made is not None
        return made

    @property
    def staged(self) -> ReleaseSettings:
        return dataclasses.replace(self.release, staging=True)


def look(factory: Factory, package: Package) -> Report:
    return checks.before(factory.session, factory.release, package)


def scan_again(factory: Factory, package: Package, status: str, *severities: str) -> None:
    """What the scan of the package's serving image says from now on."""
    factory.admin(
        "PUT",
        "scans",
        {
            "repository": factory.names.inference_repository,
            "digest": package.inference_digest,
            "status": status,
            "findings": [{"name": f"CVE-2026-{number}", "severity": word} for number, word in enumerate(severities)],
        },
    )


@contextlib.contextmanager
def acting_as(factory: Factory, role_arn: str) -> Iterator[boto3.Session]:
    """A session of a role; IAM is enforced while it is there."""
    made = factory.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="ann")["Credentials"]
    url = f"http://127.0.0.1:{factory.port}"
    session = boto3.Session(
        aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"], region_name=factory.names.region,
    )  # fmt: skip
    make = session.client
    session.client = lambda name: make(name, endpoint_url=url)  # type: ignore
    local_base.enforce_iam(f"{url}/_local", True)
    try:
        yield session
    finally:
        local_base.enforce_iam(f"{url}/_local", False)
