"""Which call is struck by which fault, and whether the next run puts everything right."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.faults.deployer import AFTER, FAULTS, Run, Strike
from benchmarks.faults.world import SHARES, World
from deployment import ledger, outcome
from deployment.packages import Package
from tests.deployment.checks.factory import answer

#: The first release into an empty account, then the strategies of an update.
CREATION = "creation"
STRATEGIES = ("all-at-once", "canary", "linear", "rolling")
#: Runs after which a release is given up.
_MOST = 8
#: Real seconds for what is on its way out when the release is closed: the processes of the old fleet.
_LEAVING = 5.0
_READS = ("Describe", "List", "Get", "Head", "BatchGet", "Verify", "InvokeEndpoint")


@dataclass(frozen=True, slots=True)
class Clean:
    """A release that nothing strikes.

    Attributes:
        runs: the calls of each run, ``service.Operation``.
        things: what there was when it was closed, by the package that is served.
    """

    strategy: str
    runs: tuple[tuple[str, ...], ...]
    things: dict[str, frozenset[str]]

    @property
    def calls(self) -> int:
        return sum(len(calls) for calls in self.runs)


@dataclass(frozen=True, slots=True)
class Case:
    """``fault`` strikes the ``number``-th call of the ``run``-th run (both from 0) of a release."""

    strategy: str
    run: int
    number: int
    call: str
    fault: str

    def __str__(self) -> str:
        return f"{self.strategy}, run {self.run + 1}, call {self.number + 1}, {self.call}, {self.fault}"


@dataclass(frozen=True, slots=True)
class Found:
    """How a case ended. ``wrong``: what is not as it should be; empty: it has converged."""

    case: Case
    wrong: tuple[str, ...]
    left: tuple[str, ...]
    lost: int


def reads(call: str) -> bool:
    """Does the call change nothing?"""
    return call.partition(".")[2].startswith(_READS)


def every(clean: Clean) -> Iterator[Case]:
    """Each call with each fault; an error after a read is one before it."""
    for run, calls in enumerate(clean.runs):
        for number, call in enumerate(calls):
            for fault in FAULTS:
                if fault != AFTER or not reads(call):
                    yield Case(clean.strategy, run, number, call, fault)


def whole(clean: Clean, turn: int) -> list[Case]:
    """The cases of the whole measurement: every call is struck, a write by each fault.

    A read by one fault; ``turn`` is another number for each strategy: reads are the same calls in each, so over the
    strategies each fault strikes each.
    """
    of_reads = [fault for fault in FAULTS if fault != AFTER]
    return [
        case
        for case in every(clean)
        if not reads(case.call) or case.fault == of_reads[(case.number + turn) % len(of_reads)]
    ]


def sample(cleans: list[Clean], seed: int) -> list[Case]:
    """Of each operation that writes a case with each fault, of each that reads one; the strategies in turn."""
    chance = random.Random(seed)  # noqa: S311 - a sample, no secret
    cases = [case for clean in cleans for case in every(clean)]
    found: list[Case] = []
    taken = dict.fromkeys((clean.strategy for clean in cleans), 0)
    for call in sorted({case.call for case in cases}):
        of_it = [case for case in cases if case.call == call]
        faults = sorted({case.fault for case in of_it})
        for fault in faults if not reads(call) else [chance.choice(faults)]:
            with_it = [case for case in of_it if case.fault == fault]
            fewest = min(taken[case.strategy] for case in with_it)
            chosen = chance.choice([case for case in with_it if taken[case.strategy] == fewest])
            taken[chosen.strategy] += 1
            found.append(chosen)
    return sorted(found, key=lambda case: [clean.strategy for clean in cleans].index(case.strategy))


class Releases:
    """Releases of one world, one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._last: Package | None = None

    def clean(self, strategy: str) -> Clean:
        """A release to each package with nothing struck; the calls of the last.

        Raises:
            AssertionError: it does not end well, so there is nothing to compare with.
        """
        world, things, runs = self.world, {}, ()  # type: World, dict[str, frozenset[str]], tuple[tuple[str, ...], ...]
        world.use(STRATEGIES[0] if strategy == CREATION else strategy)
        for package in (self._next(), self._last or self.world.packages[1]):
            if strategy == CREATION:
                world.take_down()
            since, made = world.now(), self._release(package, None)
            assert all(run.code == 0 for run in made), made
            wrong, left = self.differences(package, since, None)
            assert not wrong and not left, (strategy, wrong, left)
            runs = tuple(run.calls for run in made)
            things[package.arn] = world.things()
        for kind, number in (("endpoint ", 1), ("config ", 1), ("model ", 1)):
            assert all(sum(thing.startswith(kind) for thing in each) == number for each in things.values()), things
        return Clean(strategy, runs, things)

    def strike(self, case: Case, clean: Clean) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """A release with one call struck: what is wrong when it is over, and what is left over."""
        world = self.world
        if case.strategy == CREATION:
            world.take_down()
        package, since = self._next(), world.now()
        made = self._release(package, case)
        hit = made[case.run]
        assert case.number < len(hit.calls) and hit.calls[case.number] == case.call, (case, hit.calls)
        assert hit.struck or hit.code == -9, f"{case} was not struck: {hit}"
        wrong, left = self.differences(package, since, clean.things[package.arn])
        wrong += [f"run {number + 1} failed: {run.error}" for number, run in enumerate(made)
                  if run.code and number != case.run]  # fmt: skip
        if len(made) > len(clean.runs) + 1:
            actions = ", ".join(run.action or f"exit {run.code}" for run in made)
            wrong.append(f"{len(made)} runs instead of {len(clean.runs) + 1}: {actions}")
        return tuple(wrong), tuple(left)

    def _next(self) -> Package:
        """The package that was not released last: so it is checked again, too."""
        first, second = self.world.packages
        return second if self._last is first else first

    def _release(self, package: Package, case: Case | None) -> list[Run]:
        """Release a package; the deployer is called as its events would, until the release is closed."""
        world, made = self.world, []  # type: World, list[Run]
        world.pin(package)
        self._last = package
        while len(made) < _MOST:
            struck = case is not None and len(made) == case.run
            made.append(world.run(Strike(case.fault, case.number) if case is not None and struck else None))
            if made[-1].action == outcome.SERVING and (case is None or len(made) > case.run):
                break
            if struck:
                world.let_the_lease_run_out()
            world.settle()
        return made

    def differences(
        self, package: Package, since: float, healthy: frozenset[str] | None
    ) -> tuple[list[str], list[str]]:
        """What is wrong, and what is left over; ``healthy``: what there should be, None: nobody knows yet."""
        world, wrong, left = self.world, [], []  # type: World, list[str], list[str]
        served = world.served()
        if served != package.arn:
            wrong.append(f"serves {served}")
        else:
            share = SHARES[world.packages.index(package)]
            wrong += [f"answers {each}" for each in world.answered() if each != answer(share)]
        told = world.ledger(since)
        if [(state, arn) for _, state, arn in told] != [(ledger.SUCCEEDED, package.arn)]:
            wrong.append(f"the ledger says {[(state, arn.rpartition('/')[2]) for _, state, arn in told]}")
        left += [f"open release {each}" for each, state, _ in told if state in (ledger.OPENED, ledger.STARTED)]
        if healthy is not None:
            # Processes take a moment to leave; what is still there after it is left over, which is no error here.
            found, deadline = world.things(), time.monotonic() + _LEAVING
            while found != healthy and time.monotonic() < deadline:
                time.sleep(0.1)
                found = world.things()
            wrong += [f"missing: {thing}" for thing in sorted(healthy - found)]
            left += sorted(found - healthy)
        return wrong, left

    def recover(self, clean: Clean) -> None:
        """After a case that has not converged, have the next one begin as every other: by one more release.

        Raises:
            AssertionError: that does not do either.
        """
        world = self.world
        world.let_the_lease_run_out()
        world.settle()
        package, since = self._next(), world.now()
        made = self._release(package, None)
        wrong, left = self.differences(package, since, clean.things[package.arn])
        assert not wrong and not left, ("nothing can be measured any more", wrong, left, made[-1])


def strategies() -> tuple[str, ...]:
    return (CREATION, *STRATEGIES)


def struck(cases: list[Case]) -> int:
    """Calls that at least one fault strikes."""
    return len({dataclasses.replace(case, fault="") for case in cases})


def some(chosen: list[Case], most: int, seed: int) -> list[Case]:
    """``most`` of the cases by chance, in their order."""
    kept = random.Random(seed).sample(range(len(chosen)), min(most, len(chosen)))  # noqa: S311 - a sample, no secret
    return [chosen[number] for number in sorted(kept)]
