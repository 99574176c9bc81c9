"""The benchmark of bad models: what it counts as seen and as lost, and one of its cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bad_model import cell, measure, tables
from benchmarks.bad_model.cell import Found
from benchmarks.bad_model.load import Asked
from benchmarks.bad_model.measure import Read, Share, Stage


def asked(identity: str, status: int, start: float = 0.0, *, model_error: bool = False) -> Asked:
    return Asked(identity, 0, start, start + 1.0, status, model_error, None)


def test_a_share_is_over_beyond_three_standard_errors() -> None:
    assert Share(0.25, 35, 100).most == pytest.approx(0.25 + 3 * 0.0433, abs=1e-4)
    assert not Share(0.25, 37, 100).over
    assert Share(0.25, 39, 100).over
    assert not Share(0.25, 0, 0).over


def test_each_stage_is_counted_for_itself_and_the_last_ends_with_the_bad_models_last_request() -> None:
    reads = [Read(float(at), "bad" if at in (12, 16, 21, 23) else "good", str(at), died=False) for at in range(40)]
    found = measure.shares(reads, "bad", [Stage(11.5, 0.25), Stage(20.0, 0.5), Stage(30.0, 1.0)])
    assert [(share.allowed, share.bad, share.all) for share in found] == [(0.25, 2, 9), (0.5, 2, 4)]


READS = [
    Read(1.0, "good", "1", died=False),
    Read(2.0, "bad", "2", died=False),
    Read(3.0, "bad", "3", died=True),
    Read(9.0, "good", "9", died=False),
]


@pytest.mark.parametrize(
    ("one", "lost"),
    [
        (asked("1", 500, 0.5, model_error=True), True),
        (asked("2", 500, 1.5, model_error=True), False),
        (asked("3", 0, 2.5, model_error=True), False),
        (asked("4", 0, 2.6, model_error=True), False),  # on its way to the one that ended
        (asked("5", 0, 4.0, model_error=True), True),  # it broke off, and nobody ended
        (asked("6", 503, 5.0), False),  # all traffic was the bad one's, and it was down
        (asked("7", 503, 9.5), True),
        (asked("8", 503, 0.2), True),
        (asked("9", 200, 8.5), False),
    ],
)
def test_what_the_good_model_has_lost(one: Asked, *, lost: bool) -> None:
    assert bool(measure.lost_on_good([one], READS, "bad")) is lost


@pytest.mark.slow
def test_a_bad_canary_is_taken_back_by_itself(tmp_path: Path) -> None:
    """Every request that the canary gets is an error: the guard sees it in a minute or two."""
    found: Found = cell.run("canary", "errors", tmp_path / "cell")
    assert found.back and found.caught == "errors_5xx" and "widgets-local-guard-errors-5xx" in found.reason
    (share,) = found.shares
    assert share.allowed == 0.25 and share.bad > 0 and not share.over
    assert found.by["bad"] == {"500": found.bad} and found.by["good"].keys() == {"200"}
    assert found.lost == 0 and found.failed_on_bad == found.bad
    assert "| canary | errors | yes | errors_5xx |" in tables.table([found])
