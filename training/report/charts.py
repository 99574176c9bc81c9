"""Charts as inline SVG. Colours are the style sheet's variables; every chart has a title for screen readers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from contracts.evaluation import ECE_BINS
from training.scoring import metrics
from training.scoring.metrics import Floats, Rows

_WIDTH, _HEIGHT = 460, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 42
#: Points of a drawn curve; more are invisible.
_POINTS = 400
CURVE_COLOURS = ("--accent", "--other", "--good", "--bad", "--quiet")


@dataclass(frozen=True)
class Curve:
    """A precision-recall curve: recall and precision at every threshold, from the strictest on.

    Attributes:
        area: average precision, ``sum((recall[i] - recall[i-1]) * precision[i])``, as scikit-learn's.
        share: of positive images; what guessing reaches.
    """

    name: str
    recall: Floats
    precision: Floats
    area: float
    share: float


def precision_recall(name: str, score: Floats, positive: Rows) -> Curve | None:
    """The curve of one class; None without an image of it.

    Args:
        score: ``(N,)`` probability of the class.
        positive: ``(N,)``.
    """
    if not positive.any():
        return None
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])  # of runs of equal scores
    found = np.cumsum(positive[order])[last]
    precision = found / (last + 1)
    recall = found / positive.sum()
    area = float((np.diff(np.r_[0.0, recall]) * precision).sum())
    return Curve(name, np.r_[0.0, recall], np.r_[precision[0], precision], area, float(positive.mean()))


def interval_bar(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    start: float,
    end: float,
    limit: float | None = None,
    zero: bool = False,
) -> str:
    """A dot with its interval on a track from ``start`` to ``end``; a tick marks the gate's limit, another one zero."""
    width, height = 200, 20
    if value is None:
        return ""

    def x(position: float) -> float:
        share = (position - start) / (end - start) if end > start else 0.5
        return 6 + min(max(share, 0.0), 1.0) * (width - 12)

    parts = [f'<rect x="6" y="8.5" width="{width - 12}" height="3" rx="1.5" fill="var(--track)"/>']
    if zero:
        parts.append(f'<path d="M{x(0):.1f} 3v14" stroke="var(--soft)"/>')
    if low is not None and high is not None:
        parts.append(
            f'<rect x="{x(low):.1f}" y="6" width="{max(x(high) - x(low), 2):.1f}" height="8" rx="4" '
            'fill="var(--accent)" opacity=".35"/>'
        )
    if limit is not None:
        parts.append(f'<path d="M{x(limit):.1f} 2v16" stroke="var(--bad)" stroke-width="2" stroke-dasharray="3 2"/>')
    parts.append(f'<circle cx="{x(value):.1f}" cy="10" r="4.5" fill="var(--accent)"/>')
    title = f"{value:.3f}" + (f", interval {low:.3f} to {high:.3f}" if low is not None and high is not None else "")
    return _svg(width, height, title, parts)


def precision_recall_chart(curves: Sequence[Curve], operating: tuple[float, float] | None) -> str:
    """Precision over recall, one line a curve; a ring marks where the model is used."""
    plot = _Plot((0.0, 1.0), (0.0, 1.0), "recall", "precision")
    if len(curves) == 1:
        plot.line([(0, curves[0].share), (1, curves[0].share)], "--soft", dash="2 4", width=1)
        plot.text(1, curves[0].share, f"guessing {curves[0].share:.2f}", anchor="end", dy=15)
    for index, curve in enumerate(curves):
        step = max(1, len(curve.recall) // _POINTS)
        keep = sorted({*range(0, len(curve.recall), step), len(curve.recall) - 1})
        points = [(float(curve.recall[at]), float(curve.precision[at])) for at in keep]
        plot.line(points, CURVE_COLOURS[index % len(CURVE_COLOURS)], width=2.2)
    if operating is not None:
        plot.ring(*operating)
        plot.text(*operating, "as served", dx=9, dy=-8, strong=True)
    return plot.svg("Precision-recall curve")


def reliability_chart(confidence: Floats, correct: Rows) -> str:
    """How often answers of a confidence are right, with 95 % Wilson intervals, over a histogram of the confidences.

    Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    index = metrics.bins(confidence)
    counts = np.bincount(index, minlength=ECE_BINS)
    right = np.bincount(index, weights=correct.astype(float), minlength=ECE_BINS)
    sums = np.bincount(index, weights=confidence, minlength=ECE_BINS)
    start = math.floor(float(confidence.min()) * ECE_BINS) / ECE_BINS if len(confidence) else 0.0
    start = min(start, 0.8)
    plot = _Plot((start, 1.0), (0.0, 1.0), "confidence of the answer", "share that is right", bottom=_BOTTOM + 70)
    tallest = max(int(counts.max()), 1)
    floor = plot.height - 24  # of the histogram
    for number in range(ECE_BINS):
        count = int(counts[number])
        if not count:
            continue
        left, edge = number / ECE_BINS, (number + 1) / ECE_BINS
        mean, share = float(sums[number]) / count, float(right[number]) / count
        low, high = wilson(round(float(right[number])), count)
        plot.raw(
            f'<rect x="{plot.x(left) + 1:.1f}" y="{plot.y(max(share, 0.004)):.1f}" '
            f'width="{plot.x(edge) - plot.x(left) - 2:.1f}" height="{plot.y(0) - plot.y(max(share, 0.004)):.1f}" '
            'fill="var(--accent-soft)" rx="2"/>'
        )
        plot.line([(mean, low), (mean, high)], "--accent", width=1.6)
        plot.dot(mean, share)
        tall = 36 * count / tallest
        plot.raw(
            f'<rect x="{plot.x(left) + 1:.1f}" y="{floor - tall:.1f}" '
            f'width="{plot.x(edge) - plot.x(left) - 2:.1f}" height="{max(tall, 1):.1f}" fill="var(--quiet)" rx="1.5"/>'
        )
    plot.raw(f'<path d="M{_LEFT} {floor:.1f}H{_WIDTH - _RIGHT}" stroke="var(--line)"/>')
    plot.raw(f'<text x="{_LEFT - 7}" y="{floor:.1f}" text-anchor="end">0</text>')
    plot.raw(f'<text x="{_LEFT - 7}" y="{floor - 28:.1f}" text-anchor="end">{tallest}</text>')
    plot.raw(f'<text transform="translate(12 {floor - 18:.0f}) rotate(-90)" text-anchor="middle">images</text>')
    plot.line([(start, start), (1, 1)], "--soft", dash="4 4", width=1.2)
    return plot.svg("Reliability diagram")


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share."""
    z2 = 1.959963984540054**2
    share = hits / count
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return max(centre - half, 0.0), min(centre + half, 1.0)


class _Plot:
    """Axes with a grid, and marks in data coordinates."""

    def __init__(
        self, across: tuple[float, float], up: tuple[float, float], x_title: str, y_title: str, *, bottom: int = _BOTTOM
    ) -> None:
        self.height = _HEIGHT + bottom - _BOTTOM
        self._across, self._up, self._bottom = across, up, bottom
        self._parts: list[str] = []
        self._axes(x_title, y_title)

    def x(self, value: float) -> float:
        low, high = self._across
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self._up
        return self.height - self._bottom - (value - low) / (high - low) * (self.height - _TOP - self._bottom)

    def raw(self, part: str) -> None:
        self._parts.append(part)

    def line(self, points: Sequence[tuple[float, float]], colour: str, *, width: float = 2, dash: str = "") -> None:
        path = " ".join(f"{self.x(across):.1f},{self.y(up):.1f}" for across, up in points)
        more = f' stroke-dasharray="{dash}"' if dash else ""
        self.raw(
            f'<polyline points="{path}" fill="none" stroke="var({colour})" stroke-width="{width}" '
            f'stroke-linejoin="round" stroke-linecap="round"{more}/>'
        )

    def dot(self, across: float, up: float) -> None:
        self.raw(f'<circle cx="{self.x(across):.1f}" cy="{self.y(up):.1f}" r="4" fill="var(--accent)"/>')

    def ring(self, across: float, up: float) -> None:
        self.raw(
            f'<circle cx="{self.x(across):.1f}" cy="{self.y(up):.1f}" r="5.5" fill="var(--card)" '
            'stroke="var(--ink)" stroke-width="2.2"/>'
        )

    def text(
        self,
        across: float,
        up: float,
        text: str,
        *,
        anchor: str = "start",
        dx: int = 0,
        dy: int = 0,
        strong: bool = False,
    ) -> None:
        style = ' class="strong"' if strong else ""
        self.raw(
            f'<text x="{self.x(across) + dx:.1f}" y="{self.y(up) + dy:.1f}" text-anchor="{anchor}"{style}>'
            f"{escape(text)}</text>"
        )

    def svg(self, title: str) -> str:
        return _svg(_WIDTH, self.height, title, self._parts)

    def _axes(self, x_title: str, y_title: str) -> None:
        right, base = _WIDTH - _RIGHT, self.height - self._bottom
        for tick in _ticks(*self._up):
            height = self.y(tick)
            self.raw(f'<path d="M{_LEFT} {height:.1f}H{right}" stroke="var(--line)"/>')
            self.raw(f'<text x="{_LEFT - 7}" y="{height + 4:.1f}" text-anchor="end">{tick:g}</text>')
        for tick in _ticks(*self._across):
            self.raw(f'<text x="{self.x(tick):.1f}" y="{base + 17}" text-anchor="middle">{tick:g}</text>')
        middle = (_LEFT + right) / 2
        self.raw(f'<text x="{middle}" y="{self.height - 5}" text-anchor="middle">{escape(x_title)}</text>')
        up = (_TOP + base) / 2
        self.raw(f'<text transform="translate(12 {up:.0f}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>')


def _ticks(low: float, high: float) -> list[float]:
    step = 0.2 if high - low > 0.55 else 0.1 if high - low > 0.25 else 0.05
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 6) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
