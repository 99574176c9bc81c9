"""What a check is, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from contracts.settings import Settings
from cv_factory.operations.prices import Prices

if TYPE_CHECKING:
    from cv_factory.operations.unproved.bench import Bench

HOLDS, FAILS, SKIPPED = "holds", "fails", "skipped"

#: Instances of the settings: what ``Use.instance`` may be beside an instance type.
TRAINING, SERVING = "training", "serving"


class Fails(Exception):
    """AWS answered something else than the code counts on; the message says what."""


class NotHere(Exception):
    """The check cannot be tried here; the message says what is missing and how it gets there."""


@dataclass(frozen=True, slots=True)
class Use:
    """Instances that a check runs at most: an upper bound, because each job and each wait ends by then.

    Attributes:
        instance: ``training`` or ``serving`` for the settings' instance type, or a type.
        instances: at once.
        minutes: each of them, at most.
    """

    instance: str
    instances: int
    minutes: float

    def instance_type(self, settings: Settings) -> str:
        named = {TRAINING: settings.training.instance_type, SERVING: settings.serving.instance_type}
        return named.get(self.instance, self.instance)

    def usd(self, settings: Settings, prices: Prices) -> float:
        return self.instances * self.minutes / 60 * prices.instance_hour(self.instance_type(settings))


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found.

    Attributes:
        status: ``holds``, ``fails`` or ``skipped``.
        detail: what was seen; of a skipped one, why.
        seconds: that it took.
    """

    status: str
    detail: str
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Check:
    """A line of docs/unproved.md that a program can try.

    Attributes:
        id: ``<section>.<name>``.
        call: what is called, in Markdown.
        expected: the answer that the code counts on, in Markdown.
        try_it: makes the call; returns what was seen when the answer is the expected one, else raises :class:`Fails`
            or :class:`NotHere`.
        uses: instances; none: it costs less than a cent.
        needs: what must be there, in words, for the page.
        group: checks of one group share what they make, and run one after the other.
    """

    id: str
    call: str
    expected: str
    try_it: Callable[[Bench], str]
    uses: tuple[Use, ...] = ()
    needs: tuple[str, ...] = ()
    group: str = ""

    def usd(self, settings: Settings, prices: Prices) -> float:
        """What it costs at most, USD, without what its group shares."""
        return sum(use.usd(settings, prices) for use in self.uses)


@dataclass(frozen=True, slots=True)
class ByHand:
    """A line of docs/unproved.md that no program can try, and why."""

    call: str
    expected: str
    why: str


def fail(text: str) -> NoReturn:
    raise Fails(text)


def expect(holds: object, text: str) -> None:
    """
    Raises:
        Fails: ``holds`` is false; ``text`` says what was seen.
    """
    if not holds:
        raise Fails(text)
