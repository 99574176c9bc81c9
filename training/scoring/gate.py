"""The verdict: whether a model is registered, with a message that a person reads in SageMaker's console.

Floors and ceilings compare point estimates. The champion's rule compares the one-sided 95 % lower bound of the paired
difference in balanced accuracy with the margin: "not worse by more than the margin, and we are sure".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.evaluation import (
    BALANCED_ACCURACY,
    BUNDLE_MB,
    ECE,
    LATENCY_MS,
    MAX_GATE_MESSAGE,
    NOTHING_NEW,
    REFUSE,
    REGISTER,
)
from training.scoring.comparison import MIN_COMMON_IMAGES, Comparison

_NAMES = {
    BALANCED_ACCURACY: "balanced accuracy",
    ECE: "calibration error",
    LATENCY_MS: "latency in ms",
    BUNDLE_MB: "bundle size in MB",
    "auc": "AUC",
    "f1": "F1",
}


@dataclass(frozen=True)
class Rules:
    """The settings ``gate``: metric -> limit, and the champion's margin."""

    min: Mapping[str, float] = field(default_factory=dict)
    min_per_slice: Mapping[str, float] = field(default_factory=dict)
    max: Mapping[str, float] = field(default_factory=dict)
    champion_margin: float = 0.03


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule and how it ended; ``value`` is None when it could not be computed, which never passes."""

    rule: str
    limit: float
    value: float | None
    passed: bool

    def to_json(self) -> dict[str, Any]:
        return {"rule": self.rule, "limit": self.limit, "value": self.value, "passed": self.passed}


@dataclass(frozen=True)
class Verdict:
    """``register``, ``nothing-new`` or ``refuse``, with a message of at most 900 characters, and every rule."""

    outcome: str
    message: str
    reasons: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "message": self.message,
            "reasons": [reason.to_json() for reason in self.reasons],
        }


def decide(
    rules: Rules,
    values: Mapping[str, float | None],
    slices: Mapping[str, Mapping[str, float | None]],
    comparison: Comparison | None,
    *,
    protocol: str,
    images: int,
    is_champion: bool = False,
) -> Verdict:
    """The verdict on a model.

    Args:
        values: metric -> estimate.
        slices: slice -> metric -> estimate, of the slices that are large enough to be gated.
        comparison: with the champion; None when there is none.
        protocol, images: of the test split, for the message.
        is_champion: the bundle is the champion's own: there is nothing new to register.
    """
    passed: list[str] = []
    failed: list[str] = []
    reasons: list[Reason] = []

    def check(rule: str, limit: float, value: float | None, holds: bool, what: str) -> None:
        reasons.append(Reason(rule, limit, value, holds))
        (passed if holds else failed).append(what)

    for name, limit in rules.min.items():
        value = values.get(name)
        holds = value is not None and value >= limit
        check(f"min.{name}", limit, value, holds, _says(name, value, holds, "at least", limit))
    for name, limit in rules.max.items():
        value = values.get(name)
        holds = value is not None and value <= limit
        check(f"max.{name}", limit, value, holds, _says(name, value, holds, "at most", limit))
    for slice_name, metrics in slices.items():
        for name, limit in rules.min_per_slice.items():
            value = metrics.get(name)
            holds = value is not None and value >= limit
            what = f"{_says(name, value, holds, 'at least', limit)} in the slice {slice_name.replace('=', ' ')}"
            check(f"min_per_slice.{name} {slice_name}", limit, value, holds, what)
    if comparison is not None and not is_champion:
        difference = comparison.differences[BALANCED_ACCURACY]
        bound = difference.lower_95 if comparison.possible else None
        holds = bound is not None and bound > -rules.champion_margin
        what = _says_champion(comparison, rules.champion_margin, holds)
        check("champion.balanced_accuracy", -rules.champion_margin, bound, holds, what)

    where = f"{images} test images, protocol {protocol}"
    if is_champion:
        return Verdict(NOTHING_NEW, _plain("This bundle is the champion itself; there is nothing new."), tuple(reasons))
    if failed:
        more = f" {len(passed)} other {'rules hold' if len(passed) > 1 else 'rule holds'}." if passed else ""
        return Verdict(REFUSE, _plain(f"Not registered: {'; '.join(failed)} ({where}).{more}"), tuple(reasons))
    value = values.get(BALANCED_ACCURACY)
    score = f"balanced accuracy {_number(value)} on {where}"
    against = "no champion to compare with" if comparison is None else passed[-1]
    rules_hold = {0: "No rule is set", 1: "The one rule holds"}.get(len(reasons), f"All {len(reasons)} rules hold")
    return Verdict(REGISTER, _plain(f"{rules_hold}: {score}; {against}."), tuple(reasons))


def _says(name: str, value: float | None, holds: bool, bound: str, limit: float) -> str:
    called = _NAMES.get(name, name)
    if value is None:
        return f"{called} could not be computed and must be {bound} {_number(limit)}"
    must = "" if holds else "but must be "
    return f"{called} is {_number(value, limit)}, {must}{bound} {_number(limit)}"


def _says_champion(comparison: Comparison, margin: float, holds: bool) -> str:
    if not comparison.possible:
        return (
            f"only {comparison.images} images are unknown to both this model and the champion and at least "
            f"{MIN_COMMON_IMAGES} are needed to compare them, so keep the split of the champion's dataset"
        )
    difference = comparison.differences[BALANCED_ACCURACY]
    if difference.value is None or difference.lower_95 is None:
        return "the champion could not be compared in balanced accuracy"
    worse = f"{_number(abs(difference.value))} {'below' if difference.value < 0 else 'above'} the champion"
    surely = _direction(difference.lower_95)
    rest = f"on {comparison.images} images, and with 95 percent confidence {surely}"
    if holds:
        return f"balanced accuracy is {worse} {rest}, within the margin of {_number(margin)}"
    return f"balanced accuracy is {worse} {rest}, but at most {_number(margin)} below is allowed"


def _direction(bound: float) -> str:
    if bound < 0:
        return f"at most {_number(-bound)} below it"
    return f"at least {_number(bound)} above it" if bound > 0 else "not below it"


def _number(value: float | None, limit: float | None = None) -> str:
    """Three decimals under 10, one above; more where the value would else look equal to the limit that it misses."""
    if value is None:
        return "unknown"
    decimals = 3 if abs(value) < 10 else 1
    while limit is not None and value != limit and round(value, decimals) == round(limit, decimals) and decimals < 9:
        decimals += 1
    return f"{value:.{decimals}f}"


def _plain(text: str) -> str:
    """``text`` in the characters that every field it travels through allows: letters, digits, marks, punctuation,
    spaces; at most :data:`~contracts.evaluation.MAX_GATE_MESSAGE` of them.

    Source: API reference, ModelPackageDescription and FailStep's ErrorMessage.
    """
    kept = "".join(character if unicodedata.category(character)[0] in "LMNPZ" else " " for character in text)
    kept = " ".join(kept.split())
    return kept if len(kept) <= MAX_GATE_MESSAGE else kept[: MAX_GATE_MESSAGE - 3].rstrip() + "..."
