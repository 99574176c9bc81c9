"""The account in memory as fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import boto3
import pytest

from contracts.release import ReleaseSettings
from tests.deployment import account as accounts
from tests.deployment.account import Account
from tests.deployment.plane import Calls, ControlPlane


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """One session a module."""
    with accounts.opened() as made:
        yield made


@pytest.fixture
def fresh(account: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Begin again."""
    account.empty()
    accounts.follow(account, monkeypatch)
    return account.empty


@pytest.fixture
def session(account: Account, fresh: Callable[[], None]) -> boto3.Session:
    return account.session


@pytest.fixture
def plane(account: Account, fresh: Callable[[], None]) -> ControlPlane:
    return account.plane


@pytest.fixture
def calls(account: Account, fresh: Callable[[], None]) -> Calls:
    return account.calls


@pytest.fixture
def settings() -> ReleaseSettings:
    return accounts.release_settings()
