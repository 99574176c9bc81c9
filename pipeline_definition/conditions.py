"""The branches. They read strings that Python code has decided on; no threshold lives in the definition."""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

from typing import Any

from sagemaker.core.workflow.conditions import ConditionEquals
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.lambda_step import LambdaStep

from contracts import evaluation, release
from contracts.names import APPROVAL, EVALUATE, GATE, KNOWN, NOTHING_NEW, REFUSE
from pipeline_definition import jobs, parameters
from pipeline_definition.context import Context


def gate(passed: list[Any]) -> ConditionStep:
    """The evaluation's verdict: ``register`` goes on to ``passed``; ``nothing-new`` ends well; ``refuse`` fails."""
    refuse = FailStep(REFUSE, error_message=Join(on="", values=["The gate refused the model. ", _verdict("message")]))
    nothing_new = ConditionStep(
        NOTHING_NEW,
        conditions=[ConditionEquals(left=_verdict("outcome"), right=evaluation.NOTHING_NEW)],
        if_steps=[],
        else_steps=[refuse],
    )
    return ConditionStep(
        GATE,
        conditions=[ConditionEquals(left=_verdict("outcome"), right=evaluation.REGISTER)],
        if_steps=passed,
        else_steps=[nothing_new],
    )


def known(kept: LambdaStep, unknown: list[Any]) -> ConditionStep:
    """No package of the group has this bundle: go on to ``unknown``. Otherwise end well, with nothing new."""
    return ConditionStep(
        KNOWN,
        conditions=[ConditionEquals(left=kept.properties.Outputs["known"], right="")],
        if_steps=unknown,
        else_steps=[],
    )


def approval(context: Context, published: LambdaStep, deploy: LambdaStep) -> ConditionStep:
    """With automatic approval, deploy. Not before the card is attached: nothing else orders the two."""
    return ConditionStep(
        APPROVAL,
        depends_on=[published],
        conditions=[ConditionEquals(left=context.parameters[parameters.APPROVAL], right=release.AUTOMATIC)],
        if_steps=[deploy],
        else_steps=[],
    )


def _verdict(key: str) -> JsonGet:
    return JsonGet(step_name=EVALUATE, property_file=jobs.EVALUATION_FILE, json_path=f"gate.{key}")
