"""What an endpoint answers, as values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from contracts.errors import ContractError, FactoryError
from cv_factory.client.payload import Image


@dataclass(frozen=True, eq=False)
class Prediction(Mapping[str, Any]):
    """The answer for one image. Also a mapping: ``answer["predicted_label"]``, ``dict(answer)``, ``{**answer}``.

    Attributes:
        predicted_label: a class.
        confidence: of that class, 0…1.
        probabilities: class -> 0…1.
    """

    predicted_label: str
    confidence: float
    probabilities: Mapping[str, float]

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)

    def to_json(self) -> dict[str, Any]:
        """The answer as the endpoint wrote it."""
        return {**self, "probabilities": dict(self.probabilities)}


_NAMES = tuple(field.name for field in fields(Prediction))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image of many: either ``prediction`` or ``error`` is there."""

    image: Image
    prediction: Prediction | None = None
    error: FactoryError | None = None


def read_prediction(body: bytes) -> Prediction:
    """The answer to one image.

    Raises:
        ContractError: it is no prediction (:mod:`contracts.invocation`).
    """
    return _prediction(_parse(body))


def read_predictions(body: bytes, count: int) -> list[Prediction]:
    """The answer to a batch of ``count`` images.

    Raises:
        ContractError: it is not that many predictions.
    """
    document = _parse(body)
    found = document.get("predictions") if isinstance(document, dict) else None
    if not isinstance(found, list) or len(found) != count:
        raise _strange(f"{len(found) if isinstance(found, list) else 'no'} predictions for {count} images")
    return [_prediction(one) for one in found]


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise _strange(str(error)) from None


def _prediction(value: Any) -> Prediction:
    try:
        probabilities = {str(name): float(share) for name, share in value["probabilities"].items()}
        return Prediction(str(value["predicted_label"]), float(value["confidence"]), probabilities)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _strange(f"{type(error).__name__}: {error}") from None


def _strange(reason: str) -> ContractError:
    return ContractError(
        f"the endpoint's answer is no prediction: {reason}", "Is it an endpoint that cv-factory deployed?"
    )
