"""The table of costs counts what Terraform makes, and the pages that name its sum name the right one."""

from __future__ import annotations

import re

import pytest

from cv_factory.operations import prices
from docs import costs
from tests.docs.pages import ROOT

OFF_BY_DEFAULT = (
    "network.vpc",
    "network.nat",
    "network.endpoints",
    "operations.reserved_concurrency",
    "tracking.mlflow",
)


def test_what_always_stands_costs_something() -> None:
    standing = {what: usd for what, when, _, usd in costs.lines(prices.load()) if when == costs.ALWAYS}
    assert len(standing) >= 7 and all(usd > 0 for usd in standing.values()), standing


def test_alarms_and_keys_of_modules_are_counted() -> None:
    assert costs.resources("aws_cloudwatch_metric_alarm") == 5
    assert costs.resources("aws_kms_key") == 2
    formulas = {what: formula for what, _, formula, _ in costs.lines(prices.load())}
    assert formulas["KMS keys: data, signatures, Terraform's state"].startswith("3 ")


@pytest.mark.parametrize("page", ["account.md", "costs.md"])
def test_a_page_names_the_table_s_sum(page: str) -> None:
    rows = re.findall(r"^\|.*\| always \|.*\| ([\d.,]+) \|$", (ROOT / "docs/costs.md").read_text(), re.MULTILINE)
    told = re.findall(r"([\d.]+) USD a month", (ROOT / "docs" / page).read_text())
    assert told == [f"{sum(map(float, rows)):.2f}"]


@pytest.mark.parametrize("setting", OFF_BY_DEFAULT)
def test_what_is_off_by_default_has_a_row_by_its_setting(setting: str) -> None:
    assert [when for _, when, _, _ in costs.lines(prices.load()) if when.startswith(f"`{setting}")]
