"""Each fault that a package may have is found by the check that is for it, and by no other."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from contracts import hashing, release
from contracts.settings import Settings
from deployment import checks
from deployment.checks import Report
from deployment.packages import Package
from tests.deployment.checks.factory import Factory, golden, look, scan_again

ALL = [
    "inference.registry", "inference.platform", "inference.signature", "inference.scan",
    "training.registry", "training.platform", "training.signature", "training.scan",
    "bundle.hash", "dataset.known", "source.known",
]  # fmt: skip


def test_nothing_is_found_in_a_healthy_package(factory: Factory) -> None:
    for package in (factory.package(), factory.package(precision="int8")):
        report = look(factory, package)
        assert report.ok and not report.failed and not report.pending, report.message
        assert [finding.id for finding in report.findings] == ALL
        assert report.message == "all 11 checks hold"
        assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_the_images_of_this_checkout_hold(factory: Factory) -> None:
    """What the base itself has pushed and signed, as the pipeline registers it."""
    from contracts import source
    from cv_factory.operations.base import images

    made = {name: images.manifest(factory.names, name, source.source_hash(name)).digest for name in source.IMAGES}
    package = factory.package(of_source=source.source_hash("training"), **made)
    assert look(factory, package).ok


# --- one fault each ---

Fault = Callable[[Factory], Package]
FAULTS: dict[str, tuple[str, str, Fault]] = {}
"""Name -> (the check that finds it, words of the finding, how the package is made)."""


def fault(check: str, words: str) -> Callable[[Fault], Fault]:
    def add(make: Fault) -> Fault:
        FAULTS[make.__name__] = (check, words, make)
        return make

    return add


@fault("inference.registry", "Reject the package: it is not of this factory")
def foreign_registry(factory: Factory) -> Package:
    digest = factory.push("inference", factory.source_hash())
    image = f"999999999999.dkr.ecr.eu-west-1.amazonaws.com/{factory.names.inference_repository}@{digest}"
    return factory.package(inference=digest, image=image)


@fault("inference.registry", "right is")
def foreign_region(factory: Factory) -> Package:
    digest = factory.push("inference", factory.source_hash())
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{factory.names.inference_repository}@{digest}"
    return factory.package(inference=digest, image=image)


@fault("inference.registry", "right is")
def image_by_tag(factory: Factory) -> Package:
    image = factory.names.image(factory.names.inference_repository, tag="latest")
    return factory.package(image=image)


@fault("inference.registry", "is not in the registry")
def deleted_image(factory: Factory) -> Package:
    return factory.package(inference="sha256:" + "5" * 64)


@fault("training.registry", "is not what the digest says")
def replaced_manifest(factory: Factory) -> Package:
    sources = factory.source_hash()
    digest = factory.push("training", sources, digest="sha256:" + hashing.of_bytes(sources.encode()))
    return factory.package(of_source=sources, training=digest)


@fault("inference.platform", "linux/arm64; SageMaker runs linux/amd64")
def image_for_arm(factory: Factory) -> Package:
    config = {"architecture": "arm64", "os": "linux", "config": {"Env": []}, "rootfs": {"type": "layers"}}
    return factory.package(inference=factory.push("inference", factory.source_hash(), config=config))


@fault("training.platform", "windows/amd64")
def image_for_windows(factory: Factory) -> Package:
    sources = factory.source_hash()
    config = {"architecture": "amd64", "os": "windows", "n": sources}
    return factory.package(of_source=sources, training=factory.push("training", sources, config=config))


@fault("inference.platform", "a list of images")
def list_of_images(factory: Factory) -> Package:
    def change(manifest: dict[str, Any]) -> None:
        manifest["mediaType"] = "application/vnd.docker.distribution.manifest.list.v2+json"
        manifest["manifests"] = [{"digest": manifest.pop("config")["digest"], "size": 1}]

    return factory.package(inference=factory.push("inference", factory.source_hash(), change=change))


@fault("inference.platform", "application/vnd.oci.image.manifest.v1+json")
def oci_image(factory: Factory) -> Package:
    def change(manifest: dict[str, Any]) -> None:
        manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"

    return factory.package(inference=factory.push("inference", factory.source_hash(), change=change))


@fault("inference.platform", "has no configuration")
def lost_configuration(factory: Factory) -> Package:
    config = {"architecture": "amd64", "os": "linux", "lost": next(factory.numbers)}
    digest = factory.push("inference", factory.source_hash(), config=config, with_config=False)
    return factory.package(inference=digest)


@fault("inference.signature", "Nobody vouches")
def unsigned_image(factory: Factory) -> Package:
    return factory.package(inference=factory.push("inference", factory.source_hash(), signed=False))


@fault("training.signature", "is not of alias/widgets-local-signing over this image")
def signed_by_a_stranger(factory: Factory) -> Package:
    sources = factory.source_hash()
    digest = factory.push("training", sources, signed=False)
    stranger = factory.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    factory.sign("training", digest, key=stranger["KeyMetadata"]["KeyId"])
    return factory.package(of_source=sources, training=digest)


@fault("inference.signature", "over this image")
def signature_of_another_image(factory: Factory) -> Package:
    digest = factory.push("inference", factory.source_hash(), signed=False)
    factory.sign("inference", digest, payload_for="sha256:" + "7" * 64)
    return factory.package(inference=digest)


@fault("inference.signature", "over this image")
def signature_of_the_other_repository(factory: Factory) -> Package:
    digest = factory.push("inference", factory.source_hash(), signed=False)
    factory.sign("training", digest)
    return factory.package(inference=digest)


@fault("inference.signature", "holds no signature")
def signature_file_of_something_else(factory: Factory) -> Package:
    digest = factory.push("inference", factory.source_hash(), signed=False)
    factory.put(factory.names.artifact_bucket, release.signature_key(digest), b'{"signed": true}')
    return factory.package(inference=digest)


def scanned(factory: Factory, status: str, *severities: str) -> Package:
    package = factory.package()
    scan_again(factory, package, status, *severities)
    return package


@fault("inference.scan", "1 CRITICAL, 1 LOW; none may be HIGH or worse")
def critical_finding(factory: Factory) -> Package:
    return scanned(factory, "COMPLETE", "CRITICAL", "LOW")


@fault("inference.scan", "2 HIGH")
def high_findings_of_an_enhanced_scan(factory: Factory) -> Package:
    return scanned(factory, "ACTIVE", "HIGH", "HIGH")


@fault("inference.scan", "the scan is FAILED")
def failed_scan(factory: Factory) -> Package:
    return scanned(factory, "FAILED")


@fault("inference.scan", "SCAN_ELIGIBILITY_EXPIRED")
def expired_scan(factory: Factory) -> Package:
    return scanned(factory, "SCAN_ELIGIBILITY_EXPIRED")


@fault("bundle.hash", "it was replaced after its registration")
def another_bundle_in_its_place(factory: Factory) -> Package:
    data, sources = factory.dataset(), factory.source_hash()
    found, _ = factory.archive(data, sources)
    _, body = factory.archive(data, sources)
    return factory.package(of_dataset=data, of_source=sources, bundle_hash=found, body=body)


@fault("bundle.hash", "its bundle.json says")
def changed_member(factory: Factory) -> Package:
    data, sources = factory.dataset(), factory.source_hash()
    found, body = factory.archive(data, sources)
    changed = repacked(body, {"weights.safetensors": b"other weights"})
    return factory.package(of_dataset=data, of_source=sources, bundle_hash=found, body=changed)


@fault("bundle.hash", "cannot be read")
def cut_archive(factory: Factory) -> Package:
    data, sources = factory.dataset(), factory.source_hash()
    found, body = factory.archive(data, sources)
    return factory.package(of_dataset=data, of_source=sources, bundle_hash=found, body=body[: len(body) // 2])


@fault("bundle.hash", "lies at")
def bundle_of_another_bucket(factory: Factory) -> Package:
    package = factory.package()
    return dataclasses.replace(package, model_uri="s3://somebody-else/model.tar.gz")


@fault("dataset.known", "is not there, or the deployer may not read it")
def lost_dataset(factory: Factory) -> Package:
    return factory.package(of_dataset=factory.dataset(known=False))


@fault("dataset.known", "the package names the dataset")
def another_dataset(factory: Factory) -> Package:
    return factory.package(dataset=factory.dataset())


@fault("source.known", "the package names the sources")
def other_sources(factory: Factory) -> Package:
    return factory.package(source=factory.source_hash())


@fault("source.known", "the sources that trained the model are not known here")
def lost_sources(factory: Factory) -> Package:
    return factory.package(training=factory.push("training", factory.source_hash()))


@fault("source.known", "Reject it")
def image_of_other_sources(factory: Factory) -> Package:
    sources = factory.source_hash()
    factory.push("training", sources)
    return factory.package(of_source=sources, training=factory.push("training", factory.source_hash()))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_check_alone(factory: Factory, name: str) -> None:
    check, words, make = FAULTS[name]
    report = look(factory, make(factory))
    assert report.failed and not report.pending
    assert [finding.id for finding in report.findings if not finding.ok] == [check], report.message
    assert words in report.message and report.message.startswith(f"{check}: ")


def test_every_check_has_a_fault() -> None:
    tried = {check.partition(".")[2] if check.endswith(("registry", "platform", "signature", "scan")) else check
             for check, _, _ in FAULTS.values()}  # fmt: skip
    assert tried == {"registry", "platform", "signature", "scan", "bundle.hash", "dataset.known", "source.known"}


# --- scans ---


def test_a_scan_under_way_is_waited_for(factory: Factory) -> None:
    for status in ("IN_PROGRESS", "PENDING"):
        package = scanned(factory, status)
        report = look(factory, package)
        assert report.pending and not report.ok and not report.failed and status in report.message
    where = {"repository": factory.names.inference_repository, "digest": package.inference_digest}
    factory.admin("DELETE", "scans", where)
    assert look(factory, package).ok


def test_an_image_that_was_never_scanned_is_not_one_without_findings(factory: Factory) -> None:
    ecr, repository = factory.client("ecr"), factory.names.inference_repository
    package = factory.package()
    never: dict[str, Any] = {"repositoryName": repository, "imageScanningConfiguration": {"scanOnPush": False}}
    ecr.put_image_scanning_configuration(**never)
    try:
        report = look(factory, package)
        assert report.failed and [finding.id for finding in report.findings if not finding.ok] == ["inference.scan"]
        assert "never scanned" in report.message and "aws ecr start-image-scan" in report.message
        ecr.start_image_scan(repositoryName=repository, imageId={"imageDigest": package.inference_digest})
        assert look(factory, package).ok
    finally:
        ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})


@pytest.mark.parametrize(
    ("setting", "passes"),
    [("CRITICAL", "HIGH"), ("HIGH", "MEDIUM"), ("MEDIUM", "LOW"), ("none", "CRITICAL")],
)
def test_the_setting_says_what_is_too_severe(factory: Factory, setting: str, passes: str) -> None:
    settings = dataclasses.replace(factory.release, scan_severity=setting)
    assert checks.before(factory.session, settings, scanned(factory, "COMPLETE", passes)).ok
    if setting != "none":
        assert checks.before(factory.session, settings, scanned(factory, "COMPLETE", setting)).failed


def test_the_default_refuses_high(factory: Factory) -> None:
    settings: Settings = factory.settings
    assert (settings.release.scan_severity, settings.release.staging) == ("HIGH", False)
    assert (factory.release.scan_severity, factory.release.staging) == ("HIGH", False)


# --- packages of others ---


def test_a_package_that_names_nothing_is_refused_without_an_exception(factory: Factory) -> None:
    bare = dataclasses.replace(
        factory.package(), image="", model_uri="", bundle_hash="", inference_digest="", training_digest="",
        dataset_hash="", source_hash="",
    )  # fmt: skip
    report = look(factory, bare)
    assert report.failed
    assert [finding.id for finding in report.findings] == ["inference.registry", "training.registry", "bundle.hash"]


def test_all_faults_are_named_at_once(factory: Factory) -> None:
    package = factory.package(
        inference=factory.push("inference", factory.source_hash(), signed=False), dataset=factory.dataset()
    )
    report = look(factory, package)
    assert [finding.id for finding in report.findings if not finding.ok] == ["inference.signature", "dataset.known"]


def repacked(body: bytes, changed: dict[str, bytes]) -> bytes:
    """The archive with other contents for some members."""
    target = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(body)) as old, tarfile.open(fileobj=target, mode="w:gz") as new:
        for member in old:
            source = old.extractfile(member)
            assert source is not None
            data = changed.get(member.name, source.read())
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return target.getvalue()


def test_golden_requests_are_not_asked_for_before_the_rest_holds(factory: Factory, calls: Any) -> None:
    package = factory.package(expected={"float32": golden()}, dataset=factory.dataset())
    calls.begin()
    assert checks.before(factory.session, factory.staged, package).failed
    assert "BatchGetImage" in calls.made and "DescribeEndpoint" not in calls.made
    assert "CreateEndpoint" not in calls.made
