"""Writes ``docs/costs.md``: what the base costs while nobody uses it, from ``cv_factory/operations/prices.yaml``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from contracts import source
from contracts.errors import ContractError
from cv_factory.operations import prices
from cv_factory.operations.base import network
from cv_factory.operations.prices import MONTH_HOURS, Price

_HEAD = """# What it costs

{written}
**Not yet compared with a bill.** Figures are AWS's on-demand prices in {region}, USD, without the free tier,
savings plans and tax, written down on the dates below; other regions ask more. Open the page of a figure before you
rely on it.

## While nobody uses it

A month is {hours} hours. Every environment has resources of its own, so it pays this once each.

| what | when | formula | USD a month |
| --- | --- | --- | --- |
"""
_TAIL = """
Together the lines "always" are {always:.2f} USD a month. Of the rest, what begins with a setting is off unless that
setting asks for it.

Amounts of data are assumptions: put your own in. Calls of the deployer, of EventBridge, SNS and SQS, and requests
to S3 and KMS are a few cents; so are an endpoint's alarms, at the price of an alarm for each metric that a guard of
`release.guards` reads. An update of an endpoint runs both fleets until it ends. `operations.budget_usd` is
the environment's monthly budget.

The endpoint is the figure that matters: `infra destroy` does not take it away, because the deployer owns it
([taking all down](account.md#taking-all-down)).

## While it works

Jobs and endpoints are paid by the second: hours × price × instances. Preprocess, Train and Evaluate are a job each of
`training.instance_type`; `training.max_minutes` is the longest that each may run. A step that is found in the cache
costs nothing. So a run of the default settings costs at most 3 × 1 h × {training:g} = {run:.2f} USD, without retries.

| instance | an hour | page | date |
| --- | --- | --- | --- |
"""
_STANDING = """
## Where the other figures stand

| what | USD | page | date |
| --- | --- | --- | --- |
"""
#: GB that are assumed.
_S3_GB, _ECR_GB, _LOG_GB, _FLOW_GB = 20, 6, 2, 5
_ZONES = 2
#: The key of Terraform's state, which `infra bootstrap` makes before Terraform.
_STATE_KEYS = 1
ALWAYS = "always"
_SERVING = "ml.m5.xlarge"


def page(written: str) -> str:
    """``docs/costs.md``; ``written`` is the line that says who writes it."""
    asked = prices.load()
    hour = asked.instance_hour(_SERVING)
    head = _HEAD.format(written=written, region=asked.region, hours=MONTH_HOURS)
    tail = _TAIL.format(training=hour, run=3 * hour, always=always(asked))
    instances = "".join(
        f"| `{name}` | {one.usd:g} | [page]({one.page}) | {one.date} |\n" for name, one in asked.instance_hours.items()
    )
    standing = "".join(
        f"| {name.replace('_', ' ')}, {one.per} | {one.usd:g} | [page]({one.page}) | {one.date} |\n"
        for name, one in asked.standing.items()
    )
    rows = "".join(f"| {what} | {when} | {formula} | {usd:,.2f} |\n" for what, when, formula, usd in lines(asked))
    return head + rows + tail + instances + _STANDING + standing


def always(asked: prices.Prices) -> float:
    """USD a month of an environment that nobody uses, with every setting at its default."""
    return sum(usd for _, when, _, usd in lines(asked) if when == ALWAYS)


def lines(asked: prices.Prices) -> Iterator[tuple[str, str, str, float]]:
    """(what, when, formula, USD a month) of all that stands."""
    price = asked.standing
    keys = resources("aws_kms_key") + _STATE_KEYS
    yield _monthly("KMS keys: data, signatures, Terraform's state", ALWAYS, keys, price["kms_key"])
    yield _monthly(f"S3, {_S3_GB} GB", ALWAYS, _S3_GB, price["s3_gb"])
    yield _monthly(f"images in ECR, {_ECR_GB} GB a version of the sources", ALWAYS, _ECR_GB, price["ecr_gb"])
    yield _monthly("CloudWatch alarms", ALWAYS, resources("aws_cloudwatch_metric_alarm"), price["alarm"])
    yield _monthly("CloudWatch dashboard", ALWAYS, resources("aws_cloudwatch_dashboard"), price["dashboard"])
    own = resources("aws_cloudwatch_log_metric_filter")
    yield _monthly("metric of the deployer's own", ALWAYS, own, price["custom_metric"])
    yield _monthly(f"logs, {_LOG_GB} GB written", ALWAYS, _LOG_GB, price["log_gb"])
    for count in (1, 2):
        yield _hourly(f"endpoint, {count} × `{_SERVING}`", "an approved model", asked.instance_hour(_SERVING), count)
    yield "a VPC, its subnets, S3's endpoint", "`network.vpc: create`", "0", 0.0
    yield _monthly(f"its flow logs, {_FLOW_GB} GB", "`network.vpc: create`", _FLOW_GB, price["flow_log_gb"])
    services = _services()
    yield _hourly(
        f"interface endpoints of {services} services in {_ZONES} zones",
        "`network.endpoints`: `auto` with `network.vpc: create` (with `network.nat` too), or `always`",
        price["interface_endpoint"].usd, services, _ZONES,
    )  # fmt: skip
    gateway, address = price["nat_gateway"].usd, price["public_ipv4"].usd
    yield (
        "NAT gateway with its address",
        "`network.nat: true`, beside the endpoints",
        f"{MONTH_HOURS} h × ({gateway:g} + {address:g})",
        MONTH_HOURS * (gateway + address),
    )
    yield "concurrency kept for the deployer", "`operations.reserved_concurrency`", "0", 0.0
    yield _hourly("MLflow tracking server, Small", "`tracking.mlflow: create`", price["mlflow_small"].usd)


def _hourly(what: str, when: str, usd: float, *counts: int) -> tuple[str, str, str, float]:
    factors = [f"{usd:g}", *map(str, counts)]
    return what, when, f"{MONTH_HOURS} h × {' × '.join(factors)}", MONTH_HOURS * usd * math.prod(counts)


def _monthly(what: str, when: str, count: float, price: Price) -> tuple[str, str, str, float]:
    return what, when, f"{count:g} × {price.usd:g}", count * price.usd


def resources(kind: str) -> int:
    """How many of a kind Terraform makes with the default settings, modules included.

    A block with ``for_each = local.NAME`` counts once for each entry of that map, as it is written in the same file.

    Raises:
        ContractError: a block whose number does not stand there.
    """
    number = 0
    for path in sorted((source.root() / "terraform").rglob("*.tf")):
        text = path.read_text(encoding="utf-8")
        for block in re.findall(rf'^resource "{kind}" .*?^\}}', text, re.MULTILINE | re.DOTALL):
            each = re.search(r"^  for_each = local\.(\w+)$", block, re.MULTILINE)
            if each:
                entries = re.search(rf"^  {each[1]} = \{{$(.*?)^  \}}", text, re.MULTILINE | re.DOTALL)
                number += len(re.findall(r"^    [\w-]+ += \{$", entries[1], re.MULTILINE)) if entries else 0
            elif re.search(r"^  (for_each|count) ", block, re.MULTILINE):
                raise ContractError(f"{path.name}: the number of {kind} depends on settings; count it by hand")
            else:
                number += 1
    return number


def _services() -> int:
    """Services that get an interface endpoint when no step is isolated and nothing is tracked."""
    table = network.table("us-east-1")
    return len({*table["platform"], *(name for names in table["container"].values() for name in names)})
