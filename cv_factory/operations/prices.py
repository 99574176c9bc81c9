"""What AWS asks for what this project makes, from ``prices.yaml``: USD, on demand, us-east-1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import UsageError

FILE = Path(__file__).with_name("prices.yaml")
#: Hours of a month, as AWS's own calculator counts them.
MONTH_HOURS = 730


@dataclass(frozen=True, slots=True)
class Price:
    """A figure.

    Attributes:
        usd: for one unit of ``per``.
        per: hour, month (of one piece or of a GB), ``GB written`` or ``GB sent``.
        page: the address of the page on which the figure stands.
        date: when it was written down, YYYY-MM-DD.
    """

    usd: float
    per: str
    page: str
    date: str


@dataclass(frozen=True, slots=True)
class Prices:
    """Every figure.

    Attributes:
        instance_hours: instance type -> an hour of it.
        standing: name -> what is asked for a thing that is there, used or not.
    """

    region: str
    instance_hours: dict[str, Price]
    standing: dict[str, Price]

    def instance_hour(self, instance_type: str) -> float:
        """USD for an hour of an instance.

        Raises:
            UsageError: the file has no price of that type.
        """
        if instance_type not in self.instance_hours:
            raise UsageError(
                f"there is no price of {instance_type} in {FILE.name}",
                f"Known: {', '.join(sorted(self.instance_hours))}. Add it with its page and today's date.",
            )
        return self.instance_hours[instance_type].usd


@cache
def load() -> Prices:
    """The prices of this checkout."""
    value: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    pages: dict[str, str] = value["pages"]

    def price(entry: dict[str, Any]) -> Price:
        return Price(float(entry["usd"]), entry.get("per", "hour"), pages[entry["page"]], entry["date"])

    return Prices(
        value["region"],
        {name: price(entry) for name, entry in value["instance_hour"].items()},
        {name: price(entry) for name, entry in value["standing"].items()},
    )
