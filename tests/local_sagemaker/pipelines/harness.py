"""Pipelines on the parts of :mod:`tests.local_sagemaker.jobs.harness`, and how tests write tiny definitions."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from local_sagemaker.pipelines import Executions
from local_sagemaker.pipelines import events as pipeline_events
from tests.local_sagemaker.jobs.harness import (
    ACCOUNT,
    BUCKET,
    IMAGE,
    PATIENCE,
    REGION,
    ROLE,
    LocalSageMaker,
    processing,
    training,
)

TOKEN = "0123456789abcdef0123456789abcdef"


class PipelineSageMaker(LocalSageMaker):
    """A :class:`LocalSageMaker` that also interprets pipelines."""

    def __init__(self, state_dir: Path, parallel: int = 2) -> None:
        super().__init__(state_dir, parallel)
        self.platform.executions = self.executions = Executions(self.platform)
        self._tokens = 0
        self._changed = threading.Event()
        self._publish = self.platform.events.publish
        self.platform.events.publish = self._tell  # type: ignore[method-assign]

    def start(self) -> None:
        super().start()
        self.executions.start()

    def stop(self) -> None:
        self.executions.stop()
        super().stop()

    def crash(self) -> None:
        """What ``kill -9`` leaves: nothing more is stored, the children are gone."""
        self.executions._closing.set()
        self.executions._inbox.put(None)
        self.jobs.stop()
        for child in self.platform.children.running():
            child.kill()
            child.wait(10)
        self.executions.stop()
        self.platform.events.stop()
        self.platform.lambdas.stop()
        self.platform.metrics.close()
        self.platform.store.close()

    def _tell(self, *args: Any, **more: Any) -> str:
        identity = self._publish(*args, **more)
        self._changed.set()
        return identity

    def token(self) -> str:
        self._tokens += 1
        return f"{self._tokens:032d}"

    def create(self, name: str, steps: list[dict[str, Any]], parameters: list[dict[str, Any]] = (), **more: Any) -> str:  # type: ignore[assignment]
        answer = self(
            "CreatePipeline", PipelineName=name, PipelineDefinition=definition(steps, parameters), RoleArn=ROLE,
            ClientRequestToken=self.token(), **more,
        )  # fmt: skip
        return str(answer["PipelineArn"])

    def begin(self, name: str, parameters: dict[str, str] | None = None, **more: Any) -> str:
        given = [{"Name": key, "Value": value} for key, value in (parameters or {}).items()]
        answer = self(
            "StartPipelineExecution",
            PipelineName=name,
            PipelineParameters=given,
            ClientRequestToken=self.token(),
            **more,
        )
        return str(answer["PipelineExecutionArn"])

    def status(self, arn: str) -> str:
        return str(self("DescribePipelineExecution", PipelineExecutionArn=arn)["PipelineExecutionStatus"])

    def finish(self, arn: str) -> dict[str, Any]:
        """The execution's description once it has ended."""
        self.when(lambda: self.status(arn) not in ("Executing", "Stopping"), f"the end of {arn}")
        return self("DescribePipelineExecution", PipelineExecutionArn=arn)

    def run(self, name: str, parameters: dict[str, str] | None = None, **more: Any) -> tuple[str, dict[str, Any]]:
        arn = self.begin(name, parameters, **more)
        return arn, self.finish(arn)

    def when(self, condition: Any, what: str) -> None:
        """Wait for something that an event tells."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self._changed.clear()
            if condition():
                return
            assert self._changed.wait(deadline - time.monotonic()), f"{what} never came"

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        """The steps that have started, in order of start, by name."""
        listed = self("ListPipelineExecutionSteps", PipelineExecutionArn=arn, SortOrder="Ascending", MaxResults=100)
        return {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}

    def statuses(self, arn: str) -> dict[str, str]:
        return {name: step["StepStatus"] for name, step in self.steps(arn).items()}

    def function(self, name: str, source: str, timeout: int = 10) -> str:
        """A Lambda function from Python source with ``handler(event, context)``; returns its ARN."""
        from moto.awslambda.models import lambda_backends

        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            archive.writestr("main.py", source)
        lambda_backends[ACCOUNT][REGION].create_function({
            "FunctionName": name, "Runtime": "python3.11", "Role": ROLE, "Handler": "main.handler",
            "Code": {"ZipFile": base64.b64encode(body.getvalue()).decode()}, "Timeout": timeout, "MemorySize": 128,
            "Publish": False, "PackageType": "Zip",
        })  # fmt: skip
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"

    def step_events(self) -> list[tuple[str, str]]:
        found = self.events(pipeline_events.STEP)
        return [(event["detail"]["stepName"], event["detail"]["currentStepStatus"]) for event in found]


def definition(steps: list[dict[str, Any]], parameters: list[dict[str, Any]] = (), **more: Any) -> str:  # type: ignore[assignment]
    document = {"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "Steps": steps, **more}
    return json.dumps(document)


def run_step(name: str, script: str = "true", **more: Any) -> dict[str, Any]:
    """A Processing step that runs a shell script; ``Arguments`` are merged into its request."""
    request = processing("x", script, **more.pop("Arguments", {}))
    del request["ProcessingJobName"]
    return {"Name": name, "Type": "Processing", "Arguments": request, **more}


def train_step(name: str, script: str = "true", **more: Any) -> dict[str, Any]:
    request = training("x", script, **more.pop("Arguments", {}))
    del request["TrainingJobName"]
    return {"Name": name, "Type": "Training", "Arguments": request, **more}


def condition_step(
    name: str, conditions: list[Any], if_steps: list[Any], else_steps: list[Any], **more: Any
) -> dict[str, Any]:
    arguments = {"Conditions": conditions, "IfSteps": if_steps, "ElseSteps": else_steps}
    return {"Name": name, "Type": "Condition", "Arguments": arguments, **more}


def equals(left: Any, right: Any) -> dict[str, Any]:
    return {"Type": "Equals", "LeftValue": left, "RightValue": right}


def lambda_step(name: str, arn: str, arguments: dict[str, Any], outputs: dict[str, str], **more: Any) -> dict[str, Any]:
    declared = [{"OutputName": key, "OutputType": kind} for key, kind in outputs.items()]
    return {
        "Name": name, "Type": "Lambda", "FunctionArn": arn, "Arguments": arguments, "OutputParameters": declared, **more
    }  # fmt: skip


def fail_step(name: str, message: Any, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}, **more}


def get(path: str) -> dict[str, str]:
    return {"Get": path}


def join(*values: Any, on: str = "") -> dict[str, Any]:
    return {"Std:Join": {"On": on, "Values": list(values)}}


def json_get(step: str, file: str, path: str) -> dict[str, Any]:
    return {"Std:JsonGet": {"PropertyFile": get(f"Steps.{step}.PropertyFiles.{file}"), "Path": path}}


__all__ = [
    "ACCOUNT", "BUCKET", "IMAGE", "REGION", "ROLE", "TOKEN", "PipelineSageMaker", "condition_step", "definition",
    "equals", "fail_step", "get", "join", "json_get", "lambda_step", "run_step", "train_step",
]  # fmt: skip
