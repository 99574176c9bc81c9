"""What a plan is made from, for tests: packages by version, goals, and what is seen."""

from __future__ import annotations

import dataclasses
from typing import Any

from contracts.release import ReleaseSettings
from deployment import goal, specs
from deployment.attempt import Attempt
from deployment.checked import Before
from deployment.goal import Goal
from deployment.monitor import Monitor
from deployment.observed import Endpoint, Observed
from deployment.packages import Desired, Package
from deployment.planner import Plan
from tests.deployment.plane import report

GROUP = "arn:aws:sagemaker:eu-west-1:111122223333:model-package/widgets-dev"
FULL = "InsufficientInstanceCapacity: there is no ml.m5.xlarge"


def package(version: int) -> Package:
    return Package(
        arn=f"{GROUP}/{version}",
        version=version,
        approval="Approved",
        status="Completed",
        reason="",
        image="111122223333.dkr.ecr.eu-west-1.amazonaws.com/widgets-dev/inference@sha256:" + "1" * 64,
        model_uri=f"s3://widgets-dev-artifacts-111122223333/packages/{version}/model.tar.gz",
        bundle_hash=f"{version:064x}",
    )


def wanted(settings: ReleaseSettings, version: int | None) -> Goal:
    return goal.of(Desired(package(version) if version else None), settings)


def config(settings: ReleaseSettings, version: int) -> str:
    return wanted(settings, version).candidates[0].config_name


def seen(settings: ReleaseSettings, status: str, serves: str, **change: Any) -> Observed:
    """An endpoint, and every model and configuration of versions 1 to 3."""
    goals = [wanted(settings, version) for version in (1, 2, 3)]
    there = Observed(
        endpoint=Endpoint(status, serves, modified="t1") if status else None,
        attempt=None,
        configs=frozenset(each.config_name for one in goals for each in one.candidates),
        models=frozenset(one.candidates[0].model_name for one in goals),
        ours=not status or specs.is_ours(serves, settings),
        monitor=Monitor(log_days=settings.log_days),
        before=Before("k", "", report("inference.scan")),
    )
    return dataclasses.replace(there, **change)


def answered(*fields: Any) -> Attempt:
    """A release whose golden requests were answered as they have to be."""
    return dataclasses.replace(Attempt(*fields), golden=report("golden"))


def kinds(plan: Plan) -> list[str]:
    return [action.kind for action in plan.actions]
