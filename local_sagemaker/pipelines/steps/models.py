"""RegisterModel and Model steps."""

from __future__ import annotations

import hashlib
from typing import Any

from local_sagemaker.errors import ApiError
from local_sagemaker.pipelines.steps.base import Context, Outcome, Succeeded


def register(context: Context) -> Outcome:
    """CreateModelPackage. Its client token makes a try that is repeated after a restart create nothing twice."""
    token = hashlib.sha256(f"{context.execution['PipelineExecutionArn']} {context.job_name}".encode()).hexdigest()[:32]
    request = {"ClientToken": token, **context.resolve(dict(context.step.arguments))}
    try:
        arn = context.perform("CreateModelPackage", request)["ModelPackageArn"]
        properties = context.perform("DescribeModelPackage", {"ModelPackageName": arn})
    except ApiError as error:
        return context.refused("CreateModelPackage", error)
    return Succeeded({"RegisterModel": {"Arn": arn}}, properties)


def create(context: Context) -> Outcome:
    """CreateModel, under the name that was stored for this try."""
    request: dict[str, Any] = {**context.resolve(dict(context.step.arguments)), "ModelName": context.job_name}
    described = {"ModelName": context.job_name}
    try:
        try:
            arn = context.perform("CreateModel", request)["ModelArn"]
        except ApiError:
            arn = _made_before_a_restart(context, described)
            if arn is None:
                raise
        return Succeeded({"Model": {"Arn": arn}}, context.perform("DescribeModel", described))
    except ApiError as error:
        return context.refused("CreateModel", error)


def _made_before_a_restart(context: Context, described: dict[str, Any]) -> str | None:
    try:
        return str(context.perform("DescribeModel", described)["ModelArn"])
    except ApiError:
        return None
