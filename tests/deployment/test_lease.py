"""One run at a time: conditional writes decide, nobody waits, and nothing that came in between is forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from contracts.release import LEASE_KEY
from deployment import aws, lease


@pytest.fixture
def s3(session: Any) -> Any:
    return session.client("s3")


def test_only_one_has_it(s3: Any, settings: Any) -> None:
    first = lease.take(s3, settings)
    assert first is not None
    assert lease.take(s3, settings) is None
    assert first.give_back() == lease.LOOK, "somebody came meanwhile"
    assert first.give_back() == ""
    assert lease.take(s3, settings) is not None


def test_who_asks_for_another_try_is_not_forgotten(s3: Any, settings: Any) -> None:
    first = lease.take(s3, settings)
    assert first is not None
    assert lease.take(s3, settings, lease.RETRY) is None
    assert lease.take(s3, settings, lease.LOOK) is None
    assert first.give_back() == lease.RETRY, "the lesser mark does not replace it"


def test_a_dead_holder_is_replaced_and_acts_no_more(s3: Any, settings: Any, plane: Any) -> None:
    dead = lease.take(s3, settings)
    assert dead is not None
    plane.clock += lease.LASTS.total_seconds()
    living = lease.take(s3, settings)
    assert living is not None
    with pytest.raises(lease.LeaseLost):
        dead.hold()
    assert dead.give_back() == ""
    living.hold()
    assert lease.take(s3, settings) is None, "giving back what was lost takes nothing from the other"


def test_it_is_renewed_when_half_of_it_is_gone(s3: Any, settings: Any, plane: Any, calls: Any) -> None:
    mine = lease.take(s3, settings)
    assert mine is not None
    calls.made.clear()
    mine.hold()
    assert calls.names == []
    plane.clock += lease.LASTS.total_seconds() * 0.6
    until = mine.until
    assert lease.take(s3, settings) is None
    mine.hold()
    assert mine.until - until > timedelta(seconds=30)
    assert mine.give_back() == lease.LOOK, "renewing keeps the mark"


def test_between_looking_and_writing_another_was_faster(s3: Any, settings: Any) -> None:
    """The write that comes second gets 412, and reads again."""
    others: list[Any] = []

    def race(**_: Any) -> None:
        if not others:
            others.append(None)
            others[0] = lease.take(s3, settings)

    s3.meta.events.register("before-call.s3.PutObject", race)
    try:
        assert lease.take(s3, settings) is None
    finally:
        s3.meta.events.unregister("before-call.s3.PutObject", race)
    assert others[0] is not None and others[0].give_back() == lease.LOOK


def test_what_is_no_lease_is_replaced(s3: Any, settings: Any) -> None:
    aws.write_json(s3, settings.names.artifacts(LEASE_KEY), ["?"])
    assert lease.take(s3, settings) is not None
