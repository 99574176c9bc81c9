"""Condition and Fail steps."""

from __future__ import annotations

from local_sagemaker.pipelines.conditions import all_hold
from local_sagemaker.pipelines.expressions import CannotResolve, to_text
from local_sagemaker.pipelines.steps.base import Context, Failed, Outcome, Succeeded

#: Characters that a Fail step's message may have in the step's metadata.
LONGEST_MESSAGE = 3072


def decide(context: Context) -> Outcome:
    outcome = all_hold(context.step.arguments["Conditions"], context.scope())
    return Succeeded({"Condition": {"Outcome": str(outcome)}}, {"Outcome": str(outcome)}, branch=outcome)


def fail(context: Context) -> Outcome:
    message = context.resolve(context.step.arguments.get("ErrorMessage", ""))
    if isinstance(message, (dict, list)):
        raise CannotResolve(f"ErrorMessage must be a single value, not {message!r}.")
    text = to_text(message)[:LONGEST_MESSAGE]
    return Failed(text, metadata={"Fail": {"ErrorMessage": text}}, message=text)
