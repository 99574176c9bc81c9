"""What an apply that was killed left behind: found and adopted, or refused. tests/terraform kills real ones."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from moto.core.botocore_stubber import MockRawResponse

from contracts.errors import FactoryError
from cv_factory.operations.base import adoption, leftovers, templates
from cv_factory.session import Target

THEIRS = {"Project": "shapes", "Environment": "prod"}


@pytest.fixture
def target(settings: Any, session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    for root in ("data", "factory"):
        (tmp_path / "terraform" / root).mkdir(parents=True)
    monkeypatch.setattr(templates, "folder", lambda: tmp_path / "terraform")
    return Target(settings, tmp_path / "factory.yaml", "http://127.0.0.1:1", session)


Adopt = Callable[..., tuple[dict[str, str], list[str]]]


@pytest.fixture
def adopt(target: Target, tmp_path: Path) -> Adopt:
    """Adopts what plans would create (address -> type, known values), one dict a round.

    Returns what would be imported (address -> the block's condition with the id), and what was said.
    """

    def adopt(*rounds: dict[str, tuple[str, dict[str, Any]]], args: Sequence[str] = ("apply",)) -> Any:
        left, said = list(rounds), []
        file = target_file(target)

        def terraform(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
            if words[0] == "plan":
                return subprocess.CompletedProcess(words, 2 if left else 0)
            creations = [
                {"address": address, "type": kind, "mode": "managed",
                 "change": {"actions": ["create"], "after": {"tags_all": target.settings.names.tags, **values}}}
                for address, (kind, values) in left.pop(0).items()
            ]  # fmt: skip
            return subprocess.CompletedProcess(words, 0, json.dumps({"resource_changes": creations}))

        with adoption.adopting(target, "factory", args, terraform, tmp_path / "scratch", said.append):
            blocks = json.loads(file.read_text())["import"] if file.is_file() else []
        assert not file.exists()
        return {block["to"]: block["for_each"] for block in blocks}, said

    return adopt


def target_file(target: Target) -> Path:
    return templates.folder() / "factory" / f"adopted-{target.settings.env}.tf.json"


def tags_of(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def make_role(target: Target, tags: dict[str, str]) -> dict[str, Any]:
    name = target.settings.names.role("job")
    target.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}", Tags=tags_of(tags))
    return {"name": name}


def test_what_carries_our_name_and_tags_is_imported(target: Target, adopt: Adopt) -> None:
    role = make_role(target, target.settings.names.tags)
    blocks, said = adopt({"aws_iam_role.a": ("aws_iam_role", role), "aws_iam_role.b": ("aws_iam_role", {"name": "x"})})
    assert blocks == {"aws_iam_role.a": '${var.environment == "local" ? toset(["shapes-local-job"]) : toset([])}'}
    assert "adopting 1 resources" in said[0] and said[1] == "  aws_iam_role.a = shapes-local-job"


@pytest.mark.parametrize("tags", [THEIRS, {}])
def test_what_carries_our_name_without_our_tags_is_refused(target: Target, adopt: Adopt, tags: dict[str, str]) -> None:
    role = make_role(target, tags)
    with pytest.raises(FactoryError, match=r"a would be shapes-local-job, which is there already") as caught:
        adopt({"aws_iam_role.a": ("aws_iam_role", role)})
    assert "tags: Environment=prod" in str(caught.value) or "tags: none" in str(caught.value)
    assert "Project=shapes, Environment=local" in caught.value.hint and "terraform/README.md" in caught.value.hint
    assert not target_file(target).exists()


def test_an_account_has_one_identity_provider_of_github(target: Target, adopt: Adopt) -> None:
    url = "https://token.actions.githubusercontent.com"
    target.client("iam").create_open_id_connect_provider(Url=url, ClientIDList=["x"], Tags=tags_of(THEIRS))
    with pytest.raises(FactoryError, match="identity provider") as caught:
        adopt({"a": ("aws_iam_openid_connect_provider", {"url": url})})
    assert "aws.existing.oidc_provider: arn:aws:iam::123456789012:oidc-provider/token.actions" in caught.value.hint


def test_a_key_is_found_by_what_it_is_for_and_its_alias_after_it(target: Target, adopt: Adopt) -> None:
    kms, names = target.client("kms"), target.settings.names
    tags = [{"TagKey": key, "TagValue": value} for key, value in names.tags.items()]
    key = kms.create_key(Description="Data", Tags=tags)["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=names.key_alias, TargetKeyId=key)
    kms.create_key(Description="Signatures", Tags=tags)
    going = kms.create_key(Description="Data", Tags=tags)["KeyMetadata"]["KeyId"]
    kms.schedule_key_deletion(KeyId=going)
    planned, alias = {"description": "Data"}, {"name": names.key_alias}
    blocks, _ = adopt(
        {"key": ("aws_kms_key", planned), "alias": ("aws_kms_alias", alias)},
        {"alias": ("aws_kms_alias", {**alias, "target_key_id": key})},
    )
    assert key in blocks["key"] and names.key_alias in blocks["alias"]
    second = kms.create_key(Description="Data", Tags=tags)["KeyMetadata"]["KeyId"]
    with pytest.raises(FactoryError, match="2 keys are 'Data' of shapes-local") as caught:
        adopt({"key": ("aws_kms_key", planned)})
    assert second in caught.value.headline and going not in caught.value.headline


@pytest.mark.parametrize("full", [False, True])
def test_a_bucket_without_tags_is_ours_only_if_it_is_empty(target: Target, adopt: Adopt, full: bool) -> None:
    """The provider tags a bucket by a second call, which a killed one did not make."""
    s3, bucket = target.client("s3"), target.settings.names.data_bucket
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    plan = {"a": ("aws_s3_bucket", {"bucket": bucket})}
    if full:
        s3.put_object(Bucket=bucket, Key="photo", Body=b"")
        with pytest.raises(FactoryError, match=r"not this environment's \(tags: none\)"):
            adopt(plan)
    else:
        assert bucket in adopt(plan)[0]["a"]


def test_a_bucket_of_another_owner_is_named(target: Target, adopt: Adopt) -> None:
    """As AWS answers; moto lets every account see every bucket."""
    answer = AWSResponse("https://s3", 403, {}, MockRawResponse(b""))
    target.client("s3").meta.events.register("before-send.s3.HeadBucket", lambda **_: answer)
    with pytest.raises(FactoryError, match="the bucket photos is another account's") as caught:
        adopt({"a": ("aws_s3_bucket", {"bucket": "photos"})})
    assert "change name" in caught.value.hint


def test_a_bucket_elsewhere_is_named_with_both_regions(target: Target, adopt: Adopt) -> None:
    bucket = target.settings.names.data_bucket
    there = boto3.client("s3", region_name="eu-central-1")
    there.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    with pytest.raises(FactoryError, match="is in eu-central-1; environment local is in eu-west-1"):
        adopt({"a": ("aws_s3_bucket", {"bucket": bucket})})


def test_a_group_that_still_lets_everything_out_is_closed_by_apply(target: Target, adopt: Adopt) -> None:
    """EC2 gives every group a rule for all that goes out; the provider takes it away by a second call."""
    ec2, tags = target.client("ec2"), {**target.settings.names.tags, "Name": "shapes-local-jobs"}
    specified = [{"ResourceType": "security-group", "Tags": tags_of(tags)}]
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(
        GroupName="g", Description="g", VpcId=vpc, TagSpecifications=specified
    )["GroupId"]  # fmt: skip
    plan = {"a": ("aws_security_group", {"vpc_id": vpc, "tags_all": tags})}

    def egress() -> Any:
        return ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]

    assert group in adopt(plan, args=("plan",))[0]["a"] and egress(), "a plan changes nothing"
    assert "took away the rule" in adopt(plan)[1][-1] and not egress()
    assert not adopt({"a": ("aws_security_group", {"vpc_id": None, "tags_all": tags})})[0], "no VPC, no group in it"


def test_who_may_not_look_is_told_and_goes_on(target: Target, adopt: Adopt, monkeypatch: pytest.MonkeyPatch) -> None:
    role = make_role(target, target.settings.names.tags)

    def refused(*_: Any, **__: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetRole")

    monkeypatch.setattr(target.client("iam"), "get_role", refused)
    blocks, said = adopt({"aws_iam_role.a": ("aws_iam_role", role)})
    assert not blocks
    assert said[0].startswith("aws_iam_role.a: these credentials may not look whether it is there (GetRole: AccessDen")


@pytest.mark.parametrize("args", [("apply", "saved.tfplan"), ("plan", "-destroy"), ("apply", "-refresh-only")])
def test_nothing_is_looked_for_where_nothing_new_is_planned(target: Target, adopt: Adopt, args: Any) -> None:
    role = make_role(target, target.settings.names.tags)
    assert adopt({"a": ("aws_iam_role", role)}, args=args) == ({}, [])


def test_blocks_that_a_killed_command_left_are_taken_away(target: Target, adopt: Adopt) -> None:
    target_file(target).write_text("{")
    assert adopt() == ({}, [])


def test_every_type_that_is_looked_for_is_one_that_the_modules_make() -> None:
    text = "\n".join(path.read_text() for path in templates.folder().rglob("*.tf"))
    assert not [kind for kind in leftovers.KINDS if f'resource "{kind}"' not in text]
