"""Processing, Training and Transform steps: a job each, or an earlier result from the cache."""

from __future__ import annotations

from typing import Any

from local_sagemaker.errors import ApiError
from local_sagemaker.iam import workloads
from local_sagemaker.iam.access import Denied
from local_sagemaker.jobs import processing, states, training, transform
from local_sagemaker.pipelines import cache, names
from local_sagemaker.pipelines.definition import Step
from local_sagemaker.pipelines.shapes import REQUESTS
from local_sagemaker.pipelines.steps.base import Began, Context, Outcome, Succeeded
from local_sagemaker.store import Record

KINDS = {"Processing": processing.KIND, "Training": training.KIND, "Transform": transform.KIND}


def choose_name(execution_id: str, step: Step) -> str:
    """A new name for what a try of the step creates; a name in its Arguments becomes the prefix."""
    member = REQUESTS[step.type][1] if step.type in REQUESTS else ""
    prefix = step.arguments.get(member)
    return names.job_name(execution_id, step.name, prefix if isinstance(prefix, str) else None)


def act(context: Context) -> Outcome:
    step = context.step
    operation, name, _ = REQUESTS[step.type]
    request: dict[str, Any] = {**context.resolve(dict(step.arguments)), name: context.job_name}
    key = None
    if step.cache_seconds is not None:
        key = cache.key(step.type, request)
        found = context.cached(key)
        if found is not None:
            return Succeeded(found["Metadata"], found["Properties"], source=found["Source"])
    described = f"{step.type}Job"
    try:
        answer = context.perform(operation, request)
        arn = answer[f"{described}Arn"]
        workloads.check_following(context.platform, context.execution["RoleArn"], context.region, described, arn)
    except Denied as denied:
        return context.refused(f"Describe{described}", ApiError(denied.message))
    except ApiError as error:
        return context.refused(operation, error)
    return Began(metadata(step.type, arn), key)


def metadata(step_type: str, arn: str) -> dict[str, Any]:
    return {f"{step_type}Job": {"Arn": arn}}


def properties(record: Record) -> dict[str, Any]:
    """What ``Steps.<name>.…`` refers to: the job's description."""
    described: dict[str, Any] = states.KINDS[record.kind].describe(record)
    return described
