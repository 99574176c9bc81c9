"""Checks of endpoints. They share one, which is made when the first of them runs and taken away after the last."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from contracts import invocation
from contracts.names import VARIANT
from contracts.release import DEPLOYMENT_EVENT, ENDPOINT_EVENT
from cv_factory.operations.unproved import events, serving
from cv_factory.operations.unproved.bench import Bench
from cv_factory.operations.unproved.check import SERVING, ByHand, Check, NotHere, Use, expect
from deployment import aws

GROUP = "endpoint"
#: What the checks of the group share: the endpoint until it answers.
SHARED = (Use(SERVING, 1, 20),)
#: An update runs both fleets.
_UPDATE = (Use(SERVING, 2, 30),)
_ASK = (Use(SERVING, 1, 2),)
_MINUTES = 30
_BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack")
#: InvokeEndpoint, Body: what the documents name as the largest request, bytes.
_DOCUMENTED_BYTES = 6_291_456
_LARGE_BYTES = 25 * 2**20
#: How long the container of the slow start says 503; on a laptop nobody has to wait that long to see it.
_SLOW_SECONDS, _LOCAL_SLOW_SECONDS = 45, 2
_CURL_SECONDS = "60"


@dataclass
class Endpoint:
    """The shared endpoint, and the queue of its events.

    Attributes:
        config: the name of the first configuration: of a model by its package.
    """

    bench: Bench
    name: str
    config: str
    caught: events.Caught

    def describe(self) -> dict[str, Any]:
        about: dict[str, Any] = self.bench.client("sagemaker").describe_endpoint(EndpointName=self.name)
        return about

    def settled(self) -> dict[str, Any]:
        """The description once nothing is under way."""

        def look() -> dict[str, Any] | None:
            about = self.describe()
            return about if about["EndpointStatus"] not in _BUSY else None

        return self.bench.until(look, f"the end of what is under way on {self.name}", _MINUTES)

    def update(self, config: str, **more: Any) -> dict[str, Any]:
        """Update to a configuration, all at once, and wait; the description then."""
        policy = {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
                "TerminationWaitInSeconds": 0,
                "MaximumExecutionTimeoutInSeconds": 60 * _MINUTES - 300,
            }
        }
        self.bench.say(f"  endpoint {self.name} is updated to {config}")
        self.bench.client("sagemaker").update_endpoint(
            EndpointName=self.name, EndpointConfigName=config, DeploymentConfig=policy, **more
        )
        return self.settled()

    def configure(self, word: str, model: str) -> str:
        """A configuration of one instance of ``model``; its name."""
        name = self.bench.make("endpoint-config", word)
        variant = {
            "VariantName": VARIANT, "ModelName": model, "InitialInstanceCount": 1, "InitialVariantWeight": 1,
            "InstanceType": self.bench.target.settings.serving.instance_type,
        }  # fmt: skip
        self.bench.client("sagemaker").create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=self.bench.tags
        )
        return name

    def ask(self, body: bytes = b"{}", content_type: str = "application/json") -> dict[str, Any]:
        answer = self.bench.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.name, Body=body, ContentType=content_type
        )
        value: dict[str, Any] = json.loads(answer["Body"].read())
        return value


def shared(bench: Bench) -> Endpoint:
    """The endpoint of this run; made by the first call.

    Raises:
        Fails: it does not come into service.
    """
    if GROUP in bench.shared:
        found: Endpoint = bench.shared[GROUP]
        return found
    bench.image("inference")
    name = bench.make("endpoint", "endpoint")
    bench.ledger.add("log-group", f"/aws/sagemaker/Endpoints/{name}")
    caught = events.catch(bench, "endpoint", [ENDPOINT_EVENT, DEPLOYMENT_EVENT], {"EndpointName": [name]})
    group = serving.create_group(bench, "endpoint")
    arn = serving.package(bench, "endpoint", group, UNPROVED_PACKAGE="of the package")
    sagemaker = bench.client("sagemaker")
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    own = {"UNPROVED_MODEL": "of the model", invocation.MAX_BODY_VARIABLE: str(_LARGE_BYTES)}
    model = serving.create(bench, "by-package", {"ModelPackageName": arn, "Environment": own})
    made = Endpoint(bench, name, "", caught)
    made.config = made.configure("first", model)
    bench.say(f"  endpoint {name} is made")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=made.config, Tags=bench.tags)
    about = made.settled()
    expect(about["EndpointStatus"] == "InService", f"{about['EndpointStatus']}: {about.get('FailureReason')}")
    bench.shared[GROUP] = made
    return made


def package_and_environment(bench: Bench) -> str:
    seen = shared(bench).ask()["environment"]
    expect(
        seen == {"UNPROVED_PACKAGE": "of the package", "UNPROVED_MODEL": "of the model"},
        f"the container sees {seen or 'neither'}",
    )
    return "the container sees the package's variables and the model's"


def not_root(bench: Bench) -> str:
    answer = shared(bench).ask()
    expect(answer["model"] == serving.PROOF, f"the model's file says {answer['model']!r}")
    if answer["user"] == 0:
        raise NotHere("the container runs as root here, whatever its image says: it reads /opt/ml/model")
    return f"user {answer['user']} reads /opt/ml/model"


def bad_image(bench: Bench) -> str:
    endpoint = shared(bench)
    try:
        endpoint.ask(b"no image at all", "image/png")
    except ClientError as error:
        code, response = aws.error_code(error), error.response
        status = response.get("OriginalStatusCode")
        text = str(response.get("OriginalMessage", ""))
        expect(code == "ModelError" and status == 400, f"{code} with OriginalStatusCode {status}: {error}")
        try:
            body = json.loads(text)
        except ValueError:
            body = {}
        expect(body.get("error", {}).get("code") == "bad_image", f"OriginalMessage is {text!r}")
        return "ModelError, 400, our body in OriginalMessage"
    raise AssertionError("an image that is none was answered")


def large_body(bench: Bench) -> str:
    endpoint = shared(bench)
    answer = endpoint.ask(bytes(_DOCUMENTED_BYTES), "application/octet-stream")
    expect(answer == {"bytes": _DOCUMENTED_BYTES}, f"{_DOCUMENTED_BYTES} bytes are answered with {answer}")
    try:
        answer = endpoint.ask(bytes(_LARGE_BYTES), "application/octet-stream")
    except (ClientError, BotoCoreError) as error:  # an answer, or the end of the connection
        return f"{_DOCUMENTED_BYTES} bytes pass; {_LARGE_BYTES} do not: {error}"
    return f"{_DOCUMENTED_BYTES} bytes pass, and so do {answer['bytes']}"


def curl(bench: Bench) -> str:
    """The line of docs/application-developer.md, with the credentials on curl's standard input."""
    if shutil.which("curl") is None:
        raise NotHere("curl is not on PATH")
    endpoint = shared(bench)
    credentials = bench.target.session.get_credentials()
    if credentials is None:
        raise NotHere("the session has no credentials")
    keys = credentials.get_frozen_credentials()
    url = bench.client("sagemaker-runtime").meta.endpoint_url.rstrip("/")
    options = [
        f'user = "{keys.access_key}:{keys.secret_key}"',
        f'aws-sigv4 = "aws:amz:{bench.names.region}:sagemaker"',
        *([f'header = "X-Amz-Security-Token: {keys.token}"'] if keys.token else []),
        'header = "Content-Type: application/json"',
        'data = "{}"',
        f'url = "{url}/endpoints/{endpoint.name}/invocations"',
    ]
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", _CURL_SECONDS, "--config", "-"],
        input="\n".join(options), capture_output=True, text=True, check=False,
    )  # fmt: skip
    expect(done.returncode == 0, f"curl ended with {done.returncode}: {(done.stdout + done.stderr).strip()}")
    expect(json.loads(done.stdout)["model"] == serving.PROOF, f"the answer is {done.stdout}")
    return "curl --aws-sigv4 is answered"


def blue_green(bench: Bench) -> str:
    """A fleet of two, as autoscaling would have made it, and a configuration that says one."""
    endpoint = shared(bench)
    sagemaker = bench.client("sagemaker")
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint.name,
        DesiredWeightsAndCapacities=[{"VariantName": VARIANT, "DesiredInstanceCount": 2}],
    )
    endpoint.settled()
    config = endpoint.configure("green", serving.create_model(bench, "green", UNPROVED_COLOUR="green"))
    about = endpoint.update(
        config,
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DataCaptureConfig"}],
    )
    count = about["ProductionVariants"][0]["CurrentInstanceCount"]
    colour = endpoint.ask()["environment"].get("UNPROVED_COLOUR")
    # Back to one, whatever was found: what follows shall not pay for two.
    back = endpoint.update(
        endpoint.config,
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredInstanceCount"}],
    )
    expect(about["EndpointConfigName"] == config, f"the endpoint has {about['EndpointConfigName']}")
    expect(colour == "green", "the old container answers after the update")
    expect(count == 2, f"the fleet of 2 has {count} after the update")
    single = back["ProductionVariants"][0]["CurrentInstanceCount"]
    expect(single == 1, f"without the property retained the fleet has {single}, its configuration says 1")
    return "blue/green; the fleet kept its size of 2, and took the configuration's 1 where that was excluded"


def never_answers(bench: Bench) -> str:
    endpoint = shared(bench)
    before = endpoint.describe()["EndpointConfigName"]
    config = endpoint.configure("broken", serving.create_model(bench, "broken", UNPROVED_BROKEN="1"))
    about = endpoint.update(config)
    expect(about["EndpointStatus"] == "InService", f"the endpoint is {about['EndpointStatus']}")
    expect(about["EndpointConfigName"] == before, f"the endpoint has {about['EndpointConfigName']}, not {before}")
    expect(endpoint.ask()["model"] == serving.PROOF, "it does not answer")
    return f"InService with the old configuration: {about.get('FailureReason', 'no reason is given')}"


def slow_start(bench: Bench) -> str:
    endpoint = shared(bench)
    seconds = _LOCAL_SLOW_SECONDS if bench.target.is_local else _SLOW_SECONDS
    model = serving.create_model(bench, "slow", UNPROVED_SLOW_SECONDS=str(seconds))
    config = endpoint.configure("slow", model)
    about = endpoint.update(config)
    expect(about["EndpointStatus"] == "InService", f"the endpoint is {about['EndpointStatus']}")
    expect(
        about["EndpointConfigName"] == config,
        f"it has the old configuration: {about.get('FailureReason', 'no reason is given')}",
    )
    return f"a container that says 503 for {seconds} s serves"


def state_events(bench: Bench) -> str:
    """Events of the endpoint's creation and of one more update."""
    endpoint = shared(bench)
    other = endpoint.configure("events", serving.create_model(bench, "events"))
    endpoint.update(other)
    seen: list[dict[str, Any]] = []

    def both() -> bool | None:
        seen.extend(endpoint.caught.take())
        states = {one["detail"]["EndpointStatus"] for one in seen if one["detail-type"] == ENDPOINT_EVENT}
        deployments = [one for one in seen if _is_deployment(one)]
        return ("IN_SERVICE" in states and bool(deployments)) or None

    bench.until(both, "an event of the state and one of the deployment", 5)
    samples = {
        "endpoint": next(one for one in seen if one["detail"]["EndpointStatus"] == "IN_SERVICE"),
        "deployment": next(one for one in seen if _is_deployment(one)),
    }
    found = [
        f"{name}: {difference}; the event: {json.dumps(sample)}"
        for name, sample in samples.items()
        for difference in events.differences(events.recorded(name), sample)
    ]
    expect(not found, "; ".join(found))
    return f"as recorded; {len(seen)} events"


def _is_deployment(event: dict[str, Any]) -> bool:
    """Is it an event of an update? The creation's deployment has no fleet that is being replaced."""
    pending = event["detail"].get("PendingDeploymentSummary", {})
    named = event["detail-type"] == DEPLOYMENT_EVENT and event["detail"]["EndpointStatus"] == "UPDATING"
    return named and any(variant.get("VariantStatus") for variant in pending.get("ProductionVariants", []))


EVENTS = Check(
    "registry.endpoint-events",
    "an endpoint that changes its state",
    "events as in `tests/deployment/events/endpoint.json` and `deployment.json`",
    state_events,
    uses=_UPDATE,
    needs=("the serving image",),
    group=GROUP,
)
_IMAGE = ("the serving image",)

TITLE = "Endpoint"
ROWS: tuple[Check | ByHand, ...] = (
    Check(
        "endpoint.package",
        "`CreateModel` with `ModelPackageName` and `Environment`",
        "the container sees both",
        package_and_environment,
        uses=_ASK,
        needs=_IMAGE,
        group=GROUP,
    ),
    Check(
        "endpoint.blue-green",
        "`UpdateEndpoint` with `DeploymentConfig`, `RetainAllVariantProperties` and `ExcludeRetainedVariantProperties`",
        "blue/green; an autoscaled fleet keeps its size",
        blue_green,
        uses=(Use(SERVING, 2, 30), Use(SERVING, 4, 30), Use(SERVING, 3, 30)),
        needs=(*_IMAGE, "a quota for four instances"),
        group=GROUP,
    ),
    Check(
        "endpoint.never-answers",
        "an update whose new container never answers `/ping`",
        "the endpoint is InService again with the old configuration",
        never_answers,
        uses=_UPDATE,
        needs=_IMAGE,
        group=GROUP,
    ),
    Check(
        "endpoint.slow-start",
        "a container that answers 503 to `/ping` for the first seconds",
        "the endpoint waits: up to 8 minutes by default",
        slow_start,
        uses=_UPDATE,
        needs=_IMAGE,
        group=GROUP,
    ),
    Check(
        "endpoint.bad-image",
        "`InvokeEndpoint` with a bad image",
        "`ModelError` with `OriginalStatusCode` 400 and our body in `OriginalMessage`",
        bad_image,
        uses=_ASK,
        needs=_IMAGE,
        group=GROUP,
    ),
    Check(
        "endpoint.large-body",
        "`InvokeEndpoint` with 6 MB and more",
        "6 MB pass; whether 25 MB do is not known, so `serving.max_body_mb` is a setting",
        large_body,
        uses=_ASK,
        needs=_IMAGE,
        group=GROUP,
    ),
    ByHand(
        "`InvokeEndpoint` faster than the account may",
        "`ThrottlingException`, with status 400 or 429: the client waits and sends it again",
        "the quota is the account's, thousands of calls a second: to reach it would throttle the account's other"
        " endpoints too",
    ),
    Check(
        "endpoint.curl",
        "`curl --aws-sigv4` as in [application-developer.md](application-developer.md#from-a-shell), with the address"
        " of the region",
        "the answer",
        curl,
        uses=_ASK,
        needs=(*_IMAGE, "curl"),
        group=GROUP,
    ),
    Check(
        "endpoint.not-root",
        "the serving image, not run as root",
        "`/opt/ml/model` can be read",
        not_root,
        uses=_ASK,
        needs=_IMAGE,
        group=GROUP,
    ),
)
