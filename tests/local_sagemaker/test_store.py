"""The store of resources: what a change leaves behind, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.store import Exists, Missing, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "resources.db")
    yield opened
    opened.close()


def test_a_name_is_found_whatever_its_case_and_keeps_its_own(store: Store) -> None:
    store.insert("job", "eu-west-1", "Train-A", {"Status": "InProgress"})
    found = store.get("job", "eu-west-1", "train-a")
    assert found is not None and found.name == "Train-A"
    with pytest.raises(Exists):
        store.insert("job", "eu-west-1", "TRAIN-A", {})
    assert store.get("job", "us-east-1", "Train-A") is None


def test_a_change_that_raises_leaves_the_body_as_it_was(store: Store) -> None:
    store.insert("job", "eu-west-1", "a", {"Status": "InProgress"})

    def fail(body: dict[str, object]) -> None:
        body["Status"] = "Completed"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.update("job", "eu-west-1", "a", fail)
    assert store.list("job")[0].body == {"Status": "InProgress"}
    with pytest.raises(Missing):
        store.update("job", "eu-west-1", "b", lambda body: None)


def test_a_transaction_stores_all_of_its_changes_or_none(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        store.insert("job", "eu-west-1", "a", {})
        with store.transaction():
            store.insert("job", "eu-west-1", "b", {})
        raise RuntimeError
    assert store.list("job") == []


def test_numbers_never_come_back(store: Store) -> None:
    store.insert("group", "eu-west-1", "g", {})
    assert [store.count("package", "eu-west-1", "g") for _ in range(3)] == [1, 2, 3]
    store.delete("group", "eu-west-1", "g")
    assert store.count("package", "eu-west-1", "g") == 4
    assert store.count("package", "eu-west-1", "other") == 1


def test_what_was_answered_is_there_after_a_new_start(tmp_path: Path) -> None:
    first = Store(tmp_path / "resources.db")
    first.insert("job", "eu-west-1", "a", {"Status": "Completed"})
    second = Store(tmp_path / "resources.db")  # the first was never closed, as after a kill
    assert [record.name for record in second.list("job", prefix="a")] == ["a"]
    first.close()
    second.close()
