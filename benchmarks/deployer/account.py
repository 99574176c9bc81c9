"""An account on moto's server, on loopback, with an endpoint that serves what is approved: nothing is due there."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from unittest import mock

import boto3
from moto.server import ThreadedMotoServer

from contracts import release, settings
from contracts.names import SETTINGS_KEY
from contracts.release import ReleaseSettings
from cv_factory.operations.base import release as base
from deployment import aws, goal, packages, reconcile

#: moto's own account; any other would need a role to be assumed.
ACCOUNT, ENV = "123456789012", "trial"
REGION: Literal["eu-west-1"] = "eu-west-1"
SETTINGS = f"""\
name: widgets
aws: {{region: {REGION}, account_id: "{ACCOUNT}"}}
serving: {{max_instances: 2}}
environments: {{{ENV}: {{}}}}
"""
BUNDLE, DIGEST = "b" * 64, "sha256:" + "1" * 64


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[dict[str, str]]:
    """Start the server and bring the endpoint to rest; the variables of the Lambda's environment."""
    file = folder / "factory.yaml"
    file.write_text(SETTINGS)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        with mock.patch.dict(os.environ, variables):
            os.environ.pop("AWS_PROFILE", None)
            made = base.release_settings(settings.load(file, ENV))
            where = _fill(boto3.Session(), made)
        yield {**variables, release.SETTINGS_VARIABLE: where}
    finally:
        server.stop()


def _fill(session: boto3.Session, made: ReleaseSettings) -> str:
    """The base, an approved package, and its endpoint; the URI of the deployer's settings."""
    names, s3, sagemaker = made.names, session.client("s3"), session.client("sagemaker")
    s3.create_bucket(Bucket=names.artifact_bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    where = names.artifacts(SETTINGS_KEY)
    aws.write_json(s3, where, made.to_json())
    sagemaker.create_model_package_group(ModelPackageGroupName=names.package_group)
    image = names.image(names.inference_repository, digest=DIGEST)
    model = str(names.artifacts(f"{release.PACKAGES_PREFIX}{BUNDLE}/model.tar.gz"))
    sagemaker.create_model_package(
        ModelPackageGroupName=names.package_group,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [{"Image": image, "ModelDataUrl": model}],
            "SupportedContentTypes": ["image/png"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )
    (candidate, *_) = goal.of(packages.desired(sagemaker, s3, names), made).candidates
    sagemaker.create_model(**candidate.model)
    sagemaker.create_endpoint_config(**candidate.config)
    sagemaker.create_endpoint(EndpointName=names.endpoint, EndpointConfigName=candidate.config_name)
    reconcile.reconcile(session, made)  # the alarms, filters and the scaling that belong to it
    return str(where)
