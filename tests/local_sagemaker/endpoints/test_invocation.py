"""InvokeEndpoint: headers, errors, limits, shares."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.local_sagemaker.endpoints.harness import Local


@pytest.fixture(scope="module")
def endpoint(local: Local) -> Iterator[str]:
    name = local.serving()
    yield name
    local.delete(name)


def test_headers_go_in_and_out(local: Local, endpoint: str) -> None:
    answer = local.runtime.invoke_endpoint(
        EndpointName=endpoint,
        Body=b"{}",
        ContentType="application/json",
        Accept="application/json",
        CustomAttributes="trace=1",
        InferenceId="id-1",
        TargetVariant="main",
    )
    headers = json.loads(answer["Body"].read())["headers"]
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == "application/json"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert headers["x-amzn-sagemaker-inference-id"] == "id-1"
    assert headers["x-amzn-sagemaker-target-variant"] == "main"
    assert not {name for name in headers if name.startswith(("authorization", "x-amz-", "amz-sdk"))}
    assert answer["InvokedProductionVariant"] == "main"
    assert answer["ContentType"] == "application/json"
    assert answer["CustomAttributes"] == "seen"


def test_any_bytes_pass_as_they_are(local: Local, endpoint: str) -> None:
    body = bytes(range(256)) * 1000
    answer = local.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="image/png")
    assert json.loads(answer["Body"].read())["bytes"] == len(body)


@pytest.mark.parametrize(
    ("status", "side"),
    [(400, "client"), (500, "server")],
)
def test_an_error_of_the_container_is_a_model_error(local: Local, endpoint: str, status: int, side: str) -> None:
    with pytest.raises(ClientError) as error:
        local.ask(endpoint, {"status": status, "text": {"error": {"code": "bad_image"}}})
    answer = error.value.response
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == status
    assert json.loads(answer["OriginalMessage"]) == {"error": {"code": "bad_image"}}
    assert answer["LogStreamArn"].endswith(f":log-group:/aws/sagemaker/Endpoints/{endpoint}")
    assert f"Received {side} error ({status}) from primary with message" in answer["Error"]["Message"]


def test_a_long_error_message_is_cut(local: Local, endpoint: str) -> None:
    with pytest.raises(ClientError) as error:
        local.ask(endpoint, {"status": 400, "text": "x" * 5000})
    assert len(error.value.response["OriginalMessage"]) == 2048


def test_the_endpoint_of_another_name_is_not_found(local: Local) -> None:
    with pytest.raises(ClientError, match="Endpoint nobody of account 123456789012 not found") as error:
        local.ask("nobody")
    assert error.value.response["Error"]["Code"] == "ValidationError"


def test_a_body_above_the_limit_is_refused_and_one_at_the_limit_passes(local: Local, endpoint: str) -> None:
    limit = 6_291_456
    answer = local.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"x" * limit, ContentType="a/b")
    assert json.loads(answer["Body"].read())["bytes"] == limit
    with pytest.raises(ClientError, match="exceeded the upper limit of 6291456 bytes") as error:
        local.runtime.invoke_endpoint(EndpointName=endpoint, Body=b"x" * (limit + 1), ContentType="a/b")
    assert error.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="answer has exceeded the upper limit"):
        local.ask(endpoint, {"large": limit + 1})


def test_a_container_that_takes_too_long_is_a_model_error(local: Local, endpoint: str) -> None:
    with pytest.raises(ClientError, match="Your invocation timed out while waiting for a response") as error:
        local.ask(endpoint, {"sleep": 5})
    assert error.value.response["OriginalStatusCode"] == 0


def test_a_container_that_dies_while_it_answers_is_a_model_error_and_comes_back(local: Local) -> None:
    name = local.endpoint(local.config({"model": local.model(), "InitialInstanceCount": 2}))
    with pytest.raises(ClientError, match="closed the connection before it answered"):
        local.ask(name, {"die": True})
    for _ in range(20):
        try:
            local.ask(name)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ModelError"
    local.delete(name)


@pytest.mark.parametrize(
    "request_",
    [
        {"TargetModel": "m"},
        {"InferenceComponentName": "c"},
        {"TargetContainerHostname": "h"},
        {"SessionId": "NEW_SESSION"},
    ],
)
def test_what_is_not_executed_is_refused(local: Local, endpoint: str, request_: dict[str, str]) -> None:
    with pytest.raises(ClientError, match=f"{next(iter(request_))} is not supported by the local SageMaker"):
        local.ask(endpoint, {}, **request_)


def test_asynchronous_and_streaming_invocations_are_refused(local: Local, endpoint: str) -> None:
    with pytest.raises(ClientError, match="not supported by the local SageMaker"):
        local.runtime.invoke_endpoint_async(EndpointName=endpoint, InputLocation="s3://models/model.tar.gz")
    with pytest.raises(ClientError, match="not supported by the local SageMaker"):
        local.runtime.invoke_endpoint_with_response_stream(EndpointName=endpoint, Body=b"{}")


def test_connections_to_the_container_are_kept(local: Local, endpoint: str) -> None:
    assert len({local.ask(endpoint)["connection"] for _ in range(10)}) < 10


def test_many_requests_at_a_time_are_answered(local: Local, endpoint: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: local.ask(endpoint, {"text": number}), range(100)))
    assert answers == list(range(100))


def test_variants_share_by_weight_and_can_be_addressed(local: Local) -> None:
    a, b = (local.model(environment={"VERSION": version}) for version in "ab")
    config = local.config(
        {"model": a, "VariantName": "A", "InitialVariantWeight": 3},
        {"model": b, "VariantName": "B", "InitialVariantWeight": 1},
    )
    name = local.endpoint(config)
    assert Counter(local.ask(name)["version"] for _ in range(20)) == {"a": 15, "b": 5}
    assert {local.ask(name, TargetVariant="B")["version"] for _ in range(4)} == {"b"}
    with pytest.raises(ClientError, match=f"Variant C of endpoint {name} not found."):
        local.ask(name, TargetVariant="C")
    wanted = [{"VariantName": "A", "DesiredWeight": 0}, {"VariantName": "B", "DesiredWeight": 5}]
    local.sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=wanted)
    described = local.settled(name)
    assert [one["CurrentWeight"] for one in described["ProductionVariants"]] == [0.0, 5.0]
    assert {local.ask(name)["version"] for _ in range(8)} == {"b"}
    local.delete(name)
