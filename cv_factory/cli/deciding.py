"""What ``approve`` shows before it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contracts import evaluation
from cv_factory.cli.common import Screen

if TYPE_CHECKING:
    from cv_factory.operations.approving import Review

#: Metrics that are shown; the report has them all.
SHOWN = (
    evaluation.BALANCED_ACCURACY, evaluation.ACCURACY, evaluation.F1, evaluation.AUC, evaluation.ECE,
    evaluation.LATENCY_MS, evaluation.BUNDLE_MB,
)  # fmt: skip


def show(screen: Screen, review: Review) -> None:
    """The headline, the metrics beside the champion's, what would be deployed, and what stands against it."""
    package = review.package
    screen.say(f"{package.label} of {package.arn.rsplit('/', 2)[1]}: {package.approval}")
    screen.say(f"Gate: {review.gate.get('outcome', 'unknown')}. {review.gate.get('message', '')}".rstrip())
    if review.metrics:
        _metrics(screen, review)
    _champion(screen, review)
    what = review.deploys
    fleet = f"{what.instance_type} x {what.instance_count}"
    if what.max_instances > what.instance_count:
        fleet += f" to {what.max_instances}"
    how = what.strategy
    if what.strategy != "all-at-once":
        how += f", {what.percent} % a step, {what.bake_minutes} min each"
    screen.say(f"It would deploy: bundle {what.bundle_hash[:12]} ({what.precision}) on {fleet}, {how}")
    screen.say(f"Image: {what.image_digest or what.image}")
    screen.say(f"Report: {review.evidence.report}")
    started = ", ".join(map(str, review.starters)) or "nobody knows"
    screen.say(f"Started by {started}; you are {review.approver}")
    for note in review.notes:
        screen.say(f"Note: {note}")


def _metrics(screen: Screen, review: Review) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title_justify="left")
    table.title = f"Test split, protocol {review.protocol}, {review.images:,} images"
    differences: dict[str, Any] = (review.champion or {}).get("difference", {})
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    if review.champion:
        table.add_column("less the champion", justify="right")
        table.add_column("surely above", justify="right")
    for name in SHOWN:
        metric = review.metrics.get(name)
        if metric is None:
            continue
        row = [name, number(metric.get("value")), interval(metric)]
        if review.champion:
            difference = differences.get(name) or {}
            row += [signed(difference.get("value")), signed(difference.get("lower_95"))]
        table.add_row(*row)
    screen.out.print(table)


def _champion(screen: Screen, review: Review) -> None:
    champion, now = review.champion, review.evidence.champion
    if champion is None:
        screen.say("Compared with no champion: none was approved")
        return
    label = f"{now.label}, " if now and now.bundle_hash == champion.get("bundle_hash") else ""
    screen.say(
        f"Champion: {label}bundle {str(champion.get('bundle_hash', ''))[:12]}; both on the same"
        f" {int(champion.get('images', 0)):,} images, in pairs (95 % lower bound of the difference)"
    )


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def interval(metric: dict[str, float | None]) -> str:
    """``0.790 to 0.840``; empty where there is none."""
    low, high = metric.get("low"), metric.get("high")
    return f"{low:.3f} to {high:.3f}" if low is not None and high is not None else ""
