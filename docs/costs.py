"""Writes ``docs/costs.md``: what the base costs while nobody uses it, from ``cv_factory/operations/prices.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from contracts import source
from cv_factory.operations import prices
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
Amounts of data are assumptions: put your own in. Calls of the deployer, of EventBridge, SNS and SQS, and requests
to S3 and KMS are a few cents. An update of an endpoint runs both fleets until it ends. `operations.budget_usd` is
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
_SERVICES, _ZONES = 8, 2
_SERVING = "ml.m5.xlarge"


def page(written: str) -> str:
    """``docs/costs.md``; ``written`` is the line that says who writes it."""
    asked = prices.load()
    hour = asked.instance_hour(_SERVING)
    head = _HEAD.format(written=written, region=asked.region, hours=MONTH_HOURS)
    tail = _TAIL.format(training=hour, run=3 * hour)
    instances = "".join(
        f"| `{name}` | {one.usd:g} | [page]({one.page}) | {one.date} |\n" for name, one in asked.instance_hours.items()
    )
    standing = "".join(
        f"| {name.replace('_', ' ')}, {one.per} | {one.usd:g} | [page]({one.page}) | {one.date} |\n"
        for name, one in asked.standing.items()
    )
    rows = "".join(f"| {what} | {when} | {formula} | {usd:,.2f} |\n" for what, when, formula, usd in lines(asked))
    return head + rows + tail + instances + _STANDING + standing


def lines(asked: prices.Prices) -> Iterator[tuple[str, str, str, float]]:
    """(what, when, formula, USD a month) of all that stands."""
    keys, alarms = _resources("aws_kms_key"), _resources("aws_cloudwatch_metric_alarm")
    yield _monthly("KMS keys", "always", keys, asked.standing["kms_key"])
    yield _monthly(f"S3, {_S3_GB} GB", "always", _S3_GB, asked.standing["s3_gb"])
    yield _monthly(f"images in ECR, {_ECR_GB} GB a version of the sources", "always", _ECR_GB, asked.standing["ecr_gb"])
    yield _monthly("alarms", "always", alarms, asked.standing["alarm"])
    yield _monthly(f"logs, {_LOG_GB} GB written", "always", _LOG_GB, asked.standing["log_gb"])
    for count in (1, 2):
        usd = asked.instance_hour(_SERVING)
        yield (
            f"endpoint, {count} × `{_SERVING}`",
            "an approved model",
            f"{MONTH_HOURS} h × {usd:g} × {count}",
            MONTH_HOURS * usd * count,
        )
    gateway, address = asked.standing["nat_gateway"], asked.standing["public_ipv4"]
    yield (
        "NAT gateway with its address, each",
        "a network with a way out",
        f"{MONTH_HOURS} h × ({gateway.usd:g} + {address.usd:g})",
        MONTH_HOURS * (gateway.usd + address.usd),
    )
    one = asked.standing["interface_endpoint"]
    yield (
        f"interface endpoints of {_SERVICES} services in {_ZONES} zones",
        "a network without a way out",
        f"{MONTH_HOURS} h × {one.usd:g} × {_SERVICES} × {_ZONES}",
        MONTH_HOURS * one.usd * _SERVICES * _ZONES,
    )
    yield _monthly(f"flow logs, {_FLOW_GB} GB", "a network with flow logs", _FLOW_GB, asked.standing["flow_log_gb"])
    server = asked.standing["mlflow_small"]
    yield (
        "MLflow tracking server, Small",
        "`tracking.mlflow`",
        f"{MONTH_HOURS} h × {server.usd:g}",
        MONTH_HOURS * server.usd,
    )


def _monthly(what: str, when: str, count: float, price: Price) -> tuple[str, str, str, float]:
    return what, when, f"{count:g} × {price.usd:g}", count * price.usd


def _resources(kind: str) -> int:
    """Resource blocks of a kind in both of Terraform's roots."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((source.root() / "terraform").glob("*/*.tf")))
    return len(re.findall(rf'^resource "{kind}" ', text, re.MULTILINE))
