"""Who answers a request: a variant by weight, then an instance of it. Deterministic, so that shares are exact."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

T = TypeVar("T", bound=Hashable)


class Weighted:
    """Smooth weighted round robin: among n picks each key gets its share of n, spread evenly.

    Every pick adds each key's weight to its credit; the key with the most credit is picked and pays the sum of weights.
    Not safe to use from several threads.
    """

    def __init__(self) -> None:
        self._credit: dict[Any, float] = {}

    def pick(self, weights: Mapping[T, float]) -> T | None:
        """One key, by weight; None when no key has a weight above zero."""
        total = sum(weights.values())
        if total <= 0:
            return None
        credit = {key: self._credit.get(key, 0.0) + weight for key, weight in weights.items()}
        best = max(weights, key=lambda key: (weights[key] > 0, credit[key]))
        credit[best] -= total
        self._credit = dict(credit)
        return best
