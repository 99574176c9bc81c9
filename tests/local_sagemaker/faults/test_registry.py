from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.faults import NAMES, BadFault, Faults
from local_sagemaker.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "resources.sqlite")
    yield found
    found.close()


def strikes(faults: Faults, count: int, **about: str) -> list[bool]:
    return [faults.strike("throttling", **about) is not None for _ in range(count)]


def test_none_is_on_by_default(store: Store) -> None:
    faults = Faults(store)
    assert not faults.active
    assert all(faults.strike(name) is None for name in NAMES)


def test_chance_follows_from_the_seed(store: Store) -> None:
    faults = Faults(store)
    found = {}
    for seed in (1, 1, 2):
        faults.replace([{"name": "throttling", "probability": 0.3, "seed": seed}])
        seen = strikes(faults, 200)
        assert found.setdefault(seed, seen) == seen
    assert found[1] != found[2]
    assert 40 < sum(found[1]) < 80


def test_a_restart_goes_on_with_the_same_chances(store: Store) -> None:
    faults = Faults(store)
    wanted = [{"name": "throttling", "probability": 0.5, "seed": 7, "times": 20}]
    faults.replace(wanted)
    whole = strikes(faults, 60)
    faults.replace(wanted)
    first = strikes(faults, 25)
    assert first + strikes(Faults(store), 35) == whole
    assert sum(whole) == 20
    assert Faults(store).listed()[0]["struck"] == 20


def test_what_a_fault_concerns(store: Store) -> None:
    faults = Faults(store)
    faults.replace([{"name": "capacity", "service": "sagemaker", "operation": "*Endpoint", "resource": "my-*"}])

    def strikes_at(service: str, operation: str, resource: str) -> bool:
        return faults.strike("capacity", service=service, operation=operation, resource=resource) is not None

    assert strikes_at("sagemaker", "CreateEndpoint", "My-1")
    assert not strikes_at("iam", "CreateEndpoint", "my-1")
    assert not strikes_at("sagemaker", "CreateTrainingJob", "my-1")
    assert not strikes_at("sagemaker", "CreateEndpoint", "other")
    assert (faults.listed()[0]["seen"], faults.listed()[0]["struck"]) == (1, 1)
    faults.clear()
    assert faults.listed() == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"name": "flood"}, "there is no fault 'flood'; these are: capacity, quota, "),
        ({}, "there is no fault None"),
        ("throttling", "there is no fault 'throttling'"),
        ({"name": "quota", "count": 1}, "unknown members count; a fault has: name, service"),
        ({"name": "quota", "times": 0}, "times must be a whole number from 1 on, not 0"),
        ({"name": "quota", "probability": 1.5}, "probability must be above 0 and at most 1, not 1.5"),
        ({"name": "quota", "seed": "x"}, "seed must be a whole number"),
        ({"name": "quota", "operation": 3}, "operation must be a text, not 3"),
        ({"name": "throttling", "resource": "x"}, "throttling takes no resource; these do: capacity, never-pings"),
        ({"name": "quota", "seconds": 3}, "quota takes no seconds; given: 3"),
        ({"name": "slow-start"}, "slow-start needs seconds above 0"),
        ({"name": "capacity", "access_key": "A*"}, "capacity takes no access_key; these do: quota, throttling"),
    ],
)
def test_faults_that_cannot_be(store: Store, fault: Any, words: str) -> None:
    faults = Faults(store)
    faults.replace([{"name": "quota"}])
    with pytest.raises(BadFault, match=words):
        faults.replace([{"name": "capacity"}, fault])
    assert [one["name"] for one in faults.listed()] == ["quota"]


def test_a_list_is_expected(store: Store) -> None:
    with pytest.raises(BadFault, match="expected a list of faults"):
        Faults(store).replace({"name": "quota"})
