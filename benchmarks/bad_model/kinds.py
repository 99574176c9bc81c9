"""The good model, and the ways in which a model can be bad, of the toy container."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tests.deployment.checks.factory import IMAGES

GOOD = "good"
#: The first image is asked so often, of all requests.
FIRST = 0.8
_TOLERANCE = 0.002

Answer = tuple[str, dict[str, float]]


@dataclass(frozen=True)
class Behaviour:
    """How a model behaves.

    Attributes:
        name: who it is.
        answers: image -> label and probabilities.
        seconds: how long it works on a request.
        status: 200, or what it answers to every request.
        dies_at: its process ends when it reads so many requests, without an answer; 0: never.
        golden: image -> what the exported model is said to have answered.
    """

    name: str
    answers: dict[str, Answer]
    golden: dict[str, Answer]
    seconds: float = 0.0
    status: int = 200
    dies_at: int = 0

    def model(self) -> dict[str, Any]:
        """The content of ``model.onnx``."""
        value = asdict(self)
        del value["golden"]
        return value

    def expected(self) -> dict[str, Any]:
        """The content of ``golden.json``."""
        cases = [
            {"request": {"image": image}, "predicted_label": label, "probabilities": probabilities}
            for image, (label, probabilities) in self.golden.items()
        ]
        return {"float32": {"tolerance": _TOLERANCE, "cases": cases}}


def _answers(labels: tuple[str, str], first: float, second: float) -> dict[str, Answer]:
    """``first``, ``second``: the probability of the first label, for each of the two images."""

    def one(share: float) -> Answer:
        return labels[share < 0.5], {labels[0]: round(share, 6), labels[1]: round(1 - share, 6)}

    return dict(zip(IMAGES, (one(first), one(second)), strict=True))


_CLASSES = ("damaged", "sound")
_RIGHT = _answers(_CLASSES, 0.9, 0.2)
_BLIND = _answers(_CLASSES, 0.2, 0.2)
_OTHERS = _answers(("cat", "dog"), 0.9, 0.2)
_UNSURE = _answers(_CLASSES, 0.6, 0.4)


def good(name: str = GOOD) -> Behaviour:
    return Behaviour(name, _RIGHT, _RIGHT)


#: Kind -> the bad model, and the guards of which one should find it (``golden``: its golden requests).
KINDS: dict[str, tuple[Behaviour, tuple[str, ...]]] = {
    "wrong answers": (Behaviour("bad", _BLIND, _BLIND), ("label_shift",)),
    "other classes": (Behaviour("bad", _OTHERS, _OTHERS), ("label_shift",)),
    "slow": (Behaviour("bad", _RIGHT, _RIGHT, seconds=2.6), ("latency_p99_ms",)),
    "errors": (Behaviour("bad", _RIGHT, _RIGHT, status=500), ("errors_5xx",)),
    "crashing": (Behaviour("bad", _RIGHT, _RIGHT, dies_at=3), ("errors_5xx", "golden")),
    "unfaithful": (Behaviour("bad", _UNSURE, _RIGHT), ("golden",)),
}
