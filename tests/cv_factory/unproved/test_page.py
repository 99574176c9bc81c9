"""docs/unproved.md and the checks name the same things; prices and costs are what they say."""

from __future__ import annotations

import re
from datetime import date

import pytest

from contracts import settings, source
from cv_factory.operations import prices, unproved
from cv_factory.operations.unproved.check import ByHand, Check
from docs import costs
from docs.unproved import defaults

PAGE = source.root() / "docs" / "unproved.md"
ROWS = [row for rows in unproved.SECTIONS.values() for row in rows]


def test_the_page_and_the_checks_name_the_same_lines() -> None:
    text = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| (.+?) \| (.+?) \| (?:`([a-z]+\.[a-z-]+)`|by hand: (.+?))(?:; .*?)? \|.*\|$", text, re.M)
    told = [
        (row.call, row.expected, row.id if isinstance(row, Check) else "") for row in ROWS
    ]  # fmt: skip
    assert [(call, expected, check) for call, expected, check, _ in listed] == told
    assert re.findall(r"^## (.+)$", text, re.M) == list(unproved.SECTIONS)


def test_every_line_is_tried_or_says_why_not() -> None:
    checks = list(unproved.checks())
    assert len({check.id for check in checks}) == len(checks) == len({check.try_it for check in checks})
    assert all(re.fullmatch(r"(pipeline|jobs|registry|endpoint|account)\.[a-z-]+", check.id) for check in checks)
    assert all(len(row.why) > 30 for row in ROWS if isinstance(row, ByHand))
    assert len(checks) == 31 and len(ROWS) == 55  # a line goes away only when AWS has answered


def test_every_instance_of_the_settings_that_ship_has_a_price() -> None:
    asked, file = prices.load(), source.root() / settings.DEFAULT_FILE
    for env in settings.environments(file):
        loaded = settings.load(file, env)
        for check in unproved.checks():
            assert check.usd(loaded, asked) >= 0
    assert sum(check.usd(defaults(), asked) for check in unproved.checks()) > 1


def test_every_figure_has_a_page_of_aws_and_a_date() -> None:
    asked = prices.load()
    for price in [*asked.instance_hours.values(), *asked.standing.values()]:
        assert price.usd > 0 and price.page.startswith("https://aws.amazon.com/")
        assert date.fromisoformat(price.date) <= date(2100, 1, 1)


@pytest.mark.parametrize("line", list(costs.lines(prices.load())), ids=lambda line: line[0])
def test_a_formula_gives_the_figure_beside_it(line: tuple[str, str, str, float]) -> None:
    _, _, formula, usd = line
    text = formula.replace("\N{MULTIPLICATION SIGN}", "*").replace(" h", "")
    assert re.fullmatch(r"[\d.*+() ]+", text)
    assert eval(text) == pytest.approx(usd)  # noqa: S307 (digits and signs only)
