"""The Docker runtime of the local SageMaker: jobs and endpoints in containers that come and go with their server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker import control
from local_sagemaker.runtimes.engine import Engine
from tests.docker.engines import TestEngine
from tests.local_sagemaker.endpoints.harness import IMAGE, SCRIPT, Local
from tests.waiting import eventually

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

_DOCKERFILE = """\
FROM {base}
COPY image.py job.py /
ENV SAGEMAKER_BASE_DIR=/opt/ml SAGEMAKER_BIND_TO_PORT=8080 BIND_HOST=0.0.0.0 FROM_IMAGE=1 PYTHONUNBUFFERED=1
ENTRYPOINT ["python3", "-S", "/image.py"]
USER 10001:0
"""
_NAME = "serve:1"
_GROUP = "/aws/sagemaker/ProcessingJobs"


@pytest.fixture(scope="module")
def test_image(engine: TestEngine, base: str) -> Iterator[str]:
    """A small image whose code is the endpoint tests' own."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(SCRIPT, folder / "image.py")
    shutil.copy(Path(__file__).with_name("job.py"), folder)
    (folder / "Dockerfile").write_text(_DOCKERFILE.format(base=base))
    engine.docker("build", "--quiet", "--tag", _NAME, str(folder))
    shutil.rmtree(folder)
    yield _NAME
    engine.docker("image", "rm", _NAME)


@pytest.fixture(scope="module")
def server(test_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    local = Local(tmp_path_factory.mktemp("contained"), "docker")
    try:
        local.start()
        local.prepare()
        yield local
    finally:
        local.stop()


@pytest.fixture
def local(server: Local, engine: TestEngine) -> Iterator[Local]:
    """A server that the test may kill."""
    yield server
    if control.status(server.state) is None:
        server.start()
    for one in server.sagemaker.list_endpoints()["Endpoints"]:
        server.settled(one["EndpointName"])
        server.delete(one["EndpointName"])
    assert containers(engine) == []


def containers(engine: TestEngine) -> list[str]:
    return engine.docker("ps", "--all", "--quiet", "--filter", "label=local-sagemaker.state").split()


def about(engine: TestEngine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.docker("inspect", name))[0]
    return found


def start_job(local: Local, words: list[str], image: str = IMAGE, *, isolated: bool = False, **more: Any) -> str:
    name = local.name("job")
    target = {"S3Uri": f"s3://models/{name}", "LocalPath": "/opt/ml/processing/output/seen", "S3UploadMode": "EndOfJob"}
    local.sagemaker.create_processing_job(
        ProcessingJobName=name, RoleArn=local.role, NetworkConfig={"EnableNetworkIsolation": isolated},
        AppSpecification={"ImageUri": image, "ContainerEntrypoint": words},
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        ProcessingOutputConfig={"Outputs": [{"OutputName": "seen", "S3Output": target}]}, **more,
    )  # fmt: skip
    return name


def ended(local: Local, name: str) -> dict[str, Any]:
    def question() -> dict[str, Any] | None:
        job: dict[str, Any] = local.sagemaker.describe_processing_job(ProcessingJobName=name)
        return job if job["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return eventually(question)  # type: ignore[return-value]


def log(local: Local, name: str) -> list[str]:
    streams = local.logs.describe_log_streams(logGroupName=_GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    (stream,) = (each["logStreamName"] for each in streams)
    events = local.logs.get_log_events(logGroupName=_GROUP, logStreamName=stream, startFromHead=True)["events"]
    return [event["message"] for event in events]


def kill(local: Local) -> None:
    for client in local.clients:
        client.close()
    os.kill(local.info.pid, signal.SIGKILL)
    eventually(lambda: control.status(local.state) is None)


def test_a_job_sees_what_it_sees_on_sagemaker(local: Local, engine: TestEngine) -> None:
    # SageMaker gives a job's folders to root; this image's user is another, so the job is run by what may write there.
    name = start_job(local, ["python3", "/job.py", "look"], f"{IMAGE}-root", Environment={"GIVEN": "a=b c"})
    job = ended(local, name)
    assert job["ProcessingJobStatus"] == "Failed" and f"{IMAGE}-root" in job["FailureReason"]
    engine.docker("build", "--quiet", "--tag", f"{_NAME}-root", "-", given=f"FROM {_NAME}\nUSER 0\n".encode())
    name = start_job(local, ["python3", "/job.py", "look"], f"{IMAGE}-root", Environment={"GIVEN": "a=b c"})
    job = ended(local, name)
    assert job["ProcessingJobStatus"] == "Completed", job
    (line,) = log(local, name)
    seen = json.loads(line)
    assert seen["uid"] == 0 and seen["host"] == "algo-1"
    assert seen["server"] == "reached" and seen["internet"] != "reached"
    assert {"/opt/ml/config/processingjobconfig.json", "/opt/ml/config/resourceconfig.json"} <= set(seen["files"])
    variables = seen["environment"]
    assert variables["GIVEN"] == "a=b c" and variables["FROM_IMAGE"] == "1" and variables["AWS_SESSION_TOKEN"]
    assert variables["AWS_ENDPOINT_URL"] != local.info.endpoint_url
    body = local.s3.get_object(Bucket="models", Key=f"{name}/answer")["Body"].read()
    assert body == b"42"
    engine.docker("image", "rm", f"{_NAME}-root")


def test_an_isolated_job_has_neither_network_nor_credentials(local: Local) -> None:
    name = start_job(local, ["python3", "/job.py", "look"], isolated=True)
    assert ended(local, name)["ProcessingJobStatus"] == "Completed"
    seen = json.loads(log(local, name)[0])
    assert seen["uid"] == 10001 and seen["interfaces"] == ["lo"] and seen["internet"] != "reached"
    assert not {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"} & set(seen["environment"])


def test_a_job_that_fails_or_cannot_start_says_why(local: Local) -> None:
    failed = ended(local, start_job(local, ["sh", "-c", "exit 5"]))
    assert failed["FailureReason"].endswith("exit code: 5")
    name = start_job(local, ["/no/such/program"])
    job = ended(local, name)
    assert job["ProcessingJobStatus"] == "Failed" and job["FailureReason"].endswith("exit code: 127")
    assert "/no/such/program" in " ".join(log(local, name))
    nowhere = IMAGE.replace("serve:1", "nowhere:1")
    reason = ended(local, start_job(local, ["true"], nowhere))["FailureReason"]
    assert reason.startswith(
        f"ClientError: Cannot pull image {nowhere}. The Docker engine has no image {nowhere} or nowhere:1"
    )


def test_a_stopped_job_may_end_in_its_own_way_and_has_its_instances_memory(local: Local, engine: TestEngine) -> None:
    name = start_job(local, ["python3", "/job.py", "wait"])

    def begun() -> bool:
        try:
            return "begun" in log(local, name)
        except (ClientError, ValueError):  # no log yet
            return False

    eventually(begun)
    (container,) = containers(engine)
    limits = about(engine, container)["HostConfig"]
    assert limits["Memory"] == limits["MemorySwap"] == 8 * 2**30
    local.sagemaker.stop_processing_job(ProcessingJobName=name)
    assert ended(local, name)["ProcessingJobStatus"] == "Stopped"
    assert log(local, name) == ["begun", "told to stop"]


@pytest.mark.parametrize("isolated", [False, True], ids=["open", "isolated"])
def test_an_endpoint_answers_from_a_container(local: Local, engine: TestEngine, isolated: bool) -> None:
    name = local.endpoint(local.config({"model": local.model(EnableNetworkIsolation=isolated)}))
    assert local.status(name) == "InService", local.describe(name).get("FailureReason")
    answer = local.ask(name)
    assert answer["model"] == {"model/weights.txt": "42"} and answer["pid"] == 1
    gateway = next(iter(about(engine, containers(engine)[0])["NetworkSettings"]["Networks"].values()))["Gateway"]
    reached = local.ask(name, {"reach": [gateway, local.info.port]})
    assert (reached == "reached") is not isolated
    assert ("AWS_ENDPOINT_URL" in answer["environment"]) is not isolated
    (mount,) = about(engine, containers(engine)[0])["Mounts"]
    assert (mount["Destination"], mount["RW"]) == ("/opt/ml/model", False)


def test_a_transform_job_runs_in_the_models_container(local: Local) -> None:
    local.s3.put_object(Bucket="models", Key="in/a.json", Body=b'{"text": "a"}')
    name, instance = local.name("transform"), {"InstanceCount": 1, "InstanceType": "ml.m5.large"}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://models/in/"}}
    local.sagemaker.create_transform_job(
        TransformJobName=name, ModelName=local.model(), TransformResources=instance,
        TransformInput={"DataSource": source, "ContentType": "application/json"},
        TransformOutput={"S3OutputPath": "s3://models/out"},
    )  # fmt: skip

    def question() -> dict[str, Any] | None:
        job: dict[str, Any] = local.sagemaker.describe_transform_job(TransformJobName=name)
        return job if job["TransformJobStatus"] in ("Completed", "Failed", "Stopped") else None

    job = eventually(question)
    assert job is not None and job["TransformJobStatus"] == "Completed", job
    assert local.s3.get_object(Bucket="models", Key="out/a.json.out")["Body"].read() == b'"a"'


def test_what_a_containers_root_left_is_given_back(engine: TestEngine, test_image: str, tmp_path: Path) -> None:
    file = tmp_path / "model" / "weights"
    file.parent.mkdir()
    file.touch(mode=0o600)
    os.chown(file, 12345, 12345)
    Engine.open().give_back(test_image, str(tmp_path), [])
    assert (file.stat().st_uid, file.stat().st_gid) == (os.getuid(), os.getgid())


def _answers(local: Local, name: str) -> Callable[[], bool]:
    def question() -> bool:
        try:
            return bool(local.ask(name))
        except ClientError:
            return False

    return question


def test_a_container_that_dies_is_replaced(local: Local, engine: TestEngine) -> None:
    name = local.serving()
    (first,) = containers(engine)
    engine.docker("kill", first)
    eventually(lambda: containers(engine) not in ([first], []))
    eventually(_answers(local, name))
    assert len(containers(engine)) == 1


def test_a_killed_server_leaves_no_container(local: Local, engine: TestEngine) -> None:
    name = local.serving()
    job = start_job(local, ["python3", "/job.py", "wait"])
    eventually(lambda: len(containers(engine)) == 2)
    before = containers(engine)
    kill(local)
    eventually(lambda: containers(engine) == [])  # its guardian removed them
    local.start()
    eventually(_answers(local, name))
    assert len(containers(engine)) == 1 and not set(before) & set(containers(engine))
    assert ended(local, job)["ProcessingJobStatus"] == "Failed"


def test_what_a_server_and_its_guardian_left_goes_with_the_next_start_or_stop(local: Local, engine: TestEngine) -> None:
    state = about_state(local, engine)
    for clear in (local.start, lambda: control.stop(local.state)):
        kill(local)
        eventually(lambda: containers(engine) == [])
        engine.docker(
            "create", "--label", f"local-sagemaker.state={state}", "--label", "local-sagemaker.server=x", _NAME
        )
        clear()
        eventually(lambda: containers(engine) == [])
    assert engine.docker("network", "ls", "--quiet", "--filter", "label=local-sagemaker.state") == ""
    local.start()


def about_state(local: Local, engine: TestEngine) -> str:
    name = local.serving()
    state: str = about(engine, containers(engine)[0])["Config"]["Labels"]["local-sagemaker.state"]
    local.delete(name)
    return state


def test_down_leaves_nothing(local: Local, engine: TestEngine) -> None:
    local.serving()
    start_job(local, ["python3", "/job.py", "wait"])
    eventually(lambda: len(containers(engine)) == 2)
    local.stop()
    assert containers(engine) == []
    assert engine.docker("network", "ls", "--quiet", "--filter", "label=local-sagemaker.state") == ""
    local.start()
