"""Functions run as child processes, and answer and fail as Lambda's do."""

from __future__ import annotations

import base64
import json
from typing import Any

import botocore.exceptions
import pytest

from tests.local_sagemaker.platform.conftest import ACCOUNT, REGION, Server, zipped
from tests.waiting import eventually


def test_a_handler_gets_the_event_the_role_and_only_its_own_variables(server: Server) -> None:
    source = """
import boto3, os
def handler(event, context):
    return {
        "event": event, "who": boto3.client("sts").get_caller_identity()["Arn"], "mine": os.environ["MINE"],
        "home_of_the_user": os.environ.get("USER_SECRET"), "name": context.function_name,
        "left": context.get_remaining_time_in_millis(), "arn": context.invoked_function_arn,
    }
"""
    arn = server.function("seen", source, Environment={"Variables": {"MINE": "yes"}})
    answer = server.invoke("seen", {"a": 1})
    document = answer["document"]
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer
    assert document["event"] == {"a": 1} and document["mine"] == "yes" and document["name"] == "seen"
    assert document["who"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/function/seen"
    assert document["arn"] == arn and 0 < document["left"] <= 20_000


def test_the_environment_holds_nothing_of_the_server(server: Server) -> None:
    server.function("environment", "import os\ndef handler(event, context):\n    return dict(os.environ)")
    names = set(server.invoke("environment")["document"])
    assert {"AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION"} <= names
    assert not {"MOTO_ACCOUNT_ID", "PYTHONPATH", "PYTEST_CURRENT_TEST"} & names


def test_a_warm_worker_is_used_again_until_code_or_configuration_change(server: Server) -> None:
    source = (
        "import os\ncount = 0\ndef handler(event, context):\n    global count; count += 1; return [os.getpid(), count]"
    )
    server.function("warm", source)
    first, second = server.invoke("warm")["document"], server.invoke("warm")["document"]
    assert second == [first[0], 2]
    server.client("lambda").update_function_configuration(FunctionName="warm", Timeout=19)
    third = server.invoke("warm")["document"]
    assert third[0] != first[0] and third[1] == 1
    server.client("lambda").update_function_code(FunctionName="warm", ZipFile=zipped({"app.py": source + "\n# 2"}))
    assert server.invoke("warm")["document"][0] != third[0]
    running = [child for child in server.admin("GET", "children")["children"] if child["name"] == "lambda warm"]
    assert len(running) == 1  # the outdated workers are gone


def test_an_exception_is_an_unhandled_error_with_its_stack(server: Server) -> None:
    server.function("raises", "def inner():\n    raise KeyError('gone')\ndef handler(event, context):\n    inner()")
    answer = server.invoke("raises")
    assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled"
    assert answer["document"]["errorType"] == "KeyError" and answer["document"]["errorMessage"] == "'gone'"
    assert "inner" in answer["document"]["stackTrace"][-1] and len(answer["document"]["stackTrace"]) == 2


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import nowhere_to_be_found", "Runtime.ImportModuleError"),
        ("def other(event, context): pass", "Runtime.HandlerNotFound"),
        ("def handler(event, context", "Runtime.UserCodeSyntaxError"),
        ("def handler(event, context): return {1, 2}", "Runtime.MarshalError"),
        ("import sys\ndef handler(event, context): sys.exit(3)", "Runtime.ExitError"),
        ("import os\ndef handler(event, context): os.kill(os.getpid(), 9)", "Runtime.ExitError"),
        (
            "def handler(event, context): return 'x' * 6_291_560",
            "Function.ResponseSizeTooLarge",
        ),
    ],
)
def test_each_way_to_fail_has_lambdas_error_type(server: Server, source: str, kind: str) -> None:
    name = "fails-" + kind.replace(".", "-") + str(abs(hash(source)) % 1000)
    server.function(name, source)
    answer = server.invoke(name)
    assert answer["FunctionError"] == "Unhandled" and answer["document"]["errorType"] == kind


def test_a_function_that_takes_too_long_is_ended_and_says_so(server: Server) -> None:
    server.function("slow", "import time\ndef handler(event, context):\n    print('begun'); time.sleep(60)", Timeout=1)
    answer = server.invoke("slow", LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in answer["document"]["errorMessage"]
    log = base64.b64decode(answer["LogResult"]).decode()
    assert "begun" in log and "Task timed out" in log
    assert not [child for child in server.admin("GET", "children")["children"] if child["name"] == "lambda slow"]


def test_a_function_that_takes_too_much_memory_is_killed(server: Server) -> None:
    source = (
        "import time\ndef handler(event, context):\n    held = b'x' * 400_000_000; time.sleep(30); return len(held)"
    )
    server.function("greedy", source, MemorySize=128)
    answer = server.invoke("greedy")
    assert answer["document"]["errorType"] == "Runtime.ExitError" and "killed" in answer["document"]["errorMessage"]


def test_output_and_logging_go_to_the_log_group_in_order(server: Server) -> None:
    source = (
        "import logging\nlogging.getLogger().setLevel('INFO')\ndef handler(event, context):\n"
        "    print('first'); logging.info('second'); print('third')"
    )
    server.function("talks", source)
    answer = server.invoke("talks", LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    events = server.client("logs").filter_log_events(logGroupName="/aws/lambda/talks")["events"]
    messages = [event["message"] for event in events]
    assert messages[0].startswith("START RequestId: ") and messages[-1].startswith("REPORT RequestId: ")
    assert messages[1] == "first" and "[INFO]" in messages[2] and "second" in messages[2] and messages[3] == "third"
    assert tail.splitlines() == messages


def test_versions_and_aliases_run_their_own_code(server: Server) -> None:
    server.function("versions", "def handler(event, context): return [1, context.function_version]")
    api = server.client("lambda")
    version = api.publish_version(FunctionName="versions")["Version"]
    api.create_alias(FunctionName="versions", Name="live", FunctionVersion=version)
    code = zipped({"app.py": "def handler(event, context): return [2, context.function_version]"})
    api.update_function_code(FunctionName="versions", ZipFile=code)
    assert server.invoke("versions")["document"] == [2, "$LATEST"]
    assert server.invoke("versions", Qualifier="live")["document"] == [1, version]
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:versions:{version}"
    answer = server.invoke(arn)
    assert answer["document"] == [1, version] and answer["ExecutedVersion"] == version


def test_a_layer_is_importable(server: Server) -> None:
    content = {"ZipFile": zipped({"python/shared.py": "VALUE = 42"})}
    layer = server.client("lambda").publish_layer_version(LayerName="shared", Content=content)["LayerVersionArn"]
    source = "import shared\ndef handler(event, context): return shared.VALUE"
    server.function("layered", source, Layers=[layer])
    assert server.invoke("layered")["document"] == 42


def test_dry_run_and_refusals(server: Server) -> None:
    api = server.client("lambda")
    server.function("checked", "def handler(event, context): return 1")
    assert api.invoke(FunctionName="checked", InvocationType="DryRun")["StatusCode"] == 204
    for arguments, code in (
        ({"FunctionName": "nobody"}, "ResourceNotFoundException"),
        ({"FunctionName": "checked", "Qualifier": "nope"}, "ResourceNotFoundException"),
        ({"FunctionName": "checked", "Payload": b"{not json"}, "InvalidRequestContentException"),
        ({"FunctionName": "checked", "Payload": b'"' + b"x" * 6_291_456 + b'"'}, "RequestTooLargeException"),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            api.invoke(**arguments)
        assert caught.value.response["Error"]["Code"] == code
    api.put_function_concurrency(FunctionName="checked", ReservedConcurrentExecutions=0)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        api.invoke(FunctionName="checked")
    assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"


def test_an_asynchronous_call_that_fails_is_tried_three_times_and_then_reported(server: Server) -> None:
    dead_url, dead = server.queue("dead")
    failed_url, failed = server.queue("failed")
    arn = server.function(
        "never", "def handler(event, context): raise ValueError('no')", DeadLetterConfig={"TargetArn": dead}
    )
    server.client("lambda").put_function_event_invoke_config(
        FunctionName="never", DestinationConfig={"OnFailure": {"Destination": failed}}
    )
    answer = server.client("lambda").invoke(FunctionName="never", InvocationType="Event", Payload=b'{"n": 1}')
    assert answer["StatusCode"] == 202

    def delivery() -> Any:
        found = [one for item in server.admin("GET", "events")["events"] for one in item["deliveries"]]
        return next(one for one in found if one["target"] == arn)

    def attempts() -> int:
        return len(delivery()["attempts"])

    eventually(lambda: attempts() == 1)
    server.admin("POST", "clock", {"advance": 60})
    eventually(lambda: attempts() == 2)
    server.admin("POST", "clock", {"advance": 120})
    (message,) = server.messages(dead_url)
    assert message["document"] == {"n": 1}
    assert json.loads(message["MessageAttributes"]["ErrorMessage"]["StringValue"])["errorType"] == "ValueError"
    (record,) = server.messages(failed_url)
    assert record["document"]["requestContext"]["condition"] == "RetriesExhausted"
    assert record["document"]["requestContext"]["approximateInvokeCount"] == 3
    assert record["document"]["requestPayload"] == {"n": 1}
    assert record["document"]["responsePayload"]["errorMessage"] == "no"
    assert delivery()["state"] == "failed"
