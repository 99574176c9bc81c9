"""The bundle's golden requests, sent to an endpoint: does it answer as the exported model did?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contracts import bundle, invocation
from contracts.errors import ContractError
from deployment import aws
from deployment.checks.archive import Contents
from deployment.report import Finding

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

ID = "golden"
#: The container's statuses that say "not now", and SageMaker's own error codes that do.
#: Source: SageMaker Runtime API reference, InvokeEndpoint, Errors.
_BUSY_STATUS = (429, 503)
_BUSY = ("ModelNotReadyException", "ServiceUnavailable", "InternalFailure", "InternalDependencyException",
         "ThrottlingException")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and the answer of the model that was exported; probabilities by class."""

    number: int
    request: Mapping[str, Any]
    label: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cases:
    """What is asked for one precision.

    Attributes:
        tolerance: what each probability may differ by.
        thresholds: class -> smallest probability at which the class is answered.
    """

    tolerance: float
    thresholds: Mapping[str, float]
    cases: tuple[Case, ...]


def cases(contents: Contents, precision: str) -> Cases:
    """The golden requests of the graph that a package serves; ``precision`` is empty for a package without one.

    Raises:
        ContractError: the bundle has none.
    """
    chosen = precision or bundle.FLOAT32
    spec = contents.spec.at(chosen)
    try:
        value = contents.golden[chosen]
        found = tuple(
            Case(
                number,
                dict(one["request"]),
                str(one["predicted_label"]),
                {str(name): float(share) for name, share in one["probabilities"].items()},
            )
            for number, one in enumerate(value["cases"], 1)
        )
        tolerance = float(value["tolerance"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ContractError(
            f"{bundle.GOLDEN} has no golden requests for {chosen}: {error!r}", "Train the model again: cv-factory run."
        ) from None
    if not found:
        raise ContractError(f"{bundle.GOLDEN} has no case for {chosen}", "Train the model again: cv-factory run.")
    return Cases(tolerance, spec.thresholds, found)


def send(runtime: SageMakerRuntimeClient, endpoint: str, asked: Cases) -> Iterator[Finding]:
    """One finding for each case that is not answered as expected; a single good one where all are.

    An endpoint that is too busy to answer has said nothing about its model: that is ``pending``, and ends the round.
    """
    bad = 0
    for case in asked.cases:
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=endpoint,
                Body=json.dumps(case.request).encode(),
                ContentType=invocation.JSON,
                Accept=invocation.JSON,
                InferenceId=f"{ID}-{case.number}",  # so that captured requests of ours can be told from users'
            )
            got = answer["Body"].read()
        except ClientError as error:
            if _is_busy(error):
                yield Finding(_id(case), False, f"{endpoint} is busy: {_short(str(error))}", pending=True)
                return
            if aws.error_code(error) not in ("ModelError", "ValidationError", "ValidationException"):
                raise
            got = f"an error, {error}".encode()
        wrong = compare(case, got, asked)
        if wrong:
            bad += 1
            yield Finding(_id(case), False, f"{endpoint}: {wrong}")
    if not bad:
        yield Finding(ID, True, f"{endpoint}: all {len(asked.cases)} answers within {asked.tolerance:g}")


def compare(case: Case, got: bytes, asked: Cases) -> str:
    """What differs, in words; empty where nothing does.

    The label counts where no rounding within the tolerance could turn it.
    """
    expected = f"expected {case.label} {_rounded(case.probabilities)}"
    try:
        value = json.loads(got)
        label = str(value["predicted_label"])
        probabilities = {str(name): float(share) for name, share in value["probabilities"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{expected}, got {_short(got.decode(errors='replace'))}"
    same = probabilities.keys() == case.probabilities.keys() and all(
        # Answers are rounded to six digits on both sides.
        abs(share - case.probabilities[name]) <= asked.tolerance + 1e-6
        for name, share in probabilities.items()
    )
    if same and (label == case.label or not _is_clear(case, asked)):
        return ""
    return f"{expected}, got {label} {_rounded(probabilities)}, tolerance {asked.tolerance:g}"


def _is_clear(case: Case, asked: Cases) -> bool:
    """Is the expected label far enough from every other, and every probability from its class's threshold?"""
    own = case.probabilities.get(case.label, 0.0)
    others = (abs(own - share) for name, share in case.probabilities.items() if name != case.label)
    near_threshold = any(
        abs(case.probabilities.get(name, 0.0) - threshold) <= asked.tolerance
        for name, threshold in asked.thresholds.items()
    )
    return not near_threshold and all(gap > 2 * asked.tolerance for gap in others)


def _is_busy(error: ClientError) -> bool:
    code = aws.error_code(error)
    if code == "ModelError":
        return int(error.response.get("OriginalStatusCode", 0)) in _BUSY_STATUS  # type: ignore[call-overload]
    return code in _BUSY


def _id(case: Case) -> str:
    return f"{ID}[{case.number}]"


def _rounded(probabilities: Mapping[str, float]) -> str:
    return "{" + ", ".join(f"{name}: {share:.4f}" for name, share in sorted(probabilities.items())) + "}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:200] + "…"
