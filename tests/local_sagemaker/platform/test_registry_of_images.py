"""ECR: what a scan found is told, a configuration can be fetched as a pull fetches it; KMS refuses a bad signature."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import urllib3

from tests.local_sagemaker.platform.conftest import Server
from tests.local_sagemaker.platform.test_moto_gaps import refused

TYPE = "application/vnd.docker.distribution.manifest.v2+json"


def pushed(server: Server, name: str, **scanning: bool) -> dict[str, str]:
    ecr = server.client("ecr")
    ecr.create_repository(repositoryName=name, imageScanningConfiguration=scanning)
    manifest = json.dumps({"schemaVersion": 2, "mediaType": TYPE, "config": {}, "layers": [], "name": name})
    digest = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
    ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="one", imageDigest=digest)
    return {"repository": name, "digest": digest}


def found(server: Server, image: dict[str, str], **more: Any) -> Any:
    return server.client("ecr").describe_image_scan_findings(
        repositoryName=image["repository"], imageId={"imageDigest": image["digest"]}, **more
    )


def test_an_image_is_scanned_when_its_repository_or_somebody_says_so(server: Server) -> None:
    scanned = found(server, pushed(server, "scans/on-push", scanOnPush=True))
    assert scanned["imageScanStatus"]["status"] == "COMPLETE"
    assert scanned["imageScanFindings"]["findings"] == [] and not scanned["imageScanFindings"]["findingSeverityCounts"]
    image = pushed(server, "scans/by-hand", scanOnPush=False)
    wanted = {"repositoryName": image["repository"], "imageId": {"imageDigest": image["digest"]}}
    error = refused(server.client("ecr").describe_image_scan_findings, **wanted)
    assert error["Code"] == "ScanNotFoundException" and image["digest"] in error["Message"]
    server.client("ecr").start_image_scan(**wanted)
    assert found(server, image)["imageScanStatus"]["status"] == "COMPLETE"


def test_what_a_scan_found_is_told_and_outlives_the_server(server: Server) -> None:
    image = pushed(server, "scans/told", scanOnPush=True)
    findings = [{"name": f"CVE-2026-{number}", "severity": "HIGH" if number else "LOW"} for number in range(3)]
    assert server.admin("PUT", "scans", {**image, "status": "ACTIVE", "findings": findings}) == {}
    assert {**image, "status": "ACTIVE", "findings": findings} in server.admin("GET", "scans")["scans"]
    server.restart()
    first = found(server, image, maxResults=2)
    assert first["imageScanStatus"]["status"] == "ACTIVE"
    assert first["imageScanFindings"]["findingSeverityCounts"] == {"LOW": 1, "HIGH": 2}
    second = found(server, image, maxResults=2, nextToken=first["nextToken"])
    assert "nextToken" not in second
    names = [one["name"] for page in (first, second) for one in page["imageScanFindings"]["findings"]]
    assert names == ["CVE-2026-0", "CVE-2026-1", "CVE-2026-2"]
    server.admin("PUT", "scans", {**image, "status": "FAILED"})
    failed = found(server, image)
    assert failed["imageScanStatus"]["status"] == "FAILED" and "imageScanFindings" not in failed
    server.admin("DELETE", "scans", image)
    assert found(server, image)["imageScanStatus"]["status"] == "COMPLETE"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"status": "GOOD"}, "status of IN_PROGRESS, COMPLETE"),
        ({"findings": [{"name": "CVE-1", "severity": "BAD"}]}, "severity of CRITICAL"),
        ({"findings": "none"}, "expected repository"),
        ({"digest": "sha256:0"}, "no image 'sha256:0'"),
        ({"repository": "nowhere"}, "in the repository 'nowhere'"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_scan_that_is_none_is_refused(server: Server, request_: dict[str, Any], words: str) -> None:
    answer = server.admin("PUT", "scans", {"repository": "r", "digest": "d"} | request_)
    assert answer["status"] == 400 and words in answer["message"]


def uploaded(server: Server, name: str, body: bytes) -> str:
    ecr = server.client("ecr")
    upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=name, uploadId=upload, partFirstByte=0, partLastByte=len(body) - 1, layerPartBlob=body
    )
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload, layerDigests=[digest])
    return digest


def test_a_small_layer_has_a_download_url(server: Server) -> None:
    ecr, name, body = server.client("ecr"), "layers/of-an/image", b'{"architecture": "amd64",\n "os": "linux"}'
    ecr.create_repository(repositoryName=name)
    digest = uploaded(server, name, body)
    server.restart()
    answer = server.client("ecr").get_download_url_for_layer(repositoryName=name, layerDigest=digest)
    assert answer["layerDigest"] == digest
    assert urllib3.request("GET", answer["downloadUrl"]).data == body
    lost = answer["downloadUrl"].replace(digest, "sha256:" + "0" * 64)
    assert urllib3.request("GET", lost).status == 404
    assert urllib3.request("GET", f"{server.info.endpoint_url}/_local/layers/x").status == 404


def test_a_layer_that_is_not_there_or_was_not_kept_has_none(server: Server) -> None:
    ecr, name = server.client("ecr"), "layers/large"
    ecr.create_repository(repositoryName=name)
    error = refused(ecr.get_download_url_for_layer, repositoryName=name, layerDigest="sha256:" + "0" * 64)
    assert error["Code"] == "LayersNotFoundException"
    digest = uploaded(server, name, bytes(1024**2 + 1))
    error = refused(ecr.get_download_url_for_layer, repositoryName=name, layerDigest=digest)
    assert error["Code"] == "LayerInaccessibleException" and "only its size is kept" in error["Message"]


def test_an_invalid_signature_is_an_error_as_kms_has_it(server: Server) -> None:
    kms = server.client("kms")
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    common = {"KeyId": key, "MessageType": "RAW", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(Message=b"one", **common)["Signature"]
    assert kms.verify(Message=b"one", Signature=signature, **common)["SignatureValid"] is True
    error = refused(kms.verify, Message=b"two", Signature=signature, **common)
    assert error["Code"] == "KMSInvalidSignatureException"
