"""The base of environment local: complete, made once, and changed where the settings changed."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

import deployment
from contracts import release, source
from contracts.errors import FactoryError, RefusedError
from contracts.names import DEPLOYER_ALIAS, NO_CHAMPION_KEY, SETTINGS_KEY
from cv_factory.operations import local_base
from cv_factory.operations.base.release import release_settings
from deployment.package import build_zip


def test_everything_a_run_needs_is_there(settings: Any, session: Any) -> None:
    names = settings.names
    made = local_base.ensure(settings, session)
    assert "deployer" in made.parts and not made.bound
    s3 = session.client("s3")
    buckets = {item["Name"] for item in s3.list_buckets()["Buckets"]}
    assert buckets == {names.data_bucket, names.artifact_bucket}
    assert s3.get_object(Bucket=names.artifact_bucket, Key=NO_CHAMPION_KEY)["ContentLength"] > 0
    uri = names.artifacts(SETTINGS_KEY)
    assert deployment.read_settings(session, uri) == release_settings(settings)
    roles = {item["RoleName"] for item in session.client("iam").list_roles()["Roles"]}
    assert roles == {names.role(actor) for actor in ("pipeline", "job", "endpoint", "deployer")}
    groups = session.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert [item["ModelPackageGroupName"] for item in groups] == [names.package_group]
    function = session.client("lambda").get_function(FunctionName=names.deployer)["Configuration"]
    assert function["Role"] == names.role_arn("deployer")
    assert function["Environment"]["Variables"] == {"CVF_SETTINGS_URI": str(uri)}
    assert function["Handler"] == "deployment.handler.handler"


def test_the_rules_call_the_deployer_and_may(settings: Any, session: Any) -> None:
    names = settings.names
    local_base.ensure(settings, session)
    events = session.client("events")
    rules = {item["Name"]: item for item in events.list_rules()["Rules"]}
    assert set(rules) == {names.registry_rule, names.endpoint_rule, names.sweep_rule}
    assert json.loads(rules[names.registry_rule]["EventPattern"]) == {
        "source": ["aws.sagemaker"],
        "detail-type": [release.REGISTRY_EVENT],
        "detail": {"ModelPackageGroupName": [names.package_group]},
    }
    assert json.loads(rules[names.endpoint_rule]["EventPattern"]) == {
        "source": ["aws.sagemaker"],
        "detail-type": [release.ENDPOINT_EVENT, release.DEPLOYMENT_EVENT],
        "detail": {"EndpointName": [names.endpoint, names.staging_endpoint]},
    }
    assert rules[names.sweep_rule]["ScheduleExpression"] == "rate(15 minutes)"
    for name in rules:
        (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
        assert target["Arn"] == names.deployer_alias_arn
        assert target.get("Input") == ('{"action":"sweep"}' if name == names.sweep_rule else None)
    policy = json.loads(session.client("lambda").get_policy(FunctionName=names.deployer)["Policy"])
    allowed = {item["Condition"]["ArnLike"]["AWS:SourceArn"] for item in policy["Statement"]}
    assert allowed == {rules[name]["Arn"] for name in rules}


def test_a_second_time_nothing_is_made(settings: Any, session: Any) -> None:
    local_base.ensure(settings, session)
    session.calls.clear()
    assert local_base.ensure(settings, session).parts == ()
    assert session.calls == ["GetObject"]


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ("serving: {max_pixels: 2000}", {"objects"}),
        ("operations: {log_days: 7}", {"deployer", "objects"}),
        ("network: {vpc: existing}", {"objects", "roles"}),
        ("network: {vpc: create}", {"network", "objects", "roles"}),
        ("tracking: {mlflow: 'arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/t'}", {"roles"}),
    ],
)
def test_a_changed_setting_changes_its_part_only(
    settings: Any, session: Any, other_settings: Any, more: str, parts: set[str]
) -> None:
    if "existing" in more:
        existing = "existing: {subnet_ids: [subnet-0a0a0a0a], security_group_ids: [sg-0a0a0a0a]}"
        more = f"environments: {{local: {{aws: {{{existing}}}, {more}}}}}"
    local_base.ensure(settings, session)
    changed = other_settings(more)
    assert set(local_base.ensure(changed, session).parts) == parts
    written = deployment.read_settings(session, changed.names.artifacts(SETTINGS_KEY))
    assert written == release_settings(changed, written.network)
    inline = session.client("iam").list_role_policies(RoleName=changed.names.role("job"))["PolicyNames"]
    assert set(inline) == {"job"} | ({"network"} if "vpc" in more else set()) | (
        {"tracking"} if "mlflow" in more else set()
    )
    assert set(local_base.ensure(settings, session).parts) == parts  # and back
    assert session.client("iam").list_role_policies(RoleName=changed.names.role("job"))["PolicyNames"] == ["job"]


def test_a_tracking_server_is_terraforms_to_make(session: Any, other_settings: Any) -> None:
    with pytest.raises(RefusedError, match="only Terraform makes a tracking server") as caught:
        local_base.ensure(other_settings("tracking: {mlflow: create}"), session)
    assert "environment local set tracking.mlflow to none" in caught.value.hint and not session.calls


def test_the_alias_moves_to_the_code_that_was_sent_last(
    settings: Any, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = session.client("lambda")
    alias = {"FunctionName": settings.names.deployer, "Name": DEPLOYER_ALIAS}
    local_base.ensure(settings, session)
    before = client.get_alias(**alias)["FunctionVersion"]
    monkeypatch.setattr(local_base, "build_zip", lambda: build_zip() + b"\0")
    local_base.ensure(settings, session)
    after = client.get_alias(**alias)["FunctionVersion"]
    assert (before, after) == ("1", "2")
    sent = client.get_function_configuration(FunctionName=settings.names.deployer)["CodeSha256"]
    assert client.get_function(FunctionName=settings.names.deployer_alias_arn)["Configuration"]["CodeSha256"] == sent


def test_changed_code_is_all_that_is_sent_again(settings: Any, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    local_base.ensure(settings, session)
    monkeypatch.setattr(local_base, "build_zip", lambda: build_zip() + b"\0")
    session.calls.clear()
    assert local_base.ensure(settings, session).parts == ("deployer",)
    assert "UpdateFunctionCode" in session.calls and "CreateFunction" not in session.calls


def test_a_base_that_was_half_made_is_completed(settings: Any, session: Any) -> None:
    """However far an interrupted call came, the next one ends with the same base."""

    class Killed(BaseException):
        pass

    limits = iter((1, 3, 6, 12, 18, 25, 32, 40, 46))
    calls_left = [0]

    def happened(**_: Any) -> None:
        calls_left[0] -= 1
        if calls_left[0] == 0:
            raise Killed

    session.events.register("after-call", happened)
    for limit in limits:
        calls_left[0] = limit
        with pytest.raises(Killed):
            local_base.ensure(settings, session)
    calls_left[0] = 0
    local_base.ensure(settings, session)
    assert local_base.ensure(settings, session).parts == ()
    aliases = session.client("kms").list_aliases()["Aliases"]
    ours = [item["AliasName"] for item in aliases if "shapes" in item["AliasName"]]
    assert sorted(ours) == ["alias/shapes-local", "alias/shapes-local-signing"]


def test_packages_survive_a_base_that_is_made_again(settings: Any, session: Any) -> None:
    """moto, unlike AWS, empties a group that is created twice."""
    local_base.ensure(settings, session)
    sagemaker = session.client("sagemaker")
    sagemaker.create_model_package(ModelPackageGroupName=settings.names.package_group)
    session.client("s3").delete_object(Bucket=settings.names.artifact_bucket, Key=local_base.RECORD_KEY)
    assert "registry" in local_base.ensure(settings, session).parts
    found = sagemaker.list_model_packages(ModelPackageGroupName=settings.names.package_group)
    assert len(found["ModelPackageSummaryList"]) == 1


def test_each_source_tag_has_a_manifest_that_its_signature_vouches_for(settings: Any, session: Any) -> None:
    names = settings.names
    made = local_base.ensure(settings, session)
    for image, repository in (("training", names.training_repository), ("inference", names.inference_repository)):
        tag = source.source_tag(image)
        (found,) = session.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])[
            "imageDetails"
        ]
        assert found["imageDigest"] == made.digests[image]
        key = release.signature_key(found["imageDigest"])
        body = session.client("s3").get_object(Bucket=names.artifact_bucket, Key=key)["Body"].read()
        signature = release.ImageSignature.from_json(json.loads(body))
        payload = json.loads(signature.payload)["critical"]
        assert payload["image"]["docker-manifest-digest"] == found["imageDigest"] == signature.digest
        assert payload["identity"]["docker-reference"] == f"{names.registry}/{repository}"
        der = session.client("kms").get_public_key(KeyId=signature.key)["PublicKey"]
        public = load_der_public_key(der)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(b64decode(signature.signature), signature.payload.encode(), ec.ECDSA(SHA256()))


def test_plain_moto_has_no_images_to_bind(
    settings: Any, session: Any, cloud: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = local_base.ensure(settings, session, f"{cloud.url}/_local")
    assert not made.bound and "jobs and endpoints cannot run there" in caplog.text


def test_an_address_that_is_no_local_server(settings: Any, session: Any) -> None:
    with pytest.raises(FactoryError, match="is not the address of a local server"):
        local_base.ensure(settings, session, "https://sagemaker.eu-west-1.amazonaws.com")
