"""What the local SageMaker adds to its steps' own time.

Two measures, each on a server of its own:

- 50 trivial processing steps (the program is `true`), as a chain and side by side: all of the time is overhead;
- a chain of steps that each sleep for a known time: the execution's time less the sum of the sleeps, in per cent.

`--quick` measures each once instead of three times; the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
import urllib3

from local_sagemaker import control

ACCOUNT, REGION = "123456789012", "eu-west-1"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/trivial:1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/benchmark"
STEPS = 50
SLEEPS, SLEEP_SECONDS = 5, 4


def step(number: int, command: list[str], after: str | None) -> dict[str, Any]:
    """One processing step of a definition."""
    made: dict[str, Any] = {
        "Name": f"S{number}",
        "Type": "Processing",
        "Arguments": {
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": command},
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            "RoleArn": ROLE,
        },
    }
    return {**made, "DependsOn": [after]} if after else made


def definition(count: int, command: list[str], *, chain: bool) -> str:
    """A pipeline of ``count`` equal steps."""
    steps = [step(number, command, f"S{number - 1}" if chain and number else None) for number in range(count)]
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps})


class Server:
    """A local SageMaker with one bound image."""

    def __init__(self, folder: Path) -> None:
        self.info = control.start(folder, ACCOUNT, REGION)
        self.folder = folder
        session = boto3.Session("test", "test", region_name=REGION)
        self.sagemaker = session.client("sagemaker", endpoint_url=self.info.endpoint_url)
        iam = session.client("iam", endpoint_url=self.info.endpoint_url)
        trusted = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = {"Version": "2012-10-17", "Statement": [trusted]}
        iam.create_role(RoleName="benchmark", AssumeRolePolicyDocument=json.dumps(trust))
        binding = {"pattern": IMAGE, "entrypoint": ["/bin/true"], "environment": {}, "working_dir": str(folder)}
        url = f"{self.info.endpoint_url}/_local/images"
        answer = urllib3.request("PUT", url, json=binding)
        if answer.status != 200:
            raise SystemExit(f"the image could not be bound: {answer.data.decode()}")

    def run(self, name: str, text: str) -> float:
        """Wall seconds of one execution, by its own start and end."""
        self.sagemaker.create_pipeline(
            PipelineName=name, PipelineDefinition=text, RoleArn=ROLE, ClientRequestToken=f"create-{name}".ljust(32, "0")
        )
        arn = self.sagemaker.start_pipeline_execution(
            PipelineName=name, ClientRequestToken=f"start-{name}".ljust(32, "0")
        )["PipelineExecutionArn"]
        while True:
            about = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            if about["PipelineExecutionStatus"] != "Executing":
                break
            time.sleep(0.2)
        if about["PipelineExecutionStatus"] != "Succeeded":
            steps = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
            reasons = [step["FailureReason"] for step in steps if "FailureReason" in step]
            raise SystemExit(f"the execution ended {about['PipelineExecutionStatus']}: {reasons or about}")
        seconds: float = (about["LastModifiedTime"] - about["CreationTime"]).total_seconds()
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="once instead of three times")
    options = parser.parse_args()
    rounds = 1 if options.quick else 3
    found: dict[str, list[float]] = {"chain": [], "fan": [], "long": []}
    true = shutil.which("true") or "true"
    sleep = [shutil.which("sleep") or "sleep", str(SLEEP_SECONDS)]
    with tempfile.TemporaryDirectory(prefix="local-sagemaker-") as name:
        server = Server(Path(name))
        try:
            for number in range(rounds):
                found["chain"].append(server.run(f"chain-{number}", definition(STEPS, [true], chain=True)))
                found["fan"].append(server.run(f"fan-{number}", definition(STEPS, [true], chain=False)))
                found["long"].append(server.run(f"long-{number}", definition(SLEEPS, sleep, chain=True)))
        finally:
            control.stop(Path(name))
    own = SLEEPS * SLEEP_SECONDS
    result = {
        "benchmark": "local_overhead",
        "trivial_steps": STEPS,
        "chain_ms_per_step": round(statistics.median(found["chain"]) / STEPS * 1000, 1),
        "fan_ms_per_step": round(statistics.median(found["fan"]) / STEPS * 1000, 1),
        "long_overhead_percent": round((statistics.median(found["long"]) - own) / own * 100, 2),
        "load": round(os.getloadavg()[0], 1),
    }
    for key, value in result.items():
        print(f"{key:<24} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
