"""A pipeline definition, read from its JSON and checked as far as it can be before it runs.

Source: the definitions that the SageMaker SDK writes (schema version 2020-12-01), and SageMaker Developer Guide,
"Pipelines overview" and "Add a step". AWS's published JSON schema is older than both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from local_sagemaker.errors import ValidationException
from local_sagemaker.pipelines import cache, conditions, graph, retries
from local_sagemaker.pipelines.expressions import (
    BadExpression,
    PropertyFile,
    Reference,
    is_expression,
    is_property_file,
    references,
)  # fmt: skip
from local_sagemaker.pipelines.shapes import check_property, check_request

VERSION = "2020-12-01"
LONGEST = 1_048_576

EXECUTED = ("Processing", "Training", "Transform", "RegisterModel", "Model", "Lambda", "Condition", "Fail")
#: Step types that SageMaker knows and this server does not run, and why or what to use instead.
NOT_EXECUTED = {
    "AutoML": "", "Bedrock": "", "Callback": "", "Cleanup": "", "EMR": "", "EMRServerless": "", "Athena": "",
    "ForEach": "", "InferenceComponent": "", "Job": "", "Lineage": "", "NotebookJob": "", "Tuning": "",
    "Endpoint": "it carries no deployment configuration; deploy from a Lambda step",
    "EndpointConfig": "it carries no deployment configuration; deploy from a Lambda step",
    "QualityCheck": "SageMaker Model Monitor is closed to new customers",
    "ClarifyCheck": "SageMaker Clarify is closed to new customers",
}  # fmt: skip
JOB_STEPS = ("Processing", "Training", "Transform")
_RETRIED = (*JOB_STEPS, "RegisterModel", "Model")

EXECUTION_VARIABLES = (
    "StartDateTime", "CurrentDateTime", "PipelineName", "PipelineArn", "PipelineExecutionId", "PipelineExecutionArn",
    "TrainingJobName", "ProcessingJobName",
)  # fmt: skip

_PARAMETER_TYPES: dict[str, tuple[type, ...]] = {
    "String": (str,), "Integer": (int,), "Float": (int, float), "Boolean": (bool,),
}  # fmt: skip
_OUTPUT_TYPES = tuple(_PARAMETER_TYPES)
_STEP_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")

_TOP = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
_COMMON = {"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"}
_MEMBERS = {
    "Processing": _COMMON | {"CacheConfig", "RetryPolicies", "PropertyFiles"},
    "Training": _COMMON | {"CacheConfig", "RetryPolicies"},
    "Transform": _COMMON | {"CacheConfig", "RetryPolicies"},
    "RegisterModel": _COMMON | {"RetryPolicies"},
    "Model": _COMMON | {"RetryPolicies"},
    "Lambda": _COMMON | {"CacheConfig", "FunctionArn", "OutputParameters"},
    "Condition": _COMMON,
    "Fail": _COMMON,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A pipeline parameter; ``default`` is None when the start must give a value."""

    name: str
    kind: str
    default: Any = None
    enum: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Step:
    """A step; those inside a Condition know it as ``parent`` and whether they are its IfSteps (``side``)."""

    name: str
    type: str
    raw: Mapping[str, Any]
    parent: str | None = None
    side: bool | None = None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The step's own arguments; of a Condition its conditions only, not the steps inside it."""
        arguments: Mapping[str, Any] = self.raw["Arguments"]
        return {"Conditions": arguments["Conditions"]} if self.type == "Condition" else arguments

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        return tuple(references([self.arguments, self.raw.get("FunctionArn")]))

    @cached_property
    def needs(self) -> frozenset[str]:
        """The steps that must have succeeded: named by DependsOn or referred to, and the Condition around it."""
        referred = {str(reference.path[0]) for reference in self.references if reference.root == "Steps"}
        around = {self.parent} if self.parent else set()
        return frozenset({*self.raw.get("DependsOn", ()), *referred, *around})

    @property
    def outputs(self) -> dict[str, str]:
        """A Lambda step's output parameters: name -> type."""
        return {item["OutputName"]: item["OutputType"] for item in self.raw.get("OutputParameters") or []}

    @property
    def property_files(self) -> dict[str, PropertyFile]:
        return {
            item["PropertyFileName"]: PropertyFile(item["PropertyFileName"], item["OutputName"], item["FilePath"])
            for item in self.raw.get("PropertyFiles") or []
        }

    @property
    def cache_seconds(self) -> float | None:
        """How long a result may be used again; None without a cache."""
        config = self.raw.get("CacheConfig") or {}
        return cache.seconds(config["ExpireAfter"]) if config.get("Enabled") else None

    @cached_property
    def retry_policies(self) -> tuple[retries.Policy, ...]:
        return retries.parse(self.raw.get("RetryPolicies") or ())


@dataclass(frozen=True)
class Definition:
    """A checked definition. ``steps`` holds all of them by name, those inside Conditions too, in order of writing."""

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Step]
    experiment: Mapping[str, Any]


@lru_cache(maxsize=64)
def parse(text: str) -> Definition:
    """Read and check a definition.

    Raises:
        ValidationException: what is wrong, naming step and reference.
    """
    if len(text) > LONGEST:
        _refuse([f"it has {len(text):,} characters, and at most {LONGEST:,} are allowed"])
    try:
        document = json.loads(text)
    except ValueError as error:
        _refuse([f"it is not JSON: {error}"])
    if not isinstance(document, dict):
        _refuse(["it must be a JSON object"])
    _refuse(list(_top_problems(document)))
    parameters = {item["Name"]: _parameter(item) for item in document.get("Parameters") or []}
    found: list[Step] = []
    _refuse(list(_collect(document["Steps"], None, None, found)))
    _refuse(_twice("step", [step.name for step in found]))
    definition = Definition(
        parameters, {step.name: step for step in found}, document.get("PipelineExperimentConfig") or {}
    )
    _refuse([f"step {step.name}: {text}" for step in found for text in _step_problems(step)])
    _refuse([f"step {step.name}: {text}" for step in found for text in _reference_problems(step, definition)])
    cycle = graph.find_cycle({step.name: step.needs for step in found})
    if cycle:
        _refuse([f"its steps form a cycle: {' -> '.join(cycle)}"])
    return definition


def _refuse(problems: list[str]) -> None:
    """Raise when there is a problem; the first few are told."""
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValidationException(f"Unable to parse pipeline definition: {'; '.join(problems[:5])}{more}.")


def _twice(what: str, names: list[str]) -> list[str]:
    return [
        f"the {what} name {name} is used more than once" for name in sorted({n for n in names if names.count(n) > 1})
    ]


def _top_problems(document: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(set(document) - _TOP):
        yield f"it has the unknown member {name}"
    if document.get("Version") != VERSION:
        yield f"Version is {document.get('Version')!r}; it must be {VERSION!r}"
    if not isinstance(document.get("Steps"), list) or not document["Steps"]:
        yield "Steps must be a list with one step or more"
    if document.get("MlflowConfig"):
        yield "MlflowConfig is not supported by the local SageMaker"
    experiment = document.get("PipelineExperimentConfig")
    if experiment is not None and not isinstance(experiment, dict):
        yield "PipelineExperimentConfig must be an object"
    parameters = document.get("Parameters")
    if parameters is not None and not isinstance(parameters, list):
        yield "Parameters must be a list"
        return
    for item in parameters or []:
        yield from _parameter_problems(item)
    yield from _twice("parameter", [str(item.get("Name")) for item in parameters or [] if isinstance(item, dict)])


def _parameter_problems(item: Any) -> Iterator[str]:
    if not isinstance(item, dict) or not isinstance(item.get("Name"), str):
        yield "each member of Parameters must be an object with a Name and a Type"
        return
    name, kind = item["Name"], item.get("Type")
    if not re.fullmatch(r"[A-Za-z0-9\-_]{1,256}", name):
        yield f"the parameter name {name!r} must be 1 to 256 of A-Z, a-z, 0-9, - and _"
    for member in sorted(set(item) - {"Name", "Type", "DefaultValue", "EnumValues"}):
        yield f"parameter {name} has the unknown member {member}"
    if kind not in _PARAMETER_TYPES:
        yield f"parameter {name} has the Type {kind!r}; known are {', '.join(_PARAMETER_TYPES)}"
        return
    default, enum = item.get("DefaultValue"), item.get("EnumValues")
    if default is not None and not _fits(default, kind):
        yield f"parameter {name} has the DefaultValue {default!r}, which is no {kind}"
    if enum is not None and (not isinstance(enum, list) or not enum or not all(_fits(value, kind) for value in enum)):
        yield f"parameter {name} has EnumValues that are not a list of {kind} values"
    elif enum is not None and default is not None and default not in enum:
        yield f"parameter {name} has the DefaultValue {default!r}, which is not one of its EnumValues {enum}"


def _fits(value: Any, kind: str) -> bool:
    return isinstance(value, _PARAMETER_TYPES[kind]) and (kind == "Boolean" or not isinstance(value, bool))


def _parameter(item: Mapping[str, Any]) -> Parameter:
    enum = item.get("EnumValues")
    return Parameter(item["Name"], item["Type"], item.get("DefaultValue"), tuple(enum) if enum is not None else None)


def _collect(steps: Any, parent: str | None, side: bool | None, found: list[Step]) -> Iterator[str]:
    """Append the steps, depth first, to ``found``; yields problems of their form."""
    if not isinstance(steps, list):
        yield f"step {parent}: IfSteps and ElseSteps must be lists"
        return
    for raw in steps:
        if not isinstance(raw, dict) or not isinstance(raw.get("Name"), str):
            yield "each step must be an object with a Name"
            continue
        name, kind = raw["Name"], raw.get("Type")
        if not _STEP_NAME.fullmatch(name):
            yield f"the step name {name!r} must be 1 to 64 of A-Z, a-z, 0-9, - and _"
            continue
        if kind in NOT_EXECUTED:
            why = f" ({NOT_EXECUTED[kind]})" if NOT_EXECUTED[kind] else ""
            yield f"step {name}: steps of type {kind} are not supported by the local SageMaker{why}"
            continue
        if kind not in EXECUTED:
            yield f"step {name}: unknown Type {kind!r}; known are {', '.join(EXECUTED)}"
            continue
        if not isinstance(raw.get("Arguments"), dict):
            yield f"step {name}: Arguments must be an object"
            continue
        if kind == "Condition":
            branches = raw["Arguments"]
            missing = {"Conditions", "IfSteps", "ElseSteps"} ^ set(branches)
            if missing:
                yield f"step {name}: Arguments must have Conditions, IfSteps and ElseSteps, and no other member"
                continue
        found.append(Step(name, kind, raw, parent, side))
        if kind == "Condition":
            yield from _collect(branches["IfSteps"], name, True, found)
            yield from _collect(branches["ElseSteps"], name, False, found)


def _step_problems(step: Step) -> Iterator[str]:
    """What is wrong with one step by itself."""
    raw = step.raw
    for member in sorted(set(raw) - _MEMBERS[step.type]):
        yield f"a {step.type} step has no member {member}"
    yield from _depends_on_problems(raw.get("DependsOn", []))
    try:
        tuple(references([step.arguments, raw.get("FunctionArn")]))
    except BadExpression as error:
        yield str(error)
        return
    if "CacheConfig" in raw and step.type in cache.KEYS:
        yield from cache.problems(raw["CacheConfig"])
    if "RetryPolicies" in raw and step.type in _RETRIED:
        yield from retries.problems(raw["RetryPolicies"], step.type in JOB_STEPS)
    match step.type:
        case "Condition":
            yield from _condition_problems(step.arguments["Conditions"])
        case "Fail":
            message = step.arguments.get("ErrorMessage", "")
            if set(step.arguments) - {"ErrorMessage"} or not (isinstance(message, str) or is_expression(message)):
                yield "Arguments of a Fail step take ErrorMessage, a text or an expression"
        case "Lambda":
            yield from _lambda_problems(raw)
        case _:
            yield from check_request(step.type, step.arguments)
    if "PropertyFiles" in raw and step.type == "Processing":
        yield from _property_file_problems(raw)


def _depends_on_problems(names: Any) -> Iterator[str]:
    if not isinstance(names, list):
        yield "DependsOn must be a list of step names"
        return
    for name in names:
        if isinstance(name, dict) and "Trigger" in name:
            yield f"DependsOn with Trigger {name['Trigger']!r} is not supported by the local SageMaker"
        elif not isinstance(name, str):
            yield f"DependsOn must be a list of step names, not {name!r}"


def _condition_problems(found: Any) -> Iterator[str]:
    if not isinstance(found, list) or not found:
        yield "Conditions must be a list with one condition or more"
        return
    for number, condition in enumerate(found):
        yield from conditions.problems(condition, f"Conditions[{number}]")


def _lambda_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(raw.get("FunctionArn"), str) and not is_expression(raw.get("FunctionArn")):
        yield "FunctionArn is missing"
    outputs = raw.get("OutputParameters") or []
    if not isinstance(outputs, list):
        yield "OutputParameters must be a list"
        return
    names = []
    for item in outputs:
        if (
            not isinstance(item, dict)
            or set(item) != {"OutputName", "OutputType"}
            or not isinstance(item["OutputName"], str)
        ):
            yield "each member of OutputParameters must have OutputName and OutputType"
            continue
        names.append(item["OutputName"])
        if item["OutputType"] not in _OUTPUT_TYPES:
            what = f"the output {item['OutputName']} has the OutputType {item['OutputType']!r}"
            yield f"{what}; known are {', '.join(_OUTPUT_TYPES)}"
    yield from _twice("output parameter", names)
    if len(names) > 50:
        yield f"it has {len(names)} OutputParameters; at most 50 are allowed"


def _property_file_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    outputs = [
        item.get("OutputName")
        for item in (raw["Arguments"].get("ProcessingOutputConfig") or {}).get("Outputs") or []
        if isinstance(item, dict)
    ]
    for item in raw["PropertyFiles"] if isinstance(raw["PropertyFiles"], list) else [None]:
        if not isinstance(item, dict) or set(item) != {"PropertyFileName", "OutputName", "FilePath"}:
            yield "PropertyFiles must be a list of objects with PropertyFileName, OutputName and FilePath"
        elif item["OutputName"] not in outputs:
            file, output = item["PropertyFileName"], item["OutputName"]
            yield f"the property file {file} is in the output {output!r}, which the step does not have"


def _reference_problems(step: Step, definition: Definition) -> Iterator[str]:
    """References of a step to what is not there."""
    for name in step.raw.get("DependsOn", ()):
        if name not in definition.steps:
            yield f"DependsOn names the step {name}, which is not in the pipeline"
    for reference in step.references:
        name = str(reference.path[0])
        if reference.root == "Parameters":
            if name not in definition.parameters:
                known = ", ".join(definition.parameters) or "none"
                yield f"the reference {reference.text} names a parameter that is not defined; defined are: {known}"
        elif reference.root == "Execution":
            if name not in EXECUTION_VARIABLES:
                known = ", ".join(EXECUTION_VARIABLES)
                yield f"the reference {reference.text} names no execution variable; known are {known}"
        elif reference.root == "Steps":
            problem = _property_problem(reference, definition.steps.get(name))
            if problem:
                yield f"the reference {reference.text} {problem}"
        elif name not in definition.experiment:
            yield f"the reference {reference.text} names nothing of PipelineExperimentConfig"


def _property_problem(reference: Reference, target: Step | None) -> str | None:
    name, path = reference.path[0], reference.path[1:]
    if target is None:
        return f"names the step {name}, which is not in the pipeline"
    if is_property_file(reference):
        if target.type != "Processing" or path[1] not in target.property_files:
            return f"names a property file that the step {name} does not declare"
        return None
    if target.type == "Lambda":
        if len(path) != 2 or path[0] != "OutputParameters" or path[1] not in target.outputs:
            known = ", ".join(target.outputs) or "it has none"
            return f"must be OutputParameters['…'] with an output of the Lambda step: {known}"
        return None
    if target.type == "Condition":
        return None if path == ("Outcome",) else "must be Outcome: a Condition step has nothing else"
    if target.type == "Fail":
        return "names a Fail step, which has no properties"
    if not path:
        return "must name a property of the step"
    return check_property(target.type, path)
