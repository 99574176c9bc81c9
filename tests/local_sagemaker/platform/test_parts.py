"""Parts of the server that its rooms use directly: objects, roles, logs, images, clock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import moto.core.base_backend
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_sagemaker import moto_gaps
from local_sagemaker.clock import Clock
from local_sagemaker.images import Unbound
from local_sagemaker.objects import NotFound, ObjectError, relative_path
from local_sagemaker.platform import Platform
from local_sagemaker.roles import CannotAssume
from tests.local_sagemaker.platform.conftest import ACCOUNT, REGION


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """The parts in this process, without HTTP, with one bucket."""
    moto.core.base_backend.BackendDict.reset()
    state = tmp_path / "state"
    state.mkdir()
    found = Platform(state, ACCOUNT, REGION)
    found.endpoint_url = "http://127.0.0.1:1"
    moto_gaps.install(found)
    found.state.load()
    from moto.s3.models import s3_backends

    s3_backends[ACCOUNT]["aws"].create_bucket("bucket", REGION)
    yield found
    moto_gaps.uninstall()
    found.metrics.close()
    found.store.close()
    moto.core.base_backend.BackendDict.reset()


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


class TestObjects:
    def test_a_folder_goes_up_and_comes_down_again(self, platform: Platform, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        for name in ("a", "sub/b", "sub/deep/c", "empty"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text("" if name == "empty" else name)
        (source / "link").symlink_to(source / "a")
        assert platform.objects.upload_folder(source, "s3://bucket/x/y") == 5
        assert platform.objects.download_prefix("s3://bucket/x/y", target) == 5
        assert tree(target) == {"a": "a", "sub/b": "sub/b", "sub/deep/c": "sub/deep/c", "empty": "", "link": "a"}

    def test_a_prefix_is_a_plain_string_prefix(self, platform: Platform, tmp_path: Path) -> None:
        for key in ("data/train/a", "data/train2/b", "data/test/c", "data/train/folder/", "other"):
            platform.objects.write(f"s3://bucket/{key}", key.encode())
        assert [info.key for info in platform.objects.list("s3://bucket/data/train")] == [
            "data/train/a", "data/train/folder/", "data/train2/b",
        ]  # fmt: skip
        assert platform.objects.download_prefix("s3://bucket/data/train", tmp_path / "1") == 2
        assert tree(tmp_path / "1") == {"a": "data/train/a", "train2/b": "data/train2/b"}
        assert platform.objects.download_prefix("s3://bucket/other", tmp_path / "2") == 1
        assert tree(tmp_path / "2") == {"other": "other"}
        assert platform.objects.download_prefix("s3://bucket/nothing", tmp_path / "3") == 0

    def test_shards_are_disjoint_and_complete(self, platform: Platform, tmp_path: Path) -> None:
        for number in range(10):
            platform.objects.write(f"s3://bucket/n/{number}", b"x")
        counts = [
            platform.objects.download_prefix("s3://bucket/n/", tmp_path / str(index), shard=(index, 3))
            for index in range(3)
        ]
        names = [name for index in range(3) for name in tree(tmp_path / str(index))]
        assert counts == [4, 3, 3] and sorted(names) == [str(number) for number in range(10)]

    def test_a_manifest(self, platform: Platform, tmp_path: Path) -> None:
        for key in ("in/a/1", "in/a/2", "in/b"):
            platform.objects.write(f"s3://bucket/{key}", key.encode())
        manifest = json.dumps([{"prefix": "s3://bucket/in/"}, "a/1", "a/2", "b"]).encode()
        platform.objects.write("s3://bucket/manifest", manifest)
        assert platform.objects.download_manifest("s3://bucket/manifest", tmp_path / "all") == 3
        assert tree(tmp_path / "all") == {"a/1": "in/a/1", "a/2": "in/a/2", "b": "in/b"}
        assert platform.objects.download_manifest("s3://bucket/manifest", tmp_path / "half", (1, 2)) == 1
        assert tree(tmp_path / "half") == {"a/2": "in/a/2"}

    @pytest.mark.parametrize(
        "text", ["", "{}", "[]", '["a"]', '[{"prefix": "no-uri"}, "a"]', '[{"prefix": "s3://bucket/"}, 1]', "[[]]"]
    )
    def test_what_is_no_manifest_is_named(self, platform: Platform, tmp_path: Path, text: str) -> None:
        platform.objects.write("s3://bucket/manifest", text.encode())
        with pytest.raises(ObjectError, match="s3://bucket/manifest is no manifest"):
            platform.objects.download_manifest("s3://bucket/manifest", tmp_path)

    def test_a_job_cannot_change_the_stored_object(self, platform: Platform, tmp_path: Path) -> None:
        platform.objects.write("s3://bucket/k", b"as it is")
        platform.objects.download_file("s3://bucket/k", tmp_path / "deep" / "copy")
        (tmp_path / "deep" / "copy").write_text("overwritten in place")
        assert platform.objects.read("s3://bucket/k") == b"as it is"
        (tmp_path / "up").write_text("first")
        platform.objects.upload_file(tmp_path / "up", "s3://bucket/up")
        (tmp_path / "up").write_text("second")
        assert platform.objects.read("s3://bucket/up") == b"first"

    def test_what_is_missing_or_impossible_is_named(self, platform: Platform, tmp_path: Path) -> None:
        objects = platform.objects
        assert not objects.exists("s3://bucket/none") and not objects.exists("s3://nowhere/none")
        with pytest.raises(NotFound, match="s3://bucket/none"):
            objects.read("s3://bucket/none")
        with pytest.raises(NotFound, match="s3://nowhere"):
            objects.list("s3://nowhere/x")
        with pytest.raises(NotFound, match="nowhere"):
            objects.write("s3://nowhere/x", b"")
        with pytest.raises(ObjectError, match="is not an S3 URI"):
            objects.read("/a/file")
        objects.write("s3://bucket/p/../../../escape", b"")
        with pytest.raises(ObjectError, match="leads out of"):
            objects.download_prefix("s3://bucket/p/", tmp_path / "in")
        objects.write("s3://bucket/q/a", b"")
        objects.write("s3://bucket/q/a/b", b"")
        with pytest.raises(ObjectError, match="another object needs"):
            objects.download_prefix("s3://bucket/q/", tmp_path / "both")

    @given(st.text("ab/", min_size=1, max_size=8), st.text("ab/", max_size=8))
    def test_relative_paths_never_lose_the_name(self, key: str, prefix: str) -> None:
        if key.startswith(prefix) and not key.endswith("/"):
            found = relative_path(key, prefix)
            assert found and key.endswith(found) and found.endswith(key.rsplit("/", 1)[-1])


class TestRoles:
    def role(self, name: str, service: str | list[str], **more: Any) -> str:
        from moto.iam.models import iam_backends

        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole", **more}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        role = iam_backends[ACCOUNT]["aws"].create_role(
            role_name=name, assume_role_policy_document=document, path="/", permissions_boundary=None, description="",
            tags=[], max_session_duration="3600",
        )  # fmt: skip
        arn: str = role.arn
        return arn

    def test_the_environment_is_complete_and_the_session_is_shared(self, platform: Platform) -> None:
        arn = self.role("job", "sagemaker.amazonaws.com")
        found = platform.roles.environment(arn, REGION)
        assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == REGION
        assert found["AWS_ENDPOINT_URL"] == platform.endpoint_url and found["AWS_EC2_METADATA_DISABLED"] == "true"
        assert found == platform.roles.environment(arn, REGION)
        assert found != platform.roles.environment(arn, REGION, session_name="other")

    def test_a_role_that_is_missing_or_trusts_somebody_else_cannot_be_assumed(self, platform: Platform) -> None:
        missing = f"arn:aws:iam::{ACCOUNT}:role/missing"
        with pytest.raises(CannotAssume, match=missing):
            platform.roles.environment(missing, REGION)
        arn = self.role("function", ["lambda.amazonaws.com", "edgelambda.amazonaws.com"])
        platform.roles.check(arn, f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:x", "lambda.amazonaws.com")
        for role in (arn, missing):
            with pytest.raises(CannotAssume, match=r"allows principal 'sagemaker.amazonaws.com' to assume the role"):
                platform.roles.check(role, f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/x")

    def test_a_role_may_trust_a_service_for_its_own_resources_only(self, platform: Platform) -> None:
        ours = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:*"
        arn = self.role("narrow", "sagemaker.amazonaws.com", Condition={"ArnLike": {"aws:SourceArn": ours}})
        platform.roles.check(arn, f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/x")
        with pytest.raises(CannotAssume, match=arn):
            platform.roles.check(arn, f"arn:aws:sagemaker:{REGION}:210987654321:training-job/x")


def test_log_streams(platform: Platform) -> None:
    stream = platform.logs.stream("/group", "stream", REGION)
    for number in range(5):
        stream.write(f"line {number}")
    stream.write("")
    again = platform.logs.stream("/group", "stream", REGION)
    again.write("more")
    stream.close()
    assert again.tail(2) == ["line 4", "more"] and again.tail(0) == [] and len(again.tail(100)) == 6


def test_the_binding_of_an_image(platform: Platform) -> None:
    images = platform.images
    images.bind("*.dkr.ecr.*/x/training:*", ["general"])
    images.bind("1.dkr.ecr.eu/x/training:1", ["exact"], {"A": "b"})
    images.bind("1.dkr.ecr.eu/*", ["latest"])
    assert images.resolve("1.dkr.ecr.eu/x/training:1").entrypoint == ("exact",)
    assert images.resolve("1.dkr.ecr.eu/x/training:2").entrypoint == ("latest",)
    assert images.resolve("2.dkr.ecr.us/x/training:2").entrypoint == ("general",)
    with pytest.raises(Unbound, match=r"unknown:1 is not bound.*PUT /_local/images.*x/training"):
        images.resolve("unknown:1")


class TestClock:
    def test_it_runs_moves_forward_and_keeps_its_offset(self, tmp_path: Path) -> None:
        clock = Clock(tmp_path / "clock")
        before = clock.time()
        assert clock.advance(100) >= before + 100
        assert clock.advance(0.5) >= before + 100.5
        assert Clock(tmp_path / "clock").offset == 100.5
        for wrong in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="forward only"):
                clock.advance(wrong)

    def test_whoever_waits_is_woken_by_the_clock_by_the_stop_and_by_earlier_news(self) -> None:
        clock, stop = Clock(), threading.Event()
        moves = clock.moves
        clock.wake()
        started = time.monotonic()
        clock.wait_until(clock.time() + 600, stop, longest=600, since=moves)  # the news came before the wait
        waiting = threading.Thread(target=clock.wait_until, args=(clock.time() + 600, stop, 600))
        waiting.start()
        while waiting.is_alive():
            clock.advance(1)
            waiting.join(0.01)
        stop.set()
        clock.wait_until(clock.time() + 600, stop, longest=600)
        assert time.monotonic() - started < 60
