"""The limit, the interruption, what a killed run has left, and what is refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from contracts.errors import UsageError
from contracts.settings import Settings, load
from cv_factory.operations import local_base, prices, state, unproved
from cv_factory.operations.unproved import plan, removal, run
from cv_factory.operations.unproved.bench import Bench
from cv_factory.operations.unproved.check import Check, Use
from cv_factory.operations.unproved.ledger import Ledger
from tests.cv_factory.unproved.conftest import FACTORY_YAML, Account
from tests.e2e.conftest import environment
from tests.waiting import eventually

#: A test that waits longer than this has found a bug.
PATIENCE = 300


# --- the limit --------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "factory.yaml").write_text(FACTORY_YAML)
    return load(tmp_path / "factory.yaml", "local")


def check(name: str, minutes: float = 0, group: str = "") -> Check:
    uses = (Use("ml.m5.xlarge", 1, minutes),) if minutes else ()
    return Check(name, "a call", "an answer", lambda bench: "", uses=uses, group=group)


def ids(planned: tuple[plan.Planned, ...]) -> list[str]:
    return [one.check.id for one in planned]


def test_the_cheapest_run_first_and_what_does_not_fit_is_left_out(settings: Settings) -> None:
    checks = [check("a.hour", 60), check("a.free"), check("a.half", 30), check("a.day", 1440)]
    made = plan.make(checks, settings, prices.load(), 0.345)  # an hour and a half of 0.23
    assert ids(made.run) == ["a.free", "a.half", "a.hour"]
    assert ids(made.left_out) == ["a.day"]
    assert (made.usd, made.whole) == (pytest.approx(0.345), pytest.approx(0.345 + 24 * 0.23))


def test_a_group_pays_for_what_it_shares_once_and_stays_together(settings: Settings) -> None:
    group = unproved.endpoint.GROUP
    shared = sum(use.usd(settings, prices.load()) for use in unproved.SHARED[group])
    checks = [check("e.two", 20, group), check("a.mean", 15), check("e.one", 10, group)]
    made = plan.make(checks, settings, prices.load(), 100)
    assert ids(made.run) == ["a.mean", "e.one", "e.two"]
    assert [one.usd for one in made.run] == [
        pytest.approx(0.23 / 4), pytest.approx(shared + 0.23 / 6), pytest.approx(0.23 / 3)
    ]  # fmt: skip
    none = plan.make(checks, settings, prices.load(), shared + 0.23 / 6 - 0.001)
    assert ids(none.left_out) == ["e.one", "e.two"]


def test_an_instance_without_a_price_is_refused(settings: Settings) -> None:
    odd = Check("a.odd", "", "", lambda bench: "", uses=(Use("ml.x1.huge", 1, 1),))
    with pytest.raises(UsageError, match=r"no price of ml\.x1\.huge in prices\.yaml\nKnown: ml\.c5\.xlarge, "):
        plan.make([odd], settings, prices.load(), 1)


def test_an_unknown_check_is_refused() -> None:
    with pytest.raises(UsageError, match=r"there is no check 'jobs\.layouts'\nKnown: pipeline\.accepted, "):
        plan.choose(["jobs.layouts"])
    assert {one.id.partition(".")[0] for one in plan.choose(["endpoint"])} == {"endpoint"}


def test_what_the_limit_leaves_out_is_said_and_ends_with_3(account: Account, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    done = account.run(
        "--max-usd", "0", "--only", "jobs.metric-filter", "--only", "jobs.layout", "--out", str(out)
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert "left out by MAX_USD=0: jobs.layout (0.04); all together at most 0.04 USD" in done.stdout
    statuses = {one["id"]: one["status"] for one in json.loads(out.read_text())["checks"]}
    assert statuses == {"jobs.metric-filter": "holds", "jobs.layout": "skipped"}


def test_a_limit_below_everything_runs_nothing(account: Account, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    done = account.run("--max-usd", "0.01", "--only", "jobs.layout", "--out", str(out))
    assert done.returncode == 3 and not out.exists()
    assert "MAX_USD is 0.01, and the cheapest of these checks may cost 0.04 USD" in done.stderr


def test_a_plan_makes_nothing(account: Account, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    done = account.run("--max-usd", "100", "--plan", "--out", str(out))
    assert done.returncode == 0 and not out.exists()
    assert re.search(r"^\d+ checks, at most \d+\.\d\d USD", done.stdout, re.MULTILINE)
    assert "these are the prices of us-east-1: eu-west-1 may ask a third more" in done.stdout
    assert account.left() == []


# --- refused ----------------------------------------------------------------------------------------------------------


def test_env_local_is_refused(account: Account) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cv_factory.operations.unproved", "--env", "local", "--max-usd", "1",
         "--file", str(account.file)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "what it answers says nothing about AWS" in done.stderr


def test_a_negative_limit_is_wrong_use(account: Account) -> None:
    assert account.run("--max-usd", "-1").returncode == 2


@pytest.mark.parametrize(
    ("code", "status"),
    [("AccessDeniedException", "skipped"), ("ResourceLimitExceeded", "skipped"), ("ValidationException", "fails")],
)
def test_an_error_that_is_no_answer_is_no_failure(account: Account, code: str, status: str) -> None:
    def ask(bench: Bench) -> str:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CreatePipeline")

    found = run.attempt(Check("a.b", "", "", ask), _bench(account))
    assert (found.status, code in found.detail) == (status, True)


def _bench(account: Account) -> Bench:
    return Bench(account.target, Ledger(account.folder / "none.json"), "000000", lambda text: None, 0.1)


def test_what_does_not_happen_in_time_fails(account: Account) -> None:
    found = run.attempt(
        Check("a.b", "", "", lambda bench: bench.until(lambda: None, "the end of the world", 0)), _bench(account)
    )
    assert (found.status, found.detail) == ("fails", "the end of the world did not happen within 0 minutes")


def test_a_second_run_at_the_same_time_is_refused(account: Account) -> None:
    with state.lock(run.folder(account.target), "make test-aws"):
        done = account.run("--max-usd", "0", "--only", "jobs.metric-filter")
    assert done.returncode == 3
    assert f"make test-aws (process {os.getpid()}) is running on" in done.stderr


# --- interrupted and killed -------------------------------------------------------------------------------------------


class Sleeping:
    """A run whose first job does not end: its container says that it runs, and sleeps."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account, self.mark, self.out = account, folder / "running", folder / "results.json"
        account.bindings(
            "PUT",
            {
                "pattern": f"{account.target.settings.names.registry}/*",
                "entrypoint": ["python"],
                "environment": {"PATH": f"{folder}:{os.environ['PATH']}"},
                "working_dir": str(folder),
            },
        )
        script = folder / "python"
        script.write_text(f"#!/bin/sh\ntouch {self.mark}\nexec sleep 600\n")
        script.chmod(0o755)
        self.process = subprocess.Popen(
            account.command("--max-usd", "1", "--only", "jobs.layout", "--out", str(self.out)),
            cwd=account.folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        eventually(self.mark.exists, "the start of the job", PATIENCE)

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit code, and what was printed."""
        self.process.send_signal(number)
        printed, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, printed

    def job(self) -> str:
        """The status of the job that was started last."""
        listed = self.account.client("sagemaker").list_training_jobs(SortBy="CreationTime", SortOrder="Descending")
        return str(listed["TrainingJobSummaries"][0]["TrainingJobStatus"])


@pytest.fixture
def sleeping(account: Account, tmp_path: Path) -> Any:
    pattern = f"{account.target.settings.names.registry}/*"
    started: list[Sleeping] = []

    def start() -> Sleeping:
        for image in ("training", "inference"):
            account.unbind(local_base.image_pattern(account.target.settings, image))
        started.append(Sleeping(account, tmp_path))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()
    account.unbind(pattern)
    for image in ("training", "inference"):
        account.bind(image)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_takes_away_what_it_made(
    account: Account, sleeping: Callable[[], Sleeping], number: signal.Signals
) -> None:
    begun = sleeping()
    code, printed = begun.end(number)
    assert code == 130, printed
    assert "Interrupted" in printed
    assert begun.job() == "Stopped"
    assert account.left() == []
    document = json.loads(begun.out.read_text())
    assert [(one["status"], one["detail"]) for one in document["checks"]] == [("skipped", "interrupted")]
    assert document["left_behind"] == []


def test_what_a_killed_run_has_left_goes_first(account: Account, sleeping: Callable[[], Sleeping]) -> None:
    begun = sleeping()
    code, _ = begun.end(signal.SIGKILL)
    assert code == -signal.SIGKILL and begun.job() == "InProgress"
    assert account.left() != []
    done = account.run("--max-usd", "0", "--only", "jobs.metric-filter")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"an earlier run \([0-9a-f]{6}\) left 2 things; they go first", done.stdout)
    assert begun.job() == "Stopped"
    assert account.left() == []


def test_every_kind_that_is_made_can_be_taken_away() -> None:
    text = "".join(path.read_text() for path in Path(unproved.__file__).parent.glob("*.py"))
    made = set(re.findall(r'(?:bench|self)\.make\(\s*"([a-z-]+)"', text))
    made |= set(re.findall(r'ledger\.add\(\s*"([a-z-]+)"', text))
    assert made == set(removal.REMOVERS)
