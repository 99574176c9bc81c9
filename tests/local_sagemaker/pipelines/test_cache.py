"""The step cache: hits, misses, expiry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.pipelines import cache
from tests.local_sagemaker.jobs.harness import channel, s3_input, s3_output
from tests.local_sagemaker.pipelines.harness import (
    BUCKET,
    PipelineSageMaker,
    get,
    join,
    lambda_step,
    run_step,
    train_step,
)

CACHED = {"CacheConfig": {"Enabled": True, "ExpireAfter": "PT1H"}}
PARAMETERS = [
    {"Name": "Input", "Type": "String", "DefaultValue": f"s3://{BUCKET}/in/"},
    {"Name": "Level", "Type": "String", "DefaultValue": "1"},
    {"Name": "Label", "Type": "String", "DefaultValue": "a"},
]


@pytest.fixture
def steps(tmp_path: Path) -> list[dict[str, Any]]:
    """Make -> Fit; each writes a line to a file of its name when it really runs."""
    made = join(f"s3://{BUCKET}/runs", get("Execution.PipelineExecutionId"), "made", on="/")
    make = run_step(
        "Make", f"echo >> {tmp_path}/make; echo 1 > /opt/ml/processing/output/out/f",
        Arguments={
            "ProcessingInputs": [s3_input("in", get("Parameters.Input"))],  # type: ignore[arg-type]
            "Environment": {"LEVEL": get("Parameters.Level")},
            "ProcessingOutputConfig": {"Outputs": [s3_output("out", made)]},  # type: ignore[arg-type]
            "Tags": [{"Key": "label", "Value": get("Parameters.Label")}],
        },
        **CACHED,
    )  # fmt: skip
    output = get("Steps.Make.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri")
    fit = train_step("Fit", f"echo >> {tmp_path}/fit", Arguments={"InputDataConfig": [channel("c", output)]}, **CACHED)  # type: ignore[arg-type]
    return [make, fit]


def _runs(tmp_path: Path) -> tuple[int, int]:
    return tuple((tmp_path / name).read_text().count("\n") for name in ("make", "fit"))  # type: ignore[return-value]


def test_the_same_request_again_is_a_hit(sagemaker: PipelineSageMaker, steps: Any, tmp_path: Path) -> None:
    """The second step hits too: its input is the first execution's output, though output URIs carry execution ids."""
    sagemaker.put("in/x", "1")
    sagemaker.create("Cached", steps, PARAMETERS)
    first, _ = sagemaker.run("Cached")
    second, execution = sagemaker.run("Cached", {"Label": "b"})  # tags do not count
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert _runs(tmp_path) == (1, 1)
    before, after = sagemaker.steps(first), sagemaker.steps(second)
    for name in ("Make", "Fit"):
        assert after[name]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
        assert after[name]["Metadata"] == before[name]["Metadata"]
        assert "CacheHitResult" not in before[name]
    third, _ = sagemaker.run("Cached")
    assert sagemaker.steps(third)["Fit"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}


@pytest.mark.parametrize("change", [{"Level": "2"}, {"Input": f"s3://{BUCKET}/in2/"}])
def test_another_input_or_variable_is_a_miss(
    sagemaker: PipelineSageMaker, steps: Any, tmp_path: Path, change: Any
) -> None:
    sagemaker.put("in/x", "1")
    sagemaker.put("in2/x", "1")
    sagemaker.create("Cached", steps, PARAMETERS)
    sagemaker.run("Cached")
    sagemaker.run("Cached", change)
    assert _runs(tmp_path) == (2, 2)


def test_the_cache_expires_on_the_servers_clock(sagemaker: PipelineSageMaker, steps: Any, tmp_path: Path) -> None:
    sagemaker.put("in/x", "1")
    sagemaker.create("Cached", steps, PARAMETERS)
    sagemaker.run("Cached")
    sagemaker.platform.clock.advance(3700)
    sagemaker.run("Cached")
    assert _runs(tmp_path) == (2, 2)


def test_failed_steps_other_pipelines_and_no_cache_do_not_count(sagemaker: PipelineSageMaker, tmp_path: Path) -> None:
    flaky = run_step("Flaky", f"echo >> {tmp_path}/n; test -e {tmp_path}/fixed", **CACHED)
    sagemaker.create("One", [flaky])
    sagemaker.run("One")
    (tmp_path / "fixed").touch()
    sagemaker.run("One")
    sagemaker.create("Two", [flaky])
    sagemaker.run("Two")
    off = {**flaky, "CacheConfig": {"Enabled": False}}
    sagemaker.create("Off", [off])
    for _ in range(2):
        sagemaker.run("Off")
    assert (tmp_path / "n").read_text().count("\n") == 5


def test_a_deleted_job_is_still_a_hit(sagemaker: PipelineSageMaker, tmp_path: Path) -> None:
    sagemaker.create("Cached", [run_step("Make", f"echo >> {tmp_path}/n", **CACHED)])
    first, _ = sagemaker.run("Cached")
    (record,) = sagemaker.platform.store.list("processing-job")
    sagemaker("DeleteProcessingJob", ProcessingJobName=record.name)
    second, _ = sagemaker.run("Cached")
    assert sagemaker.steps(second)["Make"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}


def test_a_lambda_step_is_cached_by_its_arguments(sagemaker: PipelineSageMaker) -> None:
    source = "import time\ndef handler(event, context):\n    return {'now': str(time.time_ns())}\n"
    step = lambda_step(
        "Ask", sagemaker.function("now", source), {"level": get("Parameters.Level")}, {"now": "String"}, **CACHED
    )
    sagemaker.create("Cached", [step], PARAMETERS)
    answers = []
    for level in ("1", "1", "2"):
        arn, _ = sagemaker.run("Cached", {"Level": level})
        answers.append(sagemaker.steps(arn)["Ask"]["Metadata"]["Lambda"]["OutputParameters"][0]["Value"])
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("P30D", 30 * 86400),
        ("p30d", 30 * 86400),
        ("PT1H", 3600),
        ("T12H", 43200),
        ("30dT5h", 30 * 86400 + 18000),
        ("P1Y2M1W", 365 * 86400 + 60 * 86400 + 604800),
        ("PT1M", 60),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert cache.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "1", "P1", "one day", "P-1D"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        cache.seconds(text)
