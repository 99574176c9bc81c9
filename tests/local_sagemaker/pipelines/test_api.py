"""Operations on pipelines and executions: versions, tokens, lists, parameters, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_sagemaker.errors import ConflictException, ResourceNotFound, ValidationException
from tests.local_sagemaker.pipelines.harness import (
    ACCOUNT,
    BUCKET,
    REGION,
    ROLE,
    TOKEN,
    PipelineSageMaker,
    condition_step,
    definition,
    equals,
    run_step,
)

QUICK = [condition_step("Quick", [equals(1, 1)], [], [])]
ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/mine"


def test_create_describe_update_delete(sagemaker: PipelineSageMaker) -> None:
    assert sagemaker.create("Mine", QUICK, PipelineDescription="what for", Tags=[{"Key": "a", "Value": "b"}]) == ARN
    described = sagemaker("DescribePipeline", PipelineName="Mine")
    assert described["PipelineDefinition"] == definition(QUICK)
    assert (described["PipelineStatus"], described["PipelineName"], described["RoleArn"]) == ("Active", "Mine", ROLE)
    assert described["PipelineDescription"] == "what for"
    assert described["CreatedBy"]["IamIdentity"]["Arn"].endswith(":user/someone")
    assert sagemaker("ListTags", ResourceArn=ARN)["Tags"] == [{"Key": "a", "Value": "b"}]
    other = definition([condition_step("Other", [equals(1, 1)], [], [])])
    assert sagemaker("UpdatePipeline", PipelineName="Mine", PipelineDefinition=other) == {
        "PipelineArn": ARN, "PipelineVersionId": 2,
    }  # fmt: skip
    assert sagemaker("UpdatePipeline", PipelineName="Mine", PipelineDefinition=other)["PipelineVersionId"] == 2
    assert sagemaker("DescribePipeline", PipelineName=ARN)["PipelineDefinition"] == other
    assert sagemaker("DescribePipeline", PipelineName="Mine", PipelineVersionId=1)["PipelineDefinition"] == definition(
        QUICK
    )
    sagemaker("UpdatePipelineVersion", PipelineArn=ARN, PipelineVersionId=1, PipelineVersionDisplayName="first")
    versions = sagemaker("ListPipelineVersions", PipelineName="Mine", SortOrder="Ascending")["PipelineVersionSummaries"]
    assert [item["PipelineVersionId"] for item in versions] == [1, 2]
    assert versions[0]["PipelineVersionDisplayName"] == "first"
    sagemaker("DeletePipeline", PipelineName="Mine", ClientRequestToken=TOKEN)
    with pytest.raises(ResourceNotFound, match=f"Pipeline '{ARN}' does not exist."):
        sagemaker("DescribePipeline", PipelineName="Mine")
    assert sagemaker("DeletePipeline", PipelineName="Mine", ClientRequestToken=TOKEN) == {"PipelineArn": ARN}


def test_a_name_is_taken_and_a_token_is_idempotent(sagemaker: PipelineSageMaker) -> None:
    request = {"PipelineName": "Mine", "PipelineDefinition": definition(QUICK), "RoleArn": ROLE}
    for _ in range(2):
        assert sagemaker("CreatePipeline", ClientRequestToken=TOKEN, **request) == {"PipelineArn": ARN}
    with pytest.raises(ValidationException, match="Pipeline names must be unique within an AWS account and region"):
        sagemaker("CreatePipeline", ClientRequestToken=sagemaker.token(), **request)


def test_a_bad_definition_is_refused_at_create_and_update(sagemaker: PipelineSageMaker) -> None:
    request = {"PipelineName": "Mine", "RoleArn": ROLE, "ClientRequestToken": TOKEN}
    with pytest.raises(ValidationException, match="Either PipelineDefinition or PipelineDefinitionS3Location"):
        sagemaker("CreatePipeline", **request)
    with pytest.raises(ValidationException, match="it is not JSON"):
        sagemaker("CreatePipeline", PipelineDefinition="{", **request)
    sagemaker("CreatePipeline", PipelineDefinition=definition(QUICK), **request)
    with pytest.raises(ValidationException, match="Unable to parse pipeline definition"):
        sagemaker("UpdatePipeline", PipelineName="Mine", PipelineDefinition="{}")
    assert sagemaker("DescribePipeline", PipelineName="Mine")["PipelineDefinition"] == definition(QUICK)


def test_a_definition_in_s3(sagemaker: PipelineSageMaker) -> None:
    sagemaker.put("pipeline.json", definition(QUICK))
    request = {"PipelineName": "Mine", "RoleArn": ROLE, "ClientRequestToken": TOKEN}
    with pytest.raises(ValidationException, match="cannot be read from s3://tiny-bucket/none"):
        sagemaker(
            "CreatePipeline", PipelineDefinitionS3Location={"Bucket": BUCKET, "ObjectKey": "none.json"}, **request
        )
    sagemaker(
        "CreatePipeline", PipelineDefinitionS3Location={"Bucket": BUCKET, "ObjectKey": "pipeline.json"}, **request
    )
    assert sagemaker("DescribePipeline", PipelineName="Mine")["PipelineDefinition"] == definition(QUICK)


PARAMETERS = [
    {"Name": "Uri", "Type": "String"},
    {"Name": "Mode", "Type": "String", "DefaultValue": "a", "EnumValues": ["a", "b"]},
    {"Name": "Rows", "Type": "Integer", "DefaultValue": 1},
    {"Name": "Share", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Flag", "Type": "Boolean", "DefaultValue": True},
]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "missing: Uri"),
        (
            {"Uri": "x", "Other": "y"},
            "Unknown pipeline parameter Other. The pipeline definition has: Uri, Mode, Rows, Share, Flag.",
        ),
        (
            {"Uri": "x", "Mode": "c"},
            "The value 'c' of the pipeline parameter Mode is not one of its enum values: a, b.",
        ),
        ({"Uri": "x", "Rows": "many"}, "The value 'many' of the pipeline parameter Rows is no Integer."),
        ({"Uri": "x", "Share": "half"}, "is no Float"),
        ({"Uri": "x", "Flag": "yes"}, "is no Boolean"),
        ({"Uri": ""}, "is too short (length: 0, required minimum: 1)"),
    ],
)
def test_start_checks_its_parameters(sagemaker: PipelineSageMaker, given: dict[str, str], words: str) -> None:
    sagemaker.create("Mine", QUICK, PARAMETERS)
    with pytest.raises(ValidationException) as error:
        sagemaker.begin("Mine", given)
    assert words in error.value.message
    assert sagemaker("ListPipelineExecutions", PipelineName="Mine")["PipelineExecutionSummaries"] == []


def test_a_parameter_given_twice(sagemaker: PipelineSageMaker) -> None:
    sagemaker.create("Mine", QUICK, PARAMETERS)
    given = [{"Name": "Uri", "Value": "x"}] * 2
    with pytest.raises(ValidationException, match="Uri is given more than once"):
        sagemaker("StartPipelineExecution", PipelineName="Mine", PipelineParameters=given, ClientRequestToken=TOKEN)


def test_start_with_the_same_token_is_the_same_execution(sagemaker: PipelineSageMaker) -> None:
    sagemaker.create("Mine", QUICK)
    request: dict[str, Any] = {"PipelineName": "Mine", "ClientRequestToken": TOKEN}
    arns = {sagemaker("StartPipelineExecution", **request)["PipelineExecutionArn"] for _ in range(2)}
    assert len(arns) == 1
    (arn,) = arns
    assert arn.startswith(f"{ARN}/execution/")
    assert len(arn.rsplit("/", 1)[1]) == 12
    assert sagemaker.finish(arn)["PipelineExecutionStatus"] == "Succeeded"


def test_lists_and_descriptions(sagemaker: PipelineSageMaker) -> None:
    sagemaker.create("Mine", QUICK, PARAMETERS)
    sagemaker.create("Theirs", QUICK)
    first, _ = sagemaker.run("Mine", {"Uri": "x"}, PipelineExecutionDisplayName="one")
    second, _ = sagemaker.run("Mine", {"Uri": "y", "Share": "0.1", "Flag": "false"})
    listed = sagemaker("ListPipelineExecutions", PipelineName="Mine")["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in listed] == [second, first]
    assert listed[1]["PipelineExecutionDisplayName"] == "one"
    page = sagemaker("ListPipelineExecutions", PipelineName="Mine", MaxResults=1, SortOrder="Ascending")
    assert page["PipelineExecutionSummaries"][0]["PipelineExecutionArn"] == first
    assert (
        sagemaker("ListPipelineExecutions", PipelineName="Mine", CreatedBefore=1.0)["PipelineExecutionSummaries"] == []
    )
    values = sagemaker("ListPipelineParametersForExecution", PipelineExecutionArn=second)["PipelineParameters"]
    assert {item["Name"]: item["Value"] for item in values} == {
        "Uri": "y", "Mode": "a", "Rows": "1", "Share": "0.1", "Flag": "false",
    }  # fmt: skip
    text = sagemaker("DescribePipelineDefinitionForExecution", PipelineExecutionArn=first)["PipelineDefinition"]
    assert json.loads(text)["Parameters"] == PARAMETERS
    names = [
        item["PipelineName"]
        for item in sagemaker("ListPipelines", SortBy="Name", SortOrder="Ascending")["PipelineSummaries"]
    ]
    assert names == ["Mine", "Theirs"]
    summary = sagemaker("ListPipelines", PipelineNamePrefix="Mi")["PipelineSummaries"]
    assert [item["PipelineName"] for item in summary] == ["Mine"]
    assert summary[0]["LastExecutionTime"] > 0


def test_an_execution_keeps_the_definition_it_was_started_with(sagemaker: PipelineSageMaker) -> None:
    sagemaker.create("Mine", QUICK)
    sagemaker("UpdatePipeline", PipelineName="Mine", PipelineDefinition=definition([run_step("Slow")]))
    arn, _ = sagemaker.run("Mine", PipelineVersionId=1)
    assert list(sagemaker.steps(arn)) == ["Quick"]
    assert sagemaker("DescribePipelineExecution", PipelineExecutionArn=arn)["PipelineVersionId"] == 1


def test_what_is_not_there_or_not_possible_now(sagemaker: PipelineSageMaker) -> None:
    with pytest.raises(ResourceNotFound, match="does not exist"):
        sagemaker.begin("Nothing")
    with pytest.raises(ResourceNotFound, match="does not exist"):
        sagemaker("DescribePipelineExecution", PipelineExecutionArn=f"{ARN}/execution/none")
    sagemaker.create("Mine", QUICK)
    arn, _ = sagemaker.run("Mine")
    with pytest.raises(ValidationException, match="is Succeeded; only one that is Executing can be stopped"):
        sagemaker("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=TOKEN)
    with pytest.raises(ValidationException, match="is Succeeded; only one that is Failed or Stopped can be retried"):
        sagemaker("RetryPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=TOKEN)
    with pytest.raises(ValidationException, match="no callback steps here"):
        sagemaker("SendPipelineExecutionStepSuccess", CallbackToken="a" * 10)
    config = {"SelectedSteps": [{"StepName": "Quick"}]}
    with pytest.raises(ValidationException, match="SelectiveExecutionConfig is not supported"):
        sagemaker.begin("Mine", SelectiveExecutionConfig=config)


def test_a_pipeline_that_runs_cannot_be_deleted(sagemaker: PipelineSageMaker) -> None:
    sagemaker.create("Mine", [run_step("Long", "exec sleep 600")])
    arn = sagemaker.begin("Mine")
    with pytest.raises(ConflictException, match="1 running execution"):
        sagemaker("DeletePipeline", PipelineName="Mine", ClientRequestToken=TOKEN)
    sagemaker("UpdatePipelineExecution", PipelineExecutionArn=arn, PipelineExecutionDescription="enough")
    sagemaker("StopPipelineExecution", PipelineExecutionArn=arn, ClientRequestToken=TOKEN)
    assert sagemaker.finish(arn)["PipelineExecutionDescription"] == "enough"
    sagemaker("DeletePipeline", PipelineName="Mine", ClientRequestToken=sagemaker.token())
    for kind in ("pipeline", "pipeline-version", "pipeline-execution", "pipeline-step", "pipeline-cache"):
        assert sagemaker.platform.store.list(kind) == []
