"""S3 bodies in files, and HTTP as clients use it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import resource
import socket
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import urllib3

from tests.local_sagemaker.platform.conftest import REGION, Server
from tests.waiting import eventually

MIB = 1 << 20


@pytest.fixture(scope="module")
def s3(server: Server) -> Any:
    client = server.client("s3")
    client.create_bucket(Bucket="bodies", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


def bodies_on_disk(server: Server) -> set[str]:
    return {file.name for file in (server.state_dir / "s3").glob("??/*")}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    link = http.client.HTTPConnection("127.0.0.1", server.info.port, timeout=30)
    try:
        yield link
    finally:
        link.close()


def signed(**more: str) -> dict[str, str]:
    """Headers of a request that claims to be signed for S3."""
    scope = f"AKIAEXAMPLE/20261124/{REGION}/s3/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"} | more


@pytest.mark.parametrize("size", [0, 1, 60_000, MIB, 3 * MIB + 7])
def test_what_is_put_is_got_whole_in_part_and_described(server: Server, s3: Any, size: int) -> None:
    data, key = os.urandom(size), f"some folder/ä {size}.bin"
    etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
    assert (
        s3.put_object(Bucket="bodies", Key=key, Body=data, ContentType="image/png", Metadata={"a": "b"})["ETag"] == etag
    )
    found = s3.get_object(Bucket="bodies", Key=key)
    assert found["Body"].read() == data and found["ETag"] == etag and found["ContentLength"] == size
    assert found["ContentType"] == "image/png" and found["Metadata"] == {"a": "b"}
    assert s3.head_object(Bucket="bodies", Key=key)["ContentLength"] == size
    if size > 10:
        part = s3.get_object(Bucket="bodies", Key=key, Range="bytes=3-9")
        assert part["Body"].read() == data[3:10] and part["ContentRange"] == f"bytes 3-9/{size}"
        assert s3.get_object(Bucket="bodies", Key=key, Range="bytes=-5")["Body"].read() == data[-5:]
        assert sha256(data) in bodies_on_disk(server)


def test_a_copy_and_an_equal_body_share_one_file(server: Server, s3: Any) -> None:
    data = os.urandom(2 * MIB)
    before = bodies_on_disk(server)
    s3.put_object(Bucket="bodies", Key="original", Body=data)
    s3.put_object(Bucket="bodies", Key="equal", Body=data)
    s3.copy_object(Bucket="bodies", Key="copy", CopySource={"Bucket": "bodies", "Key": "original"})
    assert bodies_on_disk(server) - before == {sha256(data)}
    assert s3.get_object(Bucket="bodies", Key="copy")["Body"].read() == data


def test_a_multipart_upload_is_joined_and_its_parts_go(server: Server, s3: Any) -> None:
    parts = [os.urandom(5 * MIB), os.urandom(5 * MIB), os.urandom(1000)]
    upload = s3.create_multipart_upload(Bucket="bodies", Key="large")["UploadId"]
    where = {"Bucket": "bodies", "Key": "large", "UploadId": upload}
    etags = [s3.upload_part(PartNumber=number, Body=part, **where)["ETag"] for number, part in enumerate(parts, 1)]
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    whole = s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **where)
    md5s = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    assert whole["ETag"] == f'"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-3"'
    assert s3.get_object(Bucket="bodies", Key="large")["Body"].read() == b"".join(parts)
    eventually(lambda: not {sha256(part) for part in parts} & bodies_on_disk(server))
    assert sha256(b"".join(parts)) in bodies_on_disk(server)


def test_wrong_parts_are_refused(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="bodies", Key="wrong")["UploadId"]
    where = {"Bucket": "bodies", "Key": "wrong", "UploadId": upload}
    etags = [s3.upload_part(PartNumber=number, Body=b"small", **where)["ETag"] for number in (1, 2)]
    for listed, code in (
        ([{"PartNumber": 3, "ETag": etags[0]}], "InvalidPart"),
        ([{"PartNumber": 1, "ETag": '"0"'}], "InvalidPart"),
        ([{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)], "EntityTooSmall"),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **where)
        assert caught.value.response["Error"]["Code"] == code
    s3.abort_multipart_upload(**where)


def test_versions_keep_their_bodies(s3: Any) -> None:
    s3.create_bucket(Bucket="versioned", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket="versioned", Key="k", Body=body)["VersionId"] for body in (b"one", b"two")]
    s3.delete_object(Bucket="versioned", Key="k")
    for version, body in zip(versions, (b"one", b"two"), strict=True):
        assert s3.get_object(Bucket="versioned", Key="k", VersionId=version)["Body"].read() == body
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="versioned", Key="k")


def test_listings_page_by_prefix_with_any_name(s3: Any) -> None:
    s3.create_bucket(Bucket="listed", CreateBucketConfiguration={"LocationConstraint": REGION})
    names = sorted(["a/1", 'a/2 <&> "ä"', "a/3", "a/b/4", "ab"])
    for name in names:
        s3.put_object(Bucket="listed", Key=name, Body=name.encode())
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="listed", PaginationConfig={"PageSize": 2}))
    assert [item["Key"] for page in pages for item in page["Contents"]] == names
    assert [page["KeyCount"] for page in pages] == [2, 2, 1]
    (item,) = s3.list_objects_v2(Bucket="listed", Prefix="a/2", FetchOwner=True)["Contents"]
    body = names[1].encode()
    assert item["Size"] == len(body) and item["ETag"] == f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    assert item["StorageClass"] == "STANDARD" and item["Owner"]["ID"] and item["LastModified"].year >= 2026
    grouped = s3.list_objects_v2(Bucket="listed", Delimiter="/")
    assert [item["Key"] for item in grouped["Contents"]] == ["ab"]
    assert [item["Prefix"] for item in grouped["CommonPrefixes"]] == ["a/"]
    assert "Contents" not in s3.list_objects_v2(Bucket="listed", Prefix="none")
    assert [item["Key"] for item in s3.list_objects(Bucket="listed", Prefix="a/b")["Contents"]] == ["a/b/4"]


def test_presigned_urls_work(server: Server, s3: Any) -> None:
    where = {"Bucket": "bodies", "Key": "presigned"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # what many clients send when nobody says otherwise
    with urllib3.PoolManager() as http_client:
        url = s3.generate_presigned_url("put_object", Params=where)
        assert http_client.request("PUT", url, body=b"by=url", headers=form).status == 200
        url = s3.generate_presigned_url("get_object", Params=where)
        assert http_client.request("GET", url).data == b"by=url"


def test_a_deleted_body_goes_unless_another_object_has_it(server: Server, s3: Any) -> None:
    shared, alone = os.urandom(1000), os.urandom(1000)
    for key, body in (("one", shared), ("two", shared), ("three", alone)):
        s3.put_object(Bucket="bodies", Key=key, Body=body)
    assert {sha256(shared), sha256(alone)} <= bodies_on_disk(server)
    s3.delete_objects(Bucket="bodies", Delete={"Objects": [{"Key": "one"}, {"Key": "three"}]})
    eventually(lambda: sha256(alone) not in bodies_on_disk(server))
    assert sha256(shared) in bodies_on_disk(server)
    assert s3.get_object(Bucket="bodies", Key="two")["Body"].read() == shared


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ({"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()}, "BadDigest"),
        ({"x-amz-checksum-sha1": base64.b64encode(bytes(20)).decode()}, "BadDigest"),
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"x-amz-content-sha256": "0" * 64}, "XAmzContentSHA256Mismatch"),
    ],
)
def test_a_body_that_changed_on_its_way_is_refused(server: Server, s3: Any, headers: dict[str, str], code: str) -> None:
    with connection(server) as link:
        link.request("PUT", "/bodies/damaged", body=b"data", headers=signed(**headers))
        answer = link.getresponse()
        assert answer.status == 400 and f"<Code>{code}</Code>".encode() in answer.read()
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="bodies", Key="damaged")


def test_aws_chunked_bodies_with_a_checksum_behind_them(server: Server, s3: Any) -> None:
    data = os.urandom(100_000)
    checksum = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": str(len(data)), "Content-Encoding": "aws-chunked",
        "x-amz-sdk-checksum-algorithm": "CRC32",
    }  # fmt: skip

    def chunked(trailer: str) -> bytes:
        pieces = [data[start : start + 65_536] for start in range(0, len(data), 65_536)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return framed + f"0\r\nx-amz-checksum-crc32:{trailer}\r\n\r\n".encode()

    with connection(server) as link:
        link.request("PUT", "/bodies/chunked", body=chunked(checksum), headers=signed(**headers))
        answer = link.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        link.request("PUT", "/bodies/damaged", body=chunked("AAAAAA=="), headers=signed(**headers))
        answer = link.getresponse()
        assert answer.status == 400 and b"BadDigest" in answer.read()
    found = s3.get_object(Bucket="bodies", Key="chunked", ChecksumMode="ENABLED")
    assert found["Body"].read() == data and found["ChecksumCRC32"] == checksum
    assert "aws-chunked" not in found.get("ContentEncoding", "")


def test_an_upload_that_breaks_off_leaves_nothing(server: Server, s3: Any) -> None:
    with connection(server) as link:
        link.putrequest("PUT", "/bodies/broken")
        for name, value in signed(**{"Content-Length": "1000000"}).items():
            link.putheader(name, value)
        link.endheaders(b"only the beginning")
    eventually(lambda: not list((server.state_dir / "s3" / "incoming").iterdir()))
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="bodies", Key="broken")


def test_one_connection_takes_many_requests_even_unread_ones(server: Server, s3: Any) -> None:
    with connection(server) as link:
        for number in range(5):
            body = b"x" * 200_000
            link.request("PUT", f"/nobodys-bucket/{number}", body=body, headers=signed())
            answer = link.getresponse()
            assert answer.status == 404 and b"NoSuchBucket" in answer.read()
            link.request("POST", "/_local/unknown", body=b"not read")
            assert link.getresponse().read().startswith(b'{"message"')
            link.request("HEAD", "/bodies/nothing-here", headers=signed())
            assert link.getresponse().read() == b""
        first = link.sock
        link.request("GET", "/_local/health")
        assert json.load(link.getresponse())["status"] == "ok" and link.sock is first


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"nonsense\r\n\r\n", b" 400 "),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: many\r\n\r\n", b" 400 "),
        (b"GET http://[::1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b" 400 "),
        (b"POST /_local/clock HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{", b""),
    ],
)
def test_what_is_no_request_ends_the_connection_and_nothing_else(server: Server, raw: bytes, expected: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.info.port), timeout=30) as link:
        link.sendall(raw)
        link.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := link.recv(65536):
            answer += chunk
    assert expected in answer.split(b"\r\n")[0] and bool(answer) == bool(expected)
    assert server.admin("GET", "health")["status"] == "ok" and "Traceback" not in server.log()


def test_web_pages_are_refused(server: Server) -> None:
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{server.info.port + 1}"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{server.info.port}"},
    ):
        assert server.admin("GET", "health", headers=headers)["status"] == 403
    assert server.admin("GET", "health", headers={"Host": f"localhost:{server.info.port}"})["status"] == "ok"


def test_a_full_disk_ends_the_upload_with_an_error_and_nothing_else(server: Server) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="full", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="full", Key="old", Body=b"old")
    before = resource.prlimit(server.info.pid, resource.RLIMIT_FSIZE, (MIB, resource.RLIM_INFINITY))
    try:
        for key in ("new", "old"):
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                s3.put_object(Bucket="full", Key=key, Body=os.urandom(2 * MIB))
            answer = caught.value.response
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 507
            assert answer["Error"]["Code"] == "InsufficientStorage" and "cannot write" in answer["Error"]["Message"]
    finally:
        resource.prlimit(server.info.pid, resource.RLIMIT_FSIZE, before)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="full")["Contents"]] == ["old"]
    assert s3.get_object(Bucket="full", Key="old")["Body"].read() == b"old"
    assert not list((server.state_dir / "s3" / "incoming").iterdir())
    s3.put_object(Bucket="full", Key="small", Body=b"fits")
    assert Path(server.state_dir / "server.log").read_text().count("Traceback") == 0


def test_of_conditional_writes_at_once_one_wins(server: Server) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="races", CreateBucketConfiguration={"LocationConstraint": REGION})

    def write(number: int, key: str) -> bool:
        try:
            s3.put_object(Bucket="races", Key=key, Body=str(number).encode(), IfNoneMatch="*")
        except s3.exceptions.ClientError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for turn in range(20):
            assert sum(pool.map(write, range(8), [f"key-{turn}"] * 8)) == 1
