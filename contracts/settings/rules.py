"""Rules over more than one setting: ranges that depend on each other, and pairs that exclude each other."""

from __future__ import annotations

import ipaddress
import math
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import SettingsError
from contracts.evaluation import OF_THE_BUNDLE
from contracts.settings.model import Guard, Settings
from contracts.settings.yaml12 import Document, Loader, short

FORBIDDEN_PAIRS = Path(__file__).resolve().parent.parent / "forbidden_pairs.yaml"

#: DeploymentConfig, MaximumExecutionTimeoutInSeconds: at most 28,800, of which an hour starts the fleets.
_MOST_BAKE_MINUTES = 420
#: The largest threshold that a guard on a share or a percentage can pass.
_GUARDS: dict[Guard, float] = {"share_4xx": 1, "label_shift": 1, "memory_percent": 100}
#: CloudWatch Logs API reference, PutRetentionPolicy, retentionInDays.
LOG_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip


def check(settings: Settings, document: Document) -> None:
    """Raises SettingsError for the first rule that ``settings`` break."""
    _check_ranges(settings, document)
    _check_pairs(settings, document)


def _at(document: Document, env: str, *path: str) -> str:
    """Where ``path`` was set: in the environment, else in the file."""
    override = ("environments", env, *path)
    return document.at(override if document.has(override) else path)


def _check_ranges(settings: Settings, document: Document) -> None:
    serving, release, network = settings.serving, settings.release, settings.network

    def refuse(section: str, key: str, says: str, hint: str) -> SettingsError:
        return SettingsError(_at(document, settings.env, section, key) + f"{section}.{key} {says}", hint)

    if serving.max_instances < serving.instance_count:
        raise refuse(
            "serving",
            "max_instances",
            f"({serving.max_instances}) is below serving.instance_count ({serving.instance_count})",
            "Equal numbers mean no autoscaling.",
        )
    if settings.operations.runs_days < settings.training.cache_days + 7:
        raise refuse(
            "operations",
            "runs_days",
            f"({settings.operations.runs_days}) must be at least training.cache_days + 7"
            f" ({settings.training.cache_days + 7})",
            "A cached step names objects of its run: they must outlive the cache.",
        )
    if release.strategy == "linear" and release.percent < 10:
        # DeploymentConfig, LinearStepSize: 10-50 % of the capacity.
        raise refuse(
            "release", "percent", f"({release.percent}) is too small for steps of a linear release", "10 to 50."
        )
    steps = math.ceil(100 / release.percent) if release.strategy in ("linear", "rolling") else 1
    if steps * release.bake_minutes + release.termination_minutes > _MOST_BAKE_MINUTES:
        raise refuse(
            "release",
            "bake_minutes",
            f"({release.bake_minutes}) in each of {steps} steps of a {release.strategy} release takes"
            f" {steps * release.bake_minutes} minutes and release.termination_minutes ({release.termination_minutes})",
            "SageMaker ends a release after 8 hours: at most"
            f" {(_MOST_BAKE_MINUTES - release.termination_minutes) // steps}, or a larger percent.",
        )
    for guard, most in _GUARDS.items():
        limit = release.guards.get(guard)
        if limit is not None and limit > most:
            says = f"({limit:g}) is never passed"
            raise SettingsError(
                _at(document, settings.env, "release", "guards", guard) + f"release.guards.{guard} {says}",
                f"It is at most {most:g}; leave it out to turn the guard off.",
            )
    if settings.operations.log_days not in LOG_DAYS:
        raise refuse(
            "operations",
            "log_days",
            f"({settings.operations.log_days}) is none that CloudWatch Logs knows",
            f"One of: {', '.join(map(str, LOG_DAYS))}.",
        )
    if network.vpc == "existing":
        for key in ("subnet_ids", "security_group_ids"):
            if not getattr(settings.aws.existing, key):
                raise refuse(
                    "network",
                    "vpc",
                    f"is existing, but aws.existing.{key} is empty",
                    "Name the subnets and security groups of the jobs and the endpoint, or set network.vpc to create.",
                )
    if network.nat and network.vpc != "create":
        raise refuse(
            "network",
            "nat",
            f"is true, but network.vpc is {network.vpc}",
            "A NAT gateway belongs to the VPC that is made: set network.vpc to create, or network.nat to false.",
        )
    if network.endpoints == "always" and network.vpc == "none":
        raise refuse(
            "network",
            "endpoints",
            "is always, but network.vpc is none",
            "Interface endpoints need a VPC: set network.vpc to create or existing, or network.endpoints to auto.",
        )
    try:
        prefix = ipaddress.IPv4Network(network.cidr).prefixlen
    except ValueError as error:
        raise refuse("network", "cidr", f"is no network: {error}", "For example 10.20.0.0/16.") from None
    if not 16 <= prefix <= 24:
        raise refuse(
            "network",
            "cidr",
            f"({network.cidr}) must be between /16 and /24",
            "AWS allows no larger VPC; in a smaller one the interface endpoints leave the jobs too few addresses.",
        )
    for key in ("min", "min_per_slice", "max"):
        for metric, limit in getattr(settings.gate, key).items():
            if limit < 0 or (limit > 1 and metric not in OF_THE_BUNDLE):
                raise SettingsError(
                    _at(document, settings.env, "gate", key, metric) + f"gate.{key}.{metric} ({limit}) is out of range",
                    "It is a share: 0 to 1, so 70 percent is 0.70." if limit > 1 else "It must be 0 or more.",
                )


def _check_pairs(settings: Settings, document: Document) -> None:
    flat = settings.model_dump()
    for rule in yaml.load(FORBIDDEN_PAIRS.read_text(encoding="utf-8"), Loader=Loader):  # noqa: S506 (a safe loader)
        if all(_holds(_lookup(flat, key), wanted) for key, wanted in rule["when"].items()):
            keys = [key for key in rule["when"] if key != "env"]
            values = ", ".join(f"{key}: {short(_lookup(flat, key))}" for key in keys)
            raise SettingsError(
                _at(document, settings.env, *keys[0].split(".")) + f"these settings exclude each other ({values})",
                f"{rule['says']}\nRule {rule['id']}, {rule['date']}: {rule['source']}",
            )


def _lookup(value: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        value = value[part]
    return value


def _holds(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    ((operator, operand),) = wanted.items()
    match operator:
        case "is_not":
            return bool(value != operand)
        case "contains":
            return operand in value
        case "above":
            return bool(value > operand)
        case "not_empty":
            return bool(value) is operand
    raise SettingsError(f"forbidden_pairs.yaml: unknown operator {operator!r}")
