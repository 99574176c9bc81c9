"""What a server keeps over a stop, a kill, and a change of moto's version."""

from __future__ import annotations

import json
import os
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker import control, snapshots
from local_sagemaker.blobs import BlobStore
from tests.local_sagemaker.platform.conftest import ACCOUNT, REGION, Server
from tests.waiting import eventually


def fill(server: Server) -> dict[str, Any]:
    """One of everything that this product uses; what :func:`check` needs to find it again."""
    s3, kms = server.client("s3"), server.client("kms")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="kept", Key="a/b", Body=b"body", Metadata={"x": "y"})
    role = server.role("kept")
    server.client("iam").attach_role_policy(RoleName="kept", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/kept", TargetKeyId=key)
    message = {"KeyId": key, "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
    secret = kms.create_key()["KeyMetadata"]["KeyId"]
    server.function("kept", "def handler(event, context): return 'kept'")
    server.client("lambda").publish_version(FunctionName="kept")
    server.client("lambda").create_alias(FunctionName="kept", Name="live", FunctionVersion="1")
    events = server.client("events")
    events.put_rule(Name="kept", EventPattern='{"source": ["kept"]}')
    url, queue = server.queue("kept")
    server.client("sqs").send_message(QueueUrl=url, MessageBody='"kept"')
    events.put_targets(Rule="kept", Targets=[{"Id": "1", "Arn": queue}])
    server.client("ecr").create_repository(repositoryName="kept/image")
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": [],
        "config": {"size": 1, "digest": "sha256:0"},
    }  # fmt: skip
    server.client("ecr").put_image(repositoryName="kept/image", imageManifest=json.dumps(manifest), imageTag="1")
    server.client("logs").create_log_group(logGroupName="kept")
    server.client("ssm").put_parameter(Name="/kept", Value="v", Type="String")
    topic = server.client("sns").create_topic(Name="kept")["TopicArn"]
    server.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)
    vpc = server.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    server.client("cloudwatch").put_metric_alarm(
        AlarmName="kept", Namespace="n", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    server.client("scheduler").create_schedule(
        Name="kept", ScheduleExpression="rate(1 hour)", FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": queue, "RoleArn": role},
    )  # fmt: skip
    server.client("sagemaker").create_model_package_group(ModelPackageGroupName="kept")
    server.client("iam").create_open_id_connect_provider(Url="https://token.example.com", ClientIDList=["a"])
    server.admin("PUT", "images", {"pattern": "kept:*", "entrypoint": ["/bin/true"]})
    server.admin("POST", "clock", {"advance": 1000})
    return {
        "key": key, "secret": secret, "topic": topic, "vpc": vpc,
        "signature": kms.sign(**message)["Signature"],
        "ciphertext": kms.encrypt(KeyId=secret, Plaintext=b"plain")["CiphertextBlob"],
    }  # fmt: skip


def check(server: Server, made: dict[str, Any]) -> None:
    found = server.client("s3").get_object(Bucket="kept", Key="a/b")
    assert found["Body"].read() == b"body" and found["Metadata"] == {"x": "y"} and found["VersionId"] != "null"
    attached = server.client("iam").list_attached_role_policies(RoleName="kept")["AttachedPolicies"]
    assert attached[0]["PolicyName"] == "ReadOnlyAccess"
    kms = server.client("kms")
    signed = {"KeyId": "alias/kept", "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
    assert kms.verify(Signature=made["signature"], **signed)["SignatureValid"]
    assert kms.decrypt(CiphertextBlob=made["ciphertext"])["Plaintext"] == b"plain"
    assert server.invoke("kept", Qualifier="live")["document"] == "kept"
    assert server.client("events").list_targets_by_rule(Rule="kept")["Targets"][0]["Arn"].endswith(":kept")
    url = server.client("sqs").get_queue_url(QueueName="kept")["QueueUrl"]
    assert server.messages(url)[0]["document"] == "kept"
    images = server.client("ecr").describe_images(repositoryName="kept/image")["imageDetails"]
    assert images[0]["imageTags"] == ["1"]
    groups = server.client("logs").describe_log_groups(logGroupNamePrefix="kept")["logGroups"]
    assert [group["logGroupName"] for group in groups] == ["kept"]
    assert server.client("ssm").get_parameter(Name="/kept")["Parameter"]["Value"] == "v"
    assert server.client("sns").list_subscriptions_by_topic(TopicArn=made["topic"])["Subscriptions"]
    assert server.client("ec2").describe_vpcs(VpcIds=[made["vpc"]])["Vpcs"][0]["CidrBlock"] == "10.1.0.0/16"
    assert server.client("cloudwatch").describe_alarms(AlarmNames=["kept"])["MetricAlarms"]
    assert [one["Name"] for one in server.client("scheduler").list_schedules()["Schedules"]] == ["kept"]
    assert server.client("sagemaker").describe_model_package_group(ModelPackageGroupName="kept")
    assert server.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert server.admin("GET", "images")["images"][0]["pattern"] == "kept:*"
    assert server.admin("GET", "clock")["offset"] == 1000


def snapshot(server: Server, service: str) -> Path:
    (found,) = (server.state_dir / "moto").glob(f"*/{service}.pickle")
    return found


def test_a_stop_saves_the_last_change_and_everything_before_it(own_server: Server) -> None:
    made = fill(own_server)
    own_server.client("s3").put_object(Bucket="kept", Key="last", Body=b"moment")
    own_server.restart()
    check(own_server, made)
    assert own_server.client("s3").get_object(Bucket="kept", Key="last")["Body"].read() == b"moment"
    own_server.client("s3").put_object(Bucket="kept", Key="after", Body=b"it goes on")


def test_a_kill_loses_at_most_the_last_moment(own_server: Server) -> None:
    made = fill(own_server)
    eventually(lambda: _all_stored(own_server) and not own_server.admin("GET", "health")["unsaved"])
    os.kill(own_server.info.pid, signal.SIGKILL)
    own_server.info = control.start(own_server.state_dir, ACCOUNT, REGION)
    check(own_server, made)


def _all_stored(server: Server) -> bool:
    """Are the snapshots of all that :func:`fill` made there, and none of them of the last moment?"""
    files = list((server.state_dir / "moto").glob("*/*.pickle"))
    wanted = {
        "awslambda",
        "cloudwatch",
        "ec2",
        "ecr",
        "events",
        "iam",
        "kms",
        "logs",
        "s3",
        "scheduler",
        "sns",
        "sqs",
        "ssm",
    }
    settled = all(file.stat().st_mtime < time.time() - 1 for file in files)
    return settled and wanted <= {file.stem for file in files}


def test_the_state_of_another_moto_stays_and_the_server_says_so(own_server: Server) -> None:
    s3 = own_server.client("s3")
    s3.create_bucket(Bucket="old", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="old", Key="k", Body=b"of the old version")
    control.stop(own_server.state_dir)
    folder = snapshot(own_server, "s3").parent
    folder.rename(folder.with_name("4.9.9"))
    own_server.info = control.start(own_server.state_dir, ACCOUNT, REGION)
    assert "stored by moto 4.9.9" in own_server.log() and "Starting empty beside it" in own_server.log()
    s3 = own_server.client("s3")
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket="new", CreateBucketConfiguration={"LocationConstraint": REGION})
    control.stop(own_server.state_dir)
    folder.rename(folder.with_name("new"))
    folder.with_name("4.9.9").rename(folder)
    own_server.info = control.start(own_server.state_dir, ACCOUNT, REGION)
    assert own_server.client("s3").get_object(Bucket="old", Key="k")["Body"].read() == b"of the old version"


def test_a_snapshot_that_others_could_have_written_is_not_read(own_server: Server) -> None:
    own_server.queue("harmless")
    control.stop(own_server.state_dir)
    file = snapshot(own_server, "sqs")
    proof = own_server.state_dir / "proof"
    evil = pickle.dumps(_Evil(str(proof)))
    file.write_bytes(evil)
    file.chmod(0o660)
    own_server.info = control.start(own_server.state_dir, ACCOUNT, REGION)
    assert not proof.exists() and "must be a file of this user with mode 600" in own_server.log()
    assert list(file.parent.glob("sqs.unreadable-*"))
    assert "QueueUrls" not in own_server.client("sqs").list_queues()


class _Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_every_file_of_the_state_is_the_users_own(server: Server) -> None:
    server.queue("private")
    eventually(lambda: list((server.state_dir / "moto").glob("*/sqs.pickle")))
    assert server.state_dir.stat().st_mode & 0o077 == 0
    for file in (server.state_dir / "moto").glob("*/*.pickle"):
        assert file.stat().st_mode & 0o777 == 0o600
    assert (server.state_dir / "resources.sqlite").stat().st_mode & 0o777 == 0o600


class TestBlobs:
    def test_files_go_when_neither_memory_nor_the_snapshot_names_them(self, tmp_path: Path) -> None:
        store = BlobStore(tmp_path)
        kept, gone = store.write(b"kept"), store.write(b"gone")
        names = {kept.name, gone.name}
        del gone
        assert store.collect({kept.name} | names) == 0  # the stored snapshot still names it
        assert store.collect({kept.name}) == 1
        assert store.read(kept) == b"kept"
        assert [file.name for file in tmp_path.glob("??/*")] == [kept.name]

    def test_what_a_killed_server_was_receiving_goes_at_the_next_start(self, tmp_path: Path) -> None:
        store = BlobStore(tmp_path)
        writer = store.writer()
        writer.write(b"half of it")
        again = BlobStore(tmp_path)
        assert not list((tmp_path / "incoming").iterdir())
        writer.__exit__()
        assert again.collect(set()) == 0

    def test_an_unfinished_writer_leaves_nothing_and_equal_bodies_share_a_file(self, tmp_path: Path) -> None:
        store = BlobStore(tmp_path)
        with pytest.raises(ZeroDivisionError), store.writer() as writer:
            writer.write(b"x")
            raise ZeroDivisionError
        with store.writer() as writer:
            writer.write(b"da")
            writer.write(b"ta")
            first = writer.finish()
        second = store.write(b"data")
        assert first is second and first.size == 4
        assert len(list(tmp_path.glob("??/*"))) == 1 and not list((tmp_path / "incoming").iterdir())

    def test_a_body_received_again_while_the_old_one_goes_is_there(self, tmp_path: Path) -> None:
        store = BlobStore(tmp_path)
        name = store.write(b"data").name
        assert store.collect(set()) == 1
        again = store.write(b"data")
        assert again.name == name and store.read(again) == b"data"

    def test_bodies_that_an_unreadable_snapshot_may_name_stay(self, tmp_path: Path) -> None:
        BlobStore(tmp_path).write(b"of another version")
        store = BlobStore(tmp_path)
        store.keep_unknown()
        store.write(b"new")
        assert store.collect(set()) == 1
        assert len(list(tmp_path.glob("??/*"))) == 1


def test_write_own_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "s"
    snapshots.write_own(file, b"old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        snapshots.write_own(file, b"new")
    assert file.read_bytes() == b"old" and [one.name for one in tmp_path.iterdir()] == ["s"]
