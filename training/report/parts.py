"""What the report's sections are built of: cards, tables, numbers and marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from contracts import evaluation as contract
from contracts.evaluation import BUNDLE_MB, LATENCY_MS, PRECISION, RECALL
from training.report import charts
from training.scoring import metrics
from training.scoring.evaluation import Evaluation
from training.scoring.gate import Reason
from training.scoring.intervals import Interval

LABELS = {
    contract.BALANCED_ACCURACY: "balanced accuracy",
    contract.ACCURACY: "accuracy",
    contract.F1: "F1",
    contract.PRECISION: "precision",
    contract.RECALL: "recall",
    contract.AUC: "AUC",
    contract.ECE: "calibration error",
    contract.LATENCY_MS: "latency",
    contract.BUNDLE_MB: "bundle size",
}
UNITS = {LATENCY_MS: "ms", BUNDLE_MB: "MB"}
_NONE, _MINUS, _TO = "\N{EN DASH}", "\N{MINUS SIGN}", " \N{EN DASH} "


def card(title: str, note: str, body: str) -> str:
    """A section: its title, a sentence or two in small print, its body."""
    return f'<section class="card"><h2>{title}</h2><p class="note">{note}</p>{body}</section>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls when it must; a column whose title begins with ``#`` holds numbers, with ``|`` a bar."""
    kinds = {"#": "number", "|": "bar"}
    classes = [f' class="{kinds[title[0]]}"' if title[:1] in kinds else "" for title in columns]
    head = "".join(f"<th{kind}>{title.lstrip('#|')}</th>" for kind, title in zip(classes, columns, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(classes, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def label(name: str, found: Evaluation) -> str:
    """A metric's name, and of which class it speaks."""
    if name not in (contract.F1, PRECISION, RECALL):
        return LABELS[name]
    positive = found.spec.positive_class
    of = f"of {escape(positive)}" if found.scores.positive is not None and positive else "mean over classes"
    return f'{LABELS[name]} <span class="soft small">{of}</span>'


def figure(name: str, value: float | None) -> str:
    """A value with as many decimals as its metric deserves."""
    if value is None:
        return _NONE
    return f"{value:.1f}" if name in UNITS else f"{value:.3f}"


def between(name: str, interval: Interval) -> str:
    """An interval's ends."""
    if name == BUNDLE_MB:
        return ""
    if interval.low is None or interval.high is None:
        return "no interval"
    return f"{figure(name, interval.low)}{_TO}{figure(name, interval.high)}"


def signed(value: float | None) -> str:
    """A difference with its sign."""
    if value is None:
        return _NONE
    return "0.000" if abs(value) < 0.0005 else f"{value:+.3f}".replace("-", _MINUS)


def bar(name: str, interval: Interval, limit: float | None) -> str:
    """The interval on a track from 0 to 1, or as far as a metric without an upper end reaches."""
    end = 1.0
    if name in metrics.LOWER_IS_BETTER:
        end = max([value * 1.25 for value in (interval.high, limit) if value], default=1.0)
    return charts.interval_bar(interval.value, interval.low, interval.high, start=0.0, end=end, limit=limit)


def limits(name: str, floor: float | None, ceiling: float | None) -> str:
    """A gate's floor and ceiling in words."""
    said = [f"at least {floor:g}"] if floor is not None else []
    said += [f"at most {ceiling:g}"] if ceiling is not None else []
    unit = f" {UNITS[name]}" if said and name in UNITS else ""
    return f'<span class="soft nowrap">{", ".join(said)}{unit}</span>'


def pills(reasons: Iterable[Reason]) -> str:
    """How rules ended."""
    return " ".join(
        f'<span class="pill {"yes" if reason.passed else "no"}">{"passed" if reason.passed else "missed"}</span>'
        for reason in reasons
    )
