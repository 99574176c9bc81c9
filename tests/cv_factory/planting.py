"""A factory on the local SageMaker, whose packages have all the evidence that a run leaves, without a run."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts import bundle, evaluation, hashing, jsonio, release
from contracts.dataset import MANIFEST, ImportedDataset
from contracts.settings import Settings, load
from cv_factory import session as sessions
from cv_factory.operations import local_base
from cv_factory.operations.base import images
from cv_factory.session import Target
from local_sagemaker import control

SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def answer(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    do_GET = answer
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer()
    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""
YAML = """\
name: widgets
aws: {region: eu-west-1, account_id: "123456789012"}
data: {source: ./photos}
release: {strategy: all-at-once, bake_minutes: 0}
environments:
  dev: {}
  stage: {}
  prod: {}
"""
ANN = "arn:aws:sts::123456789012:assumed-role/engineer/ann"
BOB = "arn:aws:sts::123456789012:assumed-role/engineer/bob"


@dataclass
class Factory:
    """One server; an environment of it for each settings file that is asked for."""

    folder: Path
    server: Any
    _targets: dict[str, Target] = field(default_factory=dict)

    def target(self, env: str, session: Any = None) -> Target:
        """The target of an environment whose base is there; ``session``: somebody else's credentials."""
        if env not in self._targets:
            settings = load(self.folder / "factory.yaml", env)
            own = sessions.local_session(self.server.endpoint_url, self.server.region)
            local_base.ensure(settings, own, f"{self.server.endpoint_url}/_local")
            self._bind(settings)
            self._targets[env] = Target(settings, self.folder / "factory.yaml", self.server.endpoint_url, own)
        made = self._targets[env]
        return Target(made.settings, made.file, made.endpoint, session) if session else made

    def with_settings(self, env: str, **release_: Any) -> Target:
        """The target of an environment with other values of the section release."""
        made = self.target(env)
        changed = made.settings.model_copy(update={"release": made.settings.release.model_copy(update=release_)})
        return Target(changed, made.file, made.endpoint, made.session)

    def somebody(self, name: str, role: str = "engineer") -> Any:
        """A session of a role in the name of a person."""
        import boto3

        admin = sessions.local_session(self.server.endpoint_url, self.server.region)
        iam, sts = admin.client("iam"), admin.client("sts")
        trust = {"Version": "2012-10-17", "Statement": []}
        try:
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
        except iam.exceptions.EntityAlreadyExistsException:
            pass
        given = sts.assume_role(RoleArn=f"arn:aws:iam::123456789012:role/{role}", RoleSessionName=name)["Credentials"]
        made = boto3.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=self.server.region
        )
        made.client = _at(made.client, self.server.endpoint_url)  # type: ignore[method-assign]
        return made

    def _bind(self, settings: Settings) -> None:
        (self.folder / "server.py").write_text(SERVER)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port)
        body = {
            "pattern": f"{settings.names.registry}/{settings.names.inference_repository}@*",
            "entrypoint": [sys.executable, str(self.folder / "server.py")],
            "environment": {},
            "working_dir": str(self.folder),
        }
        connection.request("PUT", "/_local/images", json.dumps(body))
        assert connection.getresponse().status == 200
        connection.close()


def _at(client: Any, url: str) -> Any:
    return lambda service, **options: client(service, endpoint_url=url, **options)


@contextmanager
def factory(folder: Path) -> Iterator[Factory]:
    """A server with its state in ``folder``; stopped at the end."""
    (folder / "factory.yaml").write_text(YAML, encoding="utf-8")
    server = control.start(folder / "state", "123456789012", "eu-west-1")
    try:
        yield Factory(folder, server)
    finally:
        control.stop(folder / "state")


@dataclass(frozen=True)
class Planted:
    """A package with its evidence: what was written where."""

    arn: str
    version: int
    bundle_hash: str
    dataset: ImportedDataset
    evaluation: dict[str, Any]
    prefix: str

    @property
    def label(self) -> str:
        return f"version {self.version}"


def plant(
    target: Target,
    word: str,
    *,
    champion: str = release.NO_CHAMPION,
    started_by: str = ANN,
    approval: str = "PendingManualApproval",
    evaluated: dict[str, Any] | None = None,
    metadata: dict[str, str | None] | None = None,
    digest: str = "",
) -> Planted:
    """Register a package as a run does: another ``word`` is another model.

    Args:
        champion: the bundle that the evaluation compares with.
        evaluated: values that replace those of ``evaluation.json``.
        metadata: values that replace those of the package; None: left out.
    """
    names, s3 = target.settings.names, target.client("s3")
    data = dataset()
    s3.put_object(
        Bucket=names.data_bucket, Key=f"datasets/{data.short_hash}/{MANIFEST}",
        Body=jsonio.canonical(data.to_json()).encode(),
    )  # fmt: skip
    body, hash_ = archive(word, data.hash)
    value = about(hash_, data.hash, champion) | (evaluated or {})
    prefix = f"packages/{hash_}/"
    report = f"<html>{word}</html>".encode()
    text = json.dumps(value).encode()
    for name, content in {
        bundle.ARCHIVE: body, evaluation.EVALUATION: text, evaluation.REPORT: report,
        evaluation.PREDICTIONS: b"rows", evaluation.MODEL_CARD: b"{}",
        release.DATASET_MANIFEST: json.dumps({"dataset_hash": data.hash}).encode(),
        release.KEPT: json.dumps({"execution_id": "exec", "objects": {}}).encode(),
    }.items():  # fmt: skip
        s3.put_object(Bucket=names.artifact_bucket, Key=prefix + name, Body=content)
    digest = digest or image(target)
    given: dict[str, str | None] = {
        release.META_BUNDLE_HASH: hash_, release.META_DATASET_HASH: data.hash, release.META_SOURCE_HASH: "5" * 64,
        release.META_PROTOCOL: "group", release.META_PRECISION: "float32", release.META_INFERENCE_DIGEST: digest,
        release.META_TRAINING_DIGEST: "sha256:" + "2" * 64, release.META_EXECUTION: "abcdefghijkl",
        release.META_EVALUATION: hashlib.sha256(text).hexdigest(), release.META_CHAMPION: champion,
        release.META_REPORT: hashlib.sha256(report).hexdigest(),
        release.META_STARTED_BY: release.recorded_identity(started_by),
    } | (metadata or {})  # fmt: skip
    arn = target.client("sagemaker").create_model_package(
        ModelPackageGroupName=names.package_group,
        ModelApprovalStatus=approval,
        InferenceSpecification={
            "Containers": [
                {
                    "Image": names.image(names.inference_repository, digest=digest),
                    "ModelDataUrl": f"s3://{names.artifact_bucket}/{prefix}{bundle.ARCHIVE}",
                }
            ],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        CustomerMetadataProperties={key: text for key, text in given.items() if text is not None},
    )["ModelPackageArn"]
    return Planted(arn, int(arn.rpartition("/")[2]), hash_, data, value, prefix)


def dataset() -> ImportedDataset:
    return ImportedDataset("./photos", "s3://x/", ("a", "b"), "a", "group", 0.25, 0, "split", (), ())


def archive(word: str, dataset_hash: str) -> tuple[bytes, str]:
    """A bundle's archive and its hash: the members are words, not graphs."""
    members = {bundle.MODEL: f"graph {word}".encode(), bundle.WEIGHTS: b"weights", bundle.GOLDEN: b"{}"}
    spec = {"dataset_hash": dataset_hash, "word": word}
    hashes = sorted((name, hashing.of_bytes(content)) for name, content in members.items())
    hash_ = hashing.of_value({"members": hashes, "spec": spec})
    members[bundle.SPEC] = jsonio.pretty({**spec, "bundle_hash": hash_}).encode()
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, content in sorted(members.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue(), hash_


def about(bundle_hash: str, dataset_hash: str, champion: str) -> dict[str, Any]:
    """``evaluation.json`` of a model that passes its gate."""
    metric = {"value": 0.9, "low": 0.85, "high": 0.94}
    return {
        "format_version": evaluation.FORMAT_VERSION, "protocol": "group", "dataset_hash": dataset_hash,
        "source_hash": "5" * 64, "bundle_hash": bundle_hash, "classes": ["a", "b"], "positive_class": "a",
        "counts": {"test": 120, "by_class": {"a": 60, "b": 60}},
        "metrics": {evaluation.BALANCED_ACCURACY: metric, evaluation.ECE: {"value": 0.04, "low": None, "high": None}},
        "slices": {}, "confusion": [[54, 6], [6, 54]],
        "champion": None if champion == release.NO_CHAMPION else {
            "bundle_hash": champion, "images": 120, "metrics": {},
            "difference": {evaluation.BALANCED_ACCURACY: {"value": 0.021, "lower_95": -0.004}},
        },
        "serving": {"precision": "float32"},
        "gate": {"outcome": evaluation.REGISTER, "message": "All 2 rules hold.", "reasons": []},
    }  # fmt: skip


def image(target: Target, text: str = "") -> str:
    """The digest of a signed image of the environment's inference repository."""
    names = target.settings.names
    made = images.manifest(names, "inference", hashing.of_bytes(f"image {text}".encode()))
    images.put(target.client("ecr"), made)
    images.sign(target.client("kms"), target.client("s3"), names, made)
    return made.digest
