"""The benchmark of faults: which calls it strikes, that it sees what is wrong, and a few of its cases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults import cases
from benchmarks.faults.cases import Case, Clean, Releases
from benchmarks.faults.deployer import AFTER, FAULTS
from benchmarks.faults.world import World, opened

ROOT = Path(__file__).parents[2]
RUNS = (("s3.GetObject", "sagemaker.CreateModel", "s3.PutObject"), ("s3.GetObject", "sagemaker-runtime.InvokeEndpoint"))
CLEANS = [Clean(strategy, RUNS, {}) for strategy in cases.strategies()]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Releases]:
    with opened(tmp_path_factory.mktemp("faults")) as world:
        yield Releases(world)


@pytest.fixture(scope="module")
def clean(releases: Releases) -> Clean:
    releases.clean(cases.CREATION)
    return releases.clean("canary")


def test_each_call_is_struck_and_over_the_strategies_by_each_fault() -> None:
    chosen = [case for turn, clean in enumerate(CLEANS) for case in cases.whole(clean, turn)]
    assert cases.struck(chosen) == sum(clean.calls for clean in CLEANS)
    for run, calls in enumerate(RUNS):
        for number, call in enumerate(calls):
            of_it = [case for case in chosen if (case.run, case.number) == (run, number)]
            expected = set(FAULTS) - {AFTER} if cases.reads(call) else set(FAULTS)
            assert {case.fault for case in of_it} == expected
            assert len(of_it) == len(CLEANS) * (1 if cases.reads(call) else len(FAULTS))


def test_the_sample_has_each_strategy_fault_and_operation() -> None:
    chosen = cases.sample(CLEANS, seed=1)
    assert chosen == cases.sample(CLEANS, seed=1) != cases.sample(CLEANS, seed=2)
    assert {case.strategy for case in chosen} == set(cases.strategies())
    assert {case.fault for case in chosen} == set(FAULTS)
    assert {case.call for case in chosen} == {call for calls in RUNS for call in calls}


def test_what_is_left_over_or_missing_is_seen(releases: Releases, clean: Clean) -> None:
    world: World = releases.world
    package = next(each for each in world.packages if each.arn == world.served())
    healthy, since = clean.things[package.arn], world.now()
    (model,) = world.sagemaker.list_models()["Models"]
    about = world.sagemaker.describe_model(ModelName=model["ModelName"])
    container = {"ModelPackageName": package.arn}
    world.sagemaker.create_model(
        ModelName="another", PrimaryContainer=container, ExecutionRoleArn=about["ExecutionRoleArn"]
    )
    (target,) = (thing for thing in healthy if thing.startswith("scaling"))
    place = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
    resource = f"endpoint/{world.endpoint}/variant/main"
    scaling = world.client("application-autoscaling")
    scaling.register_scalable_target(ResourceId=resource, MinCapacity=1, MaxCapacity=3, **place)
    wrong, left = releases.differences(package, since, healthy)
    assert "model another" in left and f"missing: {target}" in wrong
    assert "the ledger says []" in wrong
    world.sagemaker.delete_model(ModelName="another")
    scaling.register_scalable_target(ResourceId=resource, MinCapacity=2, MaxCapacity=3, **place)
    assert releases.differences(package, since, healthy) == (["the ledger says []"], [])


@pytest.mark.parametrize("fault", FAULTS)
def test_an_update_whose_call_is_struck_ends_well_without_a_lost_request(
    releases: Releases, clean: Clean, fault: str
) -> None:
    number = clean.runs[0].index("sagemaker.UpdateEndpoint")
    load = releases.world.load()
    load.start()
    found = releases.strike(Case("canary", 0, number, "sagemaker.UpdateEndpoint", fault), clean)
    assert found == ((), ())
    assert load.asked > 0 and load.lost == 0
    load.stop()


@pytest.mark.slow
def test_the_sample_converges() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["cases"] == found["converged"] >= found["struck"] > 0
    assert found["left_over"] == found["lost_requests"] == 0 < found["requests"]
    assert found["calls"] > found["struck"]
