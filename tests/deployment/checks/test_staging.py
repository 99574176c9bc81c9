"""The golden requests, on an endpoint that serves the package and on a temporary one that is never left behind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.release import STAGING_KEY, ReleaseSettings
from deployment import checks, specs
from deployment.checks import Report, answers, origin, staging
from deployment.checks.answers import Cases
from deployment.checks.archive import Contents
from deployment.packages import Package
from tests.deployment.checks.factory import IMAGES, Calls, Factory, Killed, golden, table
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def clean(factory: Factory) -> Iterator[None]:
    yield
    eventually(lambda: checks.tidy(factory.session, factory.staged))
    checks.forget(factory.session, factory.staged)


def settle(factory: Factory, package: Package, settings: ReleaseSettings | None = None) -> Report:
    """Call until something is known, as events and the sweep do."""

    def known() -> Report | None:
        report = checks.before(factory.session, settings or factory.staged, package)
        return None if report.pending else report

    found: Report = eventually(known)
    return found


def endpoint(factory: Factory) -> Any:
    sagemaker = factory.client("sagemaker")
    try:
        return sagemaker.describe_endpoint(EndpointName=factory.names.staging_endpoint)
    except sagemaker.exceptions.ClientError:
        return None


def configs(factory: Factory) -> list[str]:
    listed = factory.client("sagemaker").list_endpoint_configs(NameContains="-staging", MaxResults=100)
    return [item["EndpointConfigName"] for item in listed["EndpointConfigs"]]


def nothing_is_left(factory: Factory) -> bool:
    checks.tidy(factory.session, factory.staged)
    return endpoint(factory) is None and not configs(factory)


def test_a_package_is_tried_on_one_instance_and_nothing_stays(factory: Factory) -> None:
    package = factory.package()
    settings = dataclasses.replace(factory.staged, instance_count=3, max_instances=5, capture_share=0.5)
    first = checks.before(factory.session, settings, package)
    assert first.pending and "widgets-local-staging is being created" in first.message
    made = endpoint(factory)
    sagemaker = factory.client("sagemaker")
    config = sagemaker.describe_endpoint_config(EndpointConfigName=made["EndpointConfigName"])
    assert [variant["InitialInstanceCount"] for variant in config["ProductionVariants"]] == [1]
    assert config["ProductionVariants"][0]["ModelName"] == specs.model(package, settings)["ModelName"]
    assert "DataCaptureConfig" not in config
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=made["EndpointArn"])["Tags"]}
    assert tags["Purpose"] == "staging" and tags["Project"] == "widgets"
    assert tags["Expires"] > made["CreationTime"].strftime("%Y-%m-%dT%H:%M:%SZ")

    report = settle(factory, package, settings)
    assert report.ok and report.findings[-1].id == "golden"
    assert report.findings[-1].detail == "widgets-local-staging: all 2 answers within 0.002"
    eventually(lambda: nothing_is_left(factory))
    assert checks.before(factory.session, settings, package).ok, "a trial that held is not made again"
    assert endpoint(factory) is None


def test_the_graph_of_the_packages_precision_is_asked(factory: Factory) -> None:
    assert settle(factory, factory.package(precision="int8")).ok
    wrong = {"float32": table(0.9, 0.2), "int8": table(0.9, 0.2)}
    package = factory.package(precision="int8", model=wrong, expected={"float32": golden(), "int8": golden()})
    assert settle(factory, package).ok
    package = factory.package(precision="int8", expected={"float32": golden()})
    assert "golden.json has no golden requests for int8" in settle(factory, package).message


def test_a_mismatch_names_the_case_what_was_expected_what_came_and_the_tolerance(factory: Factory) -> None:
    package = factory.package(model={"float32": table(0.9, 0.25)})
    report = settle(factory, package)
    assert report.failed and [finding.id for finding in report.findings if not finding.ok] == ["golden[2]"]
    assert report.findings[-1].detail == (
        "widgets-local-staging: expected sound {damaged: 0.2000, sound: 0.8000}, "
        "got sound {damaged: 0.2500, sound: 0.7500}, tolerance 0.002"
    )
    eventually(lambda: nothing_is_left(factory))
    assert settle(factory, package) == report and endpoint(factory) is None, "no second trial by itself"
    checks.forget(factory.session, factory.staged)
    assert checks.before(factory.session, factory.staged, package).pending, "a person asked for another one"


def test_a_container_that_does_not_start_is_a_finding(factory: Factory) -> None:
    report = settle(factory, factory.package(model={}))
    assert report.failed and report.findings[-1].id == "staging"
    assert "widgets-local-staging did not start: " in report.message
    eventually(lambda: nothing_is_left(factory))


def test_an_error_answer_is_a_mismatch_and_a_busy_endpoint_is_none(factory: Factory) -> None:
    report = settle(factory, factory.package(model={"float32": table(0.9, 400)}))
    assert report.failed and "golden[2]" in report.message and "expected sound" in report.message
    package = factory.package(model={"float32": table(503, 0.2)})
    checks.before(factory.session, factory.staged, package)
    busy = eventually(lambda: "is busy" in checks.before(factory.session, factory.staged, package).message)
    assert busy and checks.before(factory.session, factory.staged, package).pending


def test_a_trial_that_is_never_answered_ends(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    package = factory.package(model={"float32": table(503, 0.2)})
    checks.before(factory.session, factory.staged, package)
    monkeypatch.setattr(staging, "MAX_AGE", 0)
    report = settle(factory, package)
    assert report.failed and "did not answer in 0 seconds" in report.message and "is busy" in report.message
    eventually(lambda: nothing_is_left(factory))


def test_another_package_takes_the_place_of_the_first(factory: Factory) -> None:
    first, second = factory.package(), factory.package(model={"float32": table(0.1, 0.2)})
    checks.before(factory.session, factory.staged, first)
    assert settle(factory, second).failed, "it was the second that was asked"
    eventually(lambda: nothing_is_left(factory))
    assert settle(factory, first).ok


def test_what_is_under_way_is_kept_and_what_nobody_wants_goes(factory: Factory) -> None:
    package = factory.package()
    checks.before(factory.session, factory.staged, package)
    assert checks.tidy(factory.session, factory.staged, keep=package)
    assert endpoint(factory)["EndpointStatus"] in ("Creating", "InService") and len(configs(factory)) == 1
    eventually(lambda: checks.tidy(factory.session, factory.staged, keep=factory.package()))
    assert endpoint(factory) is None and configs(factory) == []


def test_an_endpoint_of_another_project_is_left_alone(factory: Factory) -> None:
    """``widgets-local`` with the environment ``staging`` has the name of our trial."""
    package = factory.package()
    sagemaker = factory.client("sagemaker")
    sagemaker.create_model(**specs.model(package, factory.release))
    config = specs.endpoint_config(specs.model(package, factory.release)["ModelName"], factory.release)
    name = "widgets-local-staging-0123456789abcdef0123"
    sagemaker.create_endpoint_config(**{**config, "EndpointConfigName": name})
    theirs = factory.names.staging_endpoint
    sagemaker.create_endpoint(EndpointName=theirs, EndpointConfigName=name)
    try:
        report = checks.before(factory.session, factory.staged, package)
        assert report.failed and "not of this factory" in report.message and name in report.message
        assert checks.tidy(factory.session, factory.staged)
        eventually(lambda: endpoint(factory)["EndpointStatus"] == "InService")
        assert checks.tidy(factory.session, factory.staged)
        assert endpoint(factory)["EndpointStatus"] == "InService" and configs(factory) == [name]
    finally:
        sagemaker.delete_endpoint(EndpointName=theirs)
        sagemaker.delete_endpoint_config(EndpointConfigName=name)
        eventually(lambda: endpoint(factory) is None)


def test_a_trial_that_ends_after_any_call_goes_on(factory: Factory, calls: Calls) -> None:
    """The process ends after the n-th call of a trial, for every n; the next ones finish it and clean up."""
    package = factory.package()
    asked = asked_of(factory, package)
    killed, n = True, 0
    while killed:
        n += 1
        killed = False
        calls.begin(kill_after=n)
        try:
            _run(factory, package, asked)
            checks.tidy(factory.session, factory.staged)
        except Killed:
            killed = True
        calls.begin()
        report = eventually(lambda: _known(factory, package, asked))
        assert report.ok, f"killed after call {n}: {report.message}"
        eventually(lambda: nothing_is_left(factory))
        checks.forget(factory.session, factory.staged)
        assert n < 40, "the trial never ends"
    assert n > 12


def test_a_sweep_alone_removes_what_a_killed_trial_has_left(factory: Factory, calls: Calls) -> None:
    """Nobody asks for the package any more: whatever is there goes."""
    package = factory.package()
    asked = asked_of(factory, package)
    for n in range(1, 12):
        calls.begin(kill_after=n)
        try:
            _run(factory, package, asked)
        except Killed:
            pass
        calls.begin()
        eventually(lambda: nothing_is_left(factory))
        checks.forget(factory.session, factory.staged)


def test_a_spoilt_record_is_no_result(factory: Factory) -> None:
    package = factory.package()
    name = staging.config(package, factory.staged)["EndpointConfigName"]
    for spoilt in ({"config": name}, {"config": name, "report": {"findings": [{"id": "x"}]}}, [1]):
        factory.put(factory.names.artifact_bucket, STAGING_KEY, json.dumps(spoilt).encode())
        assert checks.before(factory.session, factory.staged, package).pending
        eventually(lambda: nothing_is_left(factory))


def _run(factory: Factory, package: Package, asked: Cases) -> None:
    """A whole trial, without a call more than it needs."""
    while staging.step(factory.session, factory.staged, package, lambda: asked).pending:
        with factory.calls.aside():
            eventually(lambda: endpoint(factory)["EndpointStatus"] == "InService")


def _known(factory: Factory, package: Package, asked: Cases) -> Report | None:
    report = staging.step(factory.session, factory.staged, package, lambda: asked)
    return None if report.pending else report


def asked_of(factory: Factory, package: Package) -> Cases:
    contents = origin.contents(factory.session, factory.staged, package)
    assert isinstance(contents, Contents)
    return answers.cases(contents, package.precision)


# --- on the endpoint that serves ---


def test_the_live_endpoint_is_asked_after_the_shift(factory: Factory) -> None:
    good, other = factory.package(), factory.package(model={"float32": table(0.4, 0.2)})
    sagemaker, name = factory.client("sagemaker"), factory.names.endpoint
    model = specs.model(good, factory.release)
    config = specs.endpoint_config(model["ModelName"], factory.release)
    sagemaker.create_model(**model)
    sagemaker.create_endpoint_config(**config)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config["EndpointConfigName"])
    try:
        eventually(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")
        report = checks.golden(factory.session, factory.release, good, name)
        assert report.ok and report.message == "all 1 checks hold"
        # The endpoint serves another model than the package that is asked about.
        stranger = factory.package(expected={"float32": golden(damaged=(0.7, 0.2))})
        report = checks.golden(factory.session, factory.release, stranger, name)
        assert report.failed and [finding.id for finding in report.findings] == ["golden[1]"]
        assert "expected damaged {damaged: 0.7000, sound: 0.3000}, got damaged {damaged: 0.9000" in report.message
        # The archive was replaced after the roll-out was checked.
        key = other.model_uri.partition(f"{factory.names.artifact_bucket}/")[2]
        _, body = factory.archive(other.dataset_hash, other.source_hash)
        factory.put(factory.names.artifact_bucket, key, body)
        report = checks.golden(factory.session, factory.release, other, name)
        assert report.failed and [finding.id for finding in report.findings] == ["bundle.hash"]
    finally:
        sagemaker.delete_endpoint(EndpointName=name)


def test_an_endpoint_that_is_not_there_is_a_failure(factory: Factory) -> None:
    report = checks.golden(factory.session, factory.release, factory.package(), "widgets-local-nowhere")
    assert report.failed and len(report.findings) == len(IMAGES) and "not found" in report.message.lower()
