"""The step cache: which attributes decide, and how long a result is good for.

Source: SageMaker Developer Guide, "Caching pipeline steps" and "Default cache key attributes by pipeline step type".
Only succeeded steps are reused, of the same pipeline and step; URIs count, not what is stored there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_DURATION = re.compile(
    r"P?(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", re.IGNORECASE
)
_SECONDS = (31_536_000, 2_592_000, 604_800, 86_400, 3_600, 60, 1)

KEYS: dict[str, tuple[str, ...]] = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        "AlgorithmSpecification", "CheckpointConfig", "DebugHookConfig", "DebugRuleConfigurations", "Environment",
        "HyperParameters", "InputDataConfig",
    ),
    "Transform": ("DataProcessing", "Environment", "ModelName", "TransformInput"),
    # of a Lambda step, AWS documents no list: everything that it sends and expects
    "Lambda": ("FunctionArn", "Arguments", "OutputParameters"),
}  # fmt: skip


def seconds(text: str) -> float:
    """An ISO 8601 duration, also in the short forms that SageMaker takes (``30d``, ``T12H``), in seconds.

    A year counts 365 days and a month 30.

    Raises:
        ValueError: no duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as P30D or PT1H")
    return float(sum(int(part) * unit for part, unit in zip(match.groups(), _SECONDS, strict=True) if part))


def problems(config: Any) -> Iterator[str]:
    """What is wrong with a step's CacheConfig."""
    if not isinstance(config, dict) or not set(config) <= {"Enabled", "ExpireAfter"}:
        yield "CacheConfig takes Enabled and ExpireAfter"
        return
    if not isinstance(config.get("Enabled"), bool):
        yield "CacheConfig.Enabled must be true or false"
    if config.get("Enabled") is True and "ExpireAfter" not in config:
        yield "CacheConfig needs ExpireAfter, an ISO 8601 duration such as P30D, when Enabled is true"
    if "ExpireAfter" in config:
        try:
            seconds(config["ExpireAfter"])
        except (ValueError, TypeError):
            value = config["ExpireAfter"]
            yield f"CacheConfig.ExpireAfter is {value!r}; it must be an ISO 8601 duration such as P30D or PT1H"


def key(step_type: str, request: Mapping[str, Any]) -> str:
    """The hash of those attributes of a step's resolved request that decide, 64 hexadecimal digits."""
    decisive = {name: request.get(name) for name in KEYS[step_type] if request.get(name) is not None}
    return hashlib.sha256(json.dumps([step_type, decisive], sort_keys=True).encode()).hexdigest()
