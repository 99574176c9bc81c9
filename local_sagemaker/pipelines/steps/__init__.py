"""What each type of step does: one module a type, all with ``act(context) -> Outcome``."""

from __future__ import annotations

from collections.abc import Callable

from local_sagemaker.pipelines.steps import branches, functions, jobs, models
from local_sagemaker.pipelines.steps.base import Context, Outcome

ACTIONS: dict[str, Callable[[Context], Outcome]] = {
    "Processing": jobs.act,
    "Training": jobs.act,
    "Transform": jobs.act,
    "RegisterModel": models.register,
    "Model": models.create,
    "Lambda": functions.act,
    "Condition": branches.decide,
    "Fail": branches.fail,
}
