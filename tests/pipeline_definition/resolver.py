"""Placeholders of a pipeline definition, resolved as SageMaker would while the execution runs.

Every step gets the answer that its Describe operation would give, made up from its own resolved request; so a request
that refers to an earlier step becomes the very request that SageMaker would send.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

EXECUTION_ID = "abcdefghijkl"
#: What the deployer answers; a value for each output that the definition may name.
HASH = "0f" * 32
LAMBDA_OUTPUTS = {
    "champion_uri": "s3://b/release/no-champion/",
    "package_arn": "",
    "package_uri": f"s3://b/packages/{HASH}/",
    "model_uri": f"s3://b/packages/{HASH}/model.tar.gz",
    "evaluation_file_uri": f"s3://b/packages/{HASH}/evaluation.json",
    "report_uri": f"s3://b/packages/{HASH}/report.html",
    "model_card_uri": f"s3://b/packages/{HASH}/model_card.json",
    "bundle_hash": HASH,
    "dataset_hash": HASH,
    "source_hash": HASH,
    "protocol": "group",
    "precision": "float32",
    "known": "",
    "known_status": "",
    "evaluation_sha256": HASH,
    "report_sha256": HASH,
    "champion_bundle_hash": "none",
}
VERDICT = {"gate.outcome": "register", "gate.message": "All limits hold."}

_STEP = re.compile(r"Steps\.(?P<step>[A-Za-z0-9_-]+)\.(?P<path>.+)")
_PART = re.compile(r"\['(?P<key>[^']+)'\]|\[(?P<index>\d+)\]|\.?(?P<name>[A-Za-z0-9_]+)")


class Resolver:
    """Resolves the steps of ``definition`` in order of appearance.

    Args:
        definition: the parsed definition.
        values: start parameters; a declared default fills in for what is not there.
        cached: step -> the answer of an earlier run that the step cache found.
    """

    def __init__(
        self,
        definition: dict[str, Any],
        values: dict[str, str],
        *,
        execution_id: str = EXECUTION_ID,
        cached: Mapping[str, Any] | None = None,
    ) -> None:
        self.execution_id = execution_id
        self.execution = {
            "PipelineExecutionId": execution_id,
            "PipelineExecutionArn": f"arn:aws:sagemaker:us-east-1:111122223333:pipeline/p/execution/{execution_id}",
            "PipelineName": "p",
        }
        self.parameters = {p["Name"]: values.get(p["Name"], p.get("DefaultValue")) for p in definition["Parameters"]}
        missing = [name for name, value in self.parameters.items() if value is None]
        assert not missing, f"no value for {missing}"
        self.answers: dict[str, Any] = {}
        self.requests: dict[str, tuple[str, Any]] = {}
        for step in steps(definition):
            request = step["Arguments"] if step["Type"] == "Condition" else self.value(step["Arguments"])
            self.requests[step["Name"]] = (step["Type"], request)
            self.answers[step["Name"]] = (cached or {}).get(step["Name"]) or self._answer(step, request)

    def value(self, node: Any) -> Any:
        """``node`` without placeholders."""
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, dict):
            return node
        if set(node) == {"Get"}:
            return self._get(node["Get"])
        if set(node) == {"Std:Join"}:
            parts = [self.value(part) for part in node["Std:Join"]["Values"]]
            return node["Std:Join"]["On"].join(str(part) for part in parts)
        if set(node) == {"Std:JsonGet"}:
            assert re.fullmatch(r"Steps\.\w+\.PropertyFiles\.\w+", node["Std:JsonGet"]["PropertyFile"]["Get"])
            return VERDICT[node["Std:JsonGet"]["Path"]]
        return {key: self.value(item) for key, item in node.items()}

    def _get(self, expression: str) -> Any:
        kind, _, rest = expression.partition(".")
        if kind == "Parameters":
            return self.parameters[rest]
        if kind == "Execution":
            return self.execution[rest]
        match = _STEP.fullmatch(expression)
        assert match, expression
        answer = self.answers[match["step"]]
        for part in _PART.finditer(match["path"]):
            answer = answer[int(part["index"])] if part["index"] else answer[part["key"] or part["name"]]
        return answer

    def _answer(self, step: dict[str, Any], request: Any) -> Any:
        match step["Type"]:
            case "Processing":
                outputs = {output["OutputName"]: output for output in request["ProcessingOutputConfig"]["Outputs"]}
                return {"ProcessingOutputConfig": {"Outputs": outputs}}
            case "Training":
                base = request["OutputDataConfig"]["S3OutputPath"]
                uri = f"{base}/pipelines-{self.execution_id}-{step['Name']}-0123456789/output/model.tar.gz"
                return {"ModelArtifacts": {"S3ModelArtifacts": uri}}
            case "Lambda":
                names = [output["OutputName"] for output in step["OutputParameters"]]
                return {"OutputParameters": {name: LAMBDA_OUTPUTS[name] for name in names}}
            case "RegisterModel":
                group = request["ModelPackageGroupName"]
                return {"ModelPackageArn": f"arn:aws:sagemaker:us-east-1:111122223333:model-package/{group}/1"}
        return {}


def steps(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every step of ``definition``, an enclosing condition before what it encloses."""
    yield from _below(definition["Steps"])


def _below(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in listed:
        yield step
        if step["Type"] == "Condition":
            yield from _below(step["Arguments"]["IfSteps"])
            yield from _below(step["Arguments"]["ElseSteps"])


def references(node: Any) -> Iterator[str]:
    """Every ``Get`` expression in ``node``, those of steps inside a condition's branches left out."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "Get" and isinstance(value, str):
                yield value
            elif key not in ("IfSteps", "ElseSteps"):
                yield from references(value)
