"""What checks work with: names of this run, what they made, jobs and pipelines that run small scripts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from contracts import source
from contracts.s3uri import S3Uri
from cv_factory.operations import pipeline
from cv_factory.operations.unproved.check import NotHere, fail
from cv_factory.operations.unproved.ledger import Ledger

if TYPE_CHECKING:
    from contracts.names import Names
    from cv_factory.session import Target

#: The scripts that run in containers.
CONTAINERS = Path(__file__).with_name("containers")
_CODE = "/opt/ml/processing/input/code"
_TRAINING_CODE = "/opt/ml/input/data/code"
#: How the reason of a job begins for which AWS had no instance.
_NO_CAPACITY = "CapacityError"
T = TypeVar("T")


@dataclass
class Bench:
    """One run's workplace in an account.

    Attributes:
        run: six characters of 0-9 and a-f; part of the name of all that this run makes.
        say: tells a person what is waited for.
        pause: seconds between two looks at something that is under way.
        shared: what checks of one group made for each other, by the group's name.
    """

    target: Target
    ledger: Ledger
    run: str
    say: Callable[[str], None]
    pause: float
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        return self.target.settings.names

    @property
    def tags(self) -> list[dict[str, str]]:
        given = {**self.names.tags, "Purpose": "unproved"}
        return [{"Key": key, "Value": value} for key, value in sorted(given.items())]

    def client(self, service: str) -> Any:
        return self.target.client(service)

    def name(self, word: str) -> str:
        """The name of something of this run."""
        return f"{self.names.prefix}-unproved-{self.run}-{word}"

    def make(self, kind: str, word: str) -> str:
        """The name of a thing that the caller is about to make; it is in the ledger from here on."""
        return self.ledger.add(kind, self.name(word))

    def until(self, question: Callable[[], T | None], what: str, minutes: float) -> T:
        """Ask until there is an answer.

        Raises:
            Fails: none came in time; says for what was waited.
        """
        deadline = time.monotonic() + 60 * minutes
        while True:
            answer = question()
            if answer is not None:
                return answer
            if time.monotonic() > deadline:
                fail(f"{what} did not happen within {minutes:g} minutes")
            time.sleep(self.pause)

    # --- objects and images -------------------------------------------------------------------------------------------

    def put(self, key: str, body: bytes, below: str = "runs/") -> S3Uri:
        """Write an object of this run below ``runs/``, where jobs write, or ``packages/``, where endpoints read."""
        prefix = self.prefix(below)
        self.client("s3").put_object(Bucket=self.names.artifact_bucket, Key=prefix + key, Body=body)
        return self.names.artifacts(prefix + key)

    def prefix(self, below: str = "runs/") -> str:
        """Where this run's objects are."""
        return self.ledger.add("objects", f"{below}unproved-{self.run}/")

    def keys(self, prefix: str) -> list[str]:
        pages = self.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.names.artifact_bucket, Prefix=prefix)
        return [one["Key"] for page in found for one in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        body: bytes = self.client("s3").get_object(Bucket=self.names.artifact_bucket, Key=key)["Body"].read()
        return body

    def image(self, image: str) -> str:
        """The URI, by tag, of ``training`` or ``inference`` as the sources of this checkout are.

        Raises:
            NotHere: it is not in the registry.
        """
        repository, tag = self.names.repository(image), source.source_tag(image)
        if pipeline.find_image(self.target, repository, tag) is None:
            raise NotHere(f"the image {repository}:{tag} is not in the registry: make images ENV={self.names.env}")
        return self.names.image(repository, tag=tag)

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def script(self, name: str) -> str:
        """Upload a script of :data:`CONTAINERS`; the URI of the folder that holds it alone."""
        self.put(f"code/{name}/{name}.py", (CONTAINERS / f"{name}.py").read_bytes())
        return str(self.names.artifacts(f"{self.prefix()}code/{name}/"))

    def processing(
        self,
        script: str,
        *arguments: str,
        inputs: Sequence[Mapping[str, Any]] = (),
        output: str = "",
        instances: int = 1,
        minutes: float = 10,
    ) -> dict[str, Any]:
        """The arguments of a processing job that runs a script in the training image; a pipeline's step takes them too.

        Args:
            output: a prefix; what the script writes to ``/opt/ml/processing/output/out`` goes there.
        """
        settings = self.target.settings
        code = {"InputName": "code", "S3Input": _s3_input(self.script(script), "code")}
        request: dict[str, Any] = {
            "RoleArn": settings.role_arn("job"),
            "AppSpecification": {
                "ImageUri": self.image("training"),
                "ContainerEntrypoint": ["python", f"{_CODE}/{script}.py"],
            },
            "ProcessingInputs": [code, *inputs],
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": instances,
                    "InstanceType": settings.training.instance_type,
                    "VolumeSizeInGB": settings.training.volume_gb,
                }
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": int(60 * minutes)},
            "Tags": self.tags,
        }
        if arguments:
            request["AppSpecification"]["ContainerArguments"] = list(arguments)
        if output:
            target = {"S3Uri": output, "LocalPath": "/opt/ml/processing/output/out", "S3UploadMode": "EndOfJob"}
            request["ProcessingOutputConfig"] = {"Outputs": [{"OutputName": "out", "S3Output": target}]}
        return request

    def run_processing(self, word: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run a processing job to its end; its description."""
        name = self.make("processing-job", word)
        self.client("sagemaker").create_processing_job(ProcessingJobName=name, **request)
        return self._ended("processing", name, request["StoppingCondition"]["MaxRuntimeInSeconds"] / 60)

    def run_training(self, word: str, script: str, *, minutes: float = 10, **more: Any) -> dict[str, Any]:
        """Run a script in the training image as a training job; the job's description at its end.

        Args:
            more: further members of the request; ``InstanceType`` replaces the settings' one.
        """
        settings = self.target.settings
        name = self.make("training-job", word)
        code = {"S3DataType": "S3Prefix", "S3Uri": self.script(script), "S3DataDistributionType": "FullyReplicated"}
        request: dict[str, Any] = {
            "RoleArn": settings.role_arn("job"),
            "AlgorithmSpecification": {
                "TrainingImage": self.image("training"),
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python", f"{_TRAINING_CODE}/{script}.py"],
            },
            "InputDataConfig": [{"ChannelName": "code", "DataSource": {"S3DataSource": code}}],
            "OutputDataConfig": {"S3OutputPath": str(self.names.artifacts(f"{self.prefix()}{word}"))},
            "ResourceConfig": {
                "InstanceCount": 1,
                "InstanceType": more.pop("InstanceType", settings.training.instance_type),
                "VolumeSizeInGB": settings.training.volume_gb,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": int(60 * minutes)},
            "Tags": self.tags,
            **more,
        }
        self.client("sagemaker").create_training_job(TrainingJobName=name, **request)
        return self._ended("training", name, minutes)

    def run_transform(self, word: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run a transform job to its end; its description."""
        name = self.make("transform-job", word)
        self.client("sagemaker").create_transform_job(TransformJobName=name, Tags=self.tags, **request)
        return self._ended("transform", name, TRANSFORM_MINUTES)

    def _ended(self, kind: str, name: str, minutes: float) -> dict[str, Any]:
        """A job's description once it has ended; waiting for its instance may take longer than the job."""
        member, describe = kind.capitalize(), getattr(self.client("sagemaker"), f"describe_{kind}_job")
        self.say(f"  {kind} job {name}")

        def look() -> dict[str, Any] | None:
            about: dict[str, Any] = describe(**{f"{member}JobName": name})
            return about if about[f"{member}JobStatus"] not in ("InProgress", "Stopping") else None

        about = self.until(look, f"the end of the {kind} job {name}", minutes + STARTING_MINUTES)
        if str(about.get("FailureReason", "")).startswith(_NO_CAPACITY):
            raise NotHere(about["FailureReason"])
        return about

    # --- pipelines ----------------------------------------------------------------------------------------------------

    def create_pipeline(self, word: str, definition: Mapping[str, Any] | str, role_arn: str = "") -> str:
        """Create a pipeline of this run; its name."""
        name = self.make("pipeline", word)
        text = definition if isinstance(definition, str) else json.dumps(definition)
        self.client("sagemaker").create_pipeline(
            PipelineName=name,
            PipelineDefinition=text,
            RoleArn=role_arn or self.target.settings.role_arn("pipeline"),
            Tags=self.tags,
        )
        return name

    def execute(self, name: str, minutes: float, parameters: Mapping[str, str] | None = None) -> Execution:
        """Run a pipeline once, to its end."""
        sagemaker = self.client("sagemaker")
        given = [{"Name": key, "Value": value} for key, value in sorted((parameters or {}).items())]
        arn = sagemaker.start_pipeline_execution(PipelineName=name, PipelineParameters=given)["PipelineExecutionArn"]
        execution = arn.rsplit("/", 1)[1]
        self.ledger.add("objects", f"runs/{execution}/")
        self.say(f"  execution {execution} of pipeline {name}")

        def look() -> dict[str, Any] | None:
            about: dict[str, Any] = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            return about if about["PipelineExecutionStatus"] not in ("Executing", "Stopping") else None

        about = self.until(look, f"the end of the execution {execution} of {name}", minutes + STARTING_MINUTES)
        listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, MaxResults=100)
        steps = {step["StepName"]: step for step in listed["PipelineExecutionSteps"]}
        return Execution(arn, about["PipelineExecutionStatus"], about.get("FailureReason", ""), steps)


#: Minutes that an instance may take to come, beside the job's own time: nothing is paid for them.
STARTING_MINUTES = 20
#: Minutes within which a transform job of a few small inputs ends; it is stopped then.
TRANSFORM_MINUTES = 15


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution that has ended; ``steps`` by name, those that were started."""

    arn: str
    status: str
    reason: str
    steps: dict[str, dict[str, Any]]

    def status_of(self, step: str) -> str:
        return str(self.steps.get(step, {}).get("StepStatus", "not started"))

    def is_cache_hit(self, step: str) -> bool:
        return bool(self.steps.get(step, {}).get("CacheHitResult"))

    def __str__(self) -> str:
        told = [
            f"{name}: {step.get('StepStatus')}{' (cache hit)' if step.get('CacheHitResult') else ''}"
            f"{', ' + step['FailureReason'] if step.get('FailureReason') else ''}"
            for name, step in self.steps.items()
        ]
        return f"{self.status}{', ' + self.reason if self.reason else ''}; {'; '.join(told) or 'no step'}"


def definition(*steps: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A pipeline definition."""
    return {"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "Steps": list(steps)}


def s3_input(name: str, uri: Any, **more: str) -> dict[str, Any]:
    """A processing job's input below ``/opt/ml/processing/input``."""
    return {"InputName": name, "S3Input": _s3_input(uri, name, **more)}


def _s3_input(uri: Any, name: str, **more: str) -> dict[str, Any]:
    return {
        "S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{name}", "S3DataType": "S3Prefix", "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated", **more,
    }  # fmt: skip
